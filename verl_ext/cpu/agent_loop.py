"""verl's agent loop inside the launching process, for machines with few cores.

verl gives every agent loop worker, reward worker and load balancer a process. Each imports the whole stack (6 to 10 s
of a core) and each sample costs a message to every one of them; on two cores that is most of a short step. Here the
same worker class runs in a thread of the trainer's process, which is idle while the rollout runs. A group (the
``rollout.n`` samples of one prompt) is tokenized once, sampled with one message per sample to vLLM, graded here, and
written to TransferQueue in one piece, with the groups that ended meanwhile.

    actor_rollout_ref.rollout.agent.agent_loop_manager_class=verl_ext.cpu.agent_loop.LocalAgentLoopManager

Anything but plain single-turn text (tools, images, another agent loop, a teacher) takes verl's own per-sample path.
"""

import asyncio
import logging
import threading
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from tensordict import TensorDict
from verl.experimental.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.agent_loop import DictConfigWrap
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.protocol import DataProto
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ, apply_greedy_sampling_params
from verl.utils import tensordict_utils as tu
from verl.workers.rollout.llm_server import LLMServerClient

from verl_ext.cpu.group_writer import GroupWriter
from verl_ext.cpu.sample_order import number_of
from verl_ext.cpu.sample_seed import seed_of_sample

PLAIN_AGENT = "single_turn_agent"
PLACE = "__place__"
"""Of a prompt in its batch."""
LOOK_SECONDS = 0.001

logger = logging.getLogger(__name__)


class LocalAgentLoopWorker(AgentLoopWorkerTQ.__ray_metadata__.modified_class):
    """verl's worker, with a path for a whole group of plain single-turn samples. Lives on one asyncio loop."""

    def __init__(self, config: Any, llm_client: LLMServerClient, teacher_client: Any) -> None:
        super().__init__(config, llm_client, teacher_client, None)
        self._rewards = RewardLoopWorker(config)
        self._writer = GroupWriter()
        self._is_deterministic = bool(config.trainer.get("deterministic", False))
        self._num_to_come = 0
        """Requests of the present batch that the engines will be sent, in a deterministic run."""
        self._single_turn = SingleTurnAgentLoop(
            trainer_config=DictConfigWrap(config=config),
            server_manager=llm_client,
            tokenizer=self.tokenizer,
            processor=self.processor,
            dataset_cls=self.dataset_cls,
            data_config=DictConfigWrap(config.data),
            hf_model_type=self.hf_model_type,
        )

    async def generate_sequences(self, batch: TensorDict) -> None:
        """verl's: start a task for each prompt. In a deterministic run the engines begin when they have all of their requests.

        On accelerators they need not wait: vLLM's batch-invariant mode gives a request the same bits in any batch.
        """
        if self._is_deterministic:
            batch[PLACE] = torch.arange(len(batch))
        if not self._is_deterministic or self.config.trainer.device != "cpu":
            await super().generate_sequences(batch)
            return
        servers = list(self.llm_client.servers.values())
        config = self.config.actor_rollout_ref.rollout
        is_validation = tu.get_non_tensor_data(batch, "validate", default=False)
        each = config.val_kwargs.n if is_validation else config.n
        of_prompts = batch["__rollout_n__"] if "__rollout_n__" in batch else [each] * len(batch)
        self._num_to_come = sum(int(number) for number in of_prompts)
        await asyncio.gather(*(server.hold.remote() for server in servers))
        await super().generate_sequences(batch)
        while sum(await asyncio.gather(*(server.num_requests.remote() for server in servers))) < self._num_to_come:
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.gather(*(server.go_on.remote() for server in servers))

    async def _compute_score(self, outputs: list[AgentLoopOutput], kwargs: dict[str, Any]) -> None:
        """Grade the last output of a trajectory in this process."""
        output = outputs[-1]
        if output.reward_score is not None:
            return
        prompt_ids, response_ids = torch.tensor(output.prompt_ids), torch.tensor(output.response_ids)
        tokens = torch.cat([prompt_ids, response_ids]).unsqueeze(0)
        batch = {
            "prompts": prompt_ids.unsqueeze(0),
            "responses": response_ids.unsqueeze(0),
            "input_ids": tokens,
            "attention_mask": torch.ones_like(tokens),
        }
        fields = kwargs | {"__num_turns__": output.num_turns, "tool_extra_fields": output.extra_fields}
        fields |= {"prompt_len": len(output.prompt_ids), "response_len": len(output.response_ids)}
        columns = {}
        for name, value in fields.items():
            columns[name] = np.empty(1, dtype=object)
            columns[name][0] = value
        result = await self._rewards.compute_score(
            DataProto(batch=TensorDict(batch, batch_size=1), non_tensor_batch=columns)
        )
        output.reward_score = result["reward_score"]
        output.extra_fields["reward_extra_info"] = result["reward_extra_info"]

    def _is_plain(self, prompt: dict[str, Any]) -> bool:
        return (
            prompt.get("agent_name") == PLAIN_AGENT
            and self.processor is None
            and not self.tools
            and not self.distillation_enabled
            and not self.rollout_config.enable_rollout_routing_replay
        )

    async def _run_prompt(
        self, prompt: dict[str, Any], sampling_params: dict[str, Any], trajectory: dict[str, Any], trace: bool = False
    ) -> None:
        place = int(prompt.pop(PLACE, 0))
        if not self._is_plain(prompt) and not self._is_deterministic:
            await super()._run_prompt(prompt, sampling_params, trajectory=trajectory, trace=trace)
            return
        uid, partition_id = prompt["uid"], "val" if trajectory["validate"] else "train"
        await self._writer.put([uid], [{"status": "running"}], partition_id=partition_id)
        try:
            await self._run_group(prompt, dict(sampling_params), trajectory["validate"], partition_id, place)
            status = "finished"
        except Exception:  # verl's contract: a failed group is marked, and the trainer decides what that means
            logger.exception("The samples of prompt %s failed.", uid)
            status = "failure"
        await self._writer.put([uid], [{"status": status}], partition_id=partition_id)

    async def _run_group(
        self,
        prompt: dict[str, Any],
        sampling_params: dict[str, Any],
        is_validation: bool,
        partition_id: str,
        place: int,
    ) -> None:
        """Sample, grade and store the responses to one prompt, which has this ``place`` in the batch."""
        config = self.config.actor_rollout_ref.rollout
        num_samples = prompt.pop("__rollout_n__", config.val_kwargs.n if is_validation else config.n)
        if not prompt.pop("__do_sample__", True) and not is_validation:
            apply_greedy_sampling_params(sampling_params)
        requests = self._requests(prompt, place, num_samples, sampling_params, is_validation=is_validation)
        try:
            if not self._is_plain(prompt):
                raise ValueError(
                    "trainer.deterministic=True needs plain prompts: no tools, images or other agent loops."
                )
            prompt.pop("agent_name")
            prompt_ids = await self._single_turn.ct_build_initial_tokens(list(prompt["raw_prompt"]))
            samples = await asyncio.gather(
                *(
                    self.llm_client.generate(request_id=uuid4().hex, prompt_ids=prompt_ids, **request)
                    for request in requests
                )
            )
        except BaseException:
            self._num_to_come -= num_samples
            raise
        await self._store_group(prompt, prompt_ids, samples, partition_id)

    def _requests(
        self,
        prompt: dict[str, Any],
        place: int,
        num_samples: int,
        sampling_params: dict[str, Any],
        *,
        is_validation: bool,
    ) -> list[dict[str, Any]]:
        """What is asked of the engine for each sample of a prompt; in a deterministic run a seed and a place in its order too."""
        if not self._is_deterministic:
            return [{"sampling_params": dict(sampling_params)} for _ in range(num_samples)]
        step, run_seed = int(prompt["global_steps"]), self.config.actor_rollout_ref.rollout.seed
        return [
            {
                "sampling_params": sampling_params
                | {"seed": seed_of_sample(run_seed, step, place, sample, is_validation=is_validation)},
                "priority": number_of(place, sample),
            }
            for sample in range(num_samples)
        ]

    async def _store_group(
        self, prompt: dict[str, Any], prompt_ids: list[int], samples: list[Any], partition_id: str
    ) -> None:
        keys, fields, tags = [], [], []
        for session_id, sample in enumerate(samples):
            response_ids = list(sample.token_ids)[: self.rollout_config.response_length]
            output = AgentLoopOutput(
                prompt_ids=prompt_ids,
                response_ids=response_ids,
                response_mask=[1] * len(response_ids),
                response_logprobs=sample.log_probs[: len(response_ids)] if sample.log_probs else None,
                num_turns=2,
                metrics={},
                extra_fields=sample.extra_fields | {"turn_scores": [], "tool_rewards": []},
            )
            row = prompt | {"session_id": session_id}
            await self._compute_score([output], kwargs=row)
            field = output.as_dict() | row
            field["loss_mask"] = field["response_mask"]
            field["input_ids"] = torch.cat([field["prompts"], field["responses"]])
            field["position_ids"] = torch.arange(len(field["input_ids"]))
            field["multi_modal_inputs"] = {}
            field.pop("multi_modal_data", None)
            tags.append(
                {
                    "status": "success",
                    "prompt_len": len(prompt_ids),
                    "response_len": len(response_ids),
                    "seq_len": len(prompt_ids) + len(response_ids),
                    "global_steps": prompt["global_steps"],
                    "min_global_steps": output.extra_fields["min_global_steps"],
                    "max_global_steps": output.extra_fields["max_global_steps"],
                }
            )
            keys.append(f"{prompt['uid']}_{session_id}_0")
            fields.append(field)
        await self._writer.put(keys, tags, fields=fields, partition_id=partition_id)


class LocalAgentLoopManager(AgentLoopManagerTQ):
    """Runs one ``LocalAgentLoopWorker`` on an asyncio loop in a thread of this process."""

    async def _init_agent_loop_workers(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agent-loop", daemon=True)
        self._thread.start()

        async def build() -> LocalAgentLoopWorker:
            # On the loop's own thread: verl's reward manager keeps the loop it is built on.
            return LocalAgentLoopWorker(self.config, self.llm_client, self.teacher_client)

        self._worker = asyncio.run_coroutine_threadsafe(build(), self._loop).result()

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Start sampling ``prompts`` and return; responses arrive in TransferQueue."""
        asyncio.run_coroutine_threadsafe(self._worker.generate_sequences(prompts), self._loop).result()

    def stop(self) -> None:
        """End the thread, and what it waits for; for a run that has ended and is followed by another."""
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    """Cancel all that this loop has to do, such as answers that an asynchronous run will not wait for; their requests end too."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
