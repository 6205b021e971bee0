"""verl's FSDP2 learner on 1 or 2 CPU ranks without Ray, for tests that compare updates.

``updates`` starts the ranks, gives each its share of the rows the way the trainer would, makes one update with the real
engine and policy loss, and returns the weights and the metrics; ``updated_weights`` returns the weights alone.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from tensordict import TensorDict

from verl_ext.host.threads import ONE_THREAD
from verl_ext.host.vllm_on_cpu import CPU_PLATFORM


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Case:
    """One update: rows, fields of verl's FSDPActorConfig (and PolicyLossConfig), and what the trainer says of the batch."""

    rows: list[dict]
    options: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)


class Update(NamedTuple):
    weights: dict[str, torch.Tensor]
    metrics: dict[str, list[float]]
    own: dict[str, list[torch.Tensor]]
    """Per field the tokens of each row of the first rank, where the trainer asked for the update's own log-probs."""


def updated_weights(
    model: Path,
    cases: list[list[dict]],
    *,
    num_ranks: int,
    options: dict | None = None,
    model_options: dict | None = None,
) -> list[dict[str, torch.Tensor]]:
    """Weights after one update from the same start, for the rows of each case; see ``updates``."""
    of_case = [Case(rows, options or {}) for rows in cases]
    return [update.weights for update in updates(model, of_case, num_ranks=num_ranks, model_options=model_options)]


def updates(
    model: Path,
    cases: list[Case],
    *,
    num_ranks: int,
    model_options: dict | None = None,
    max_tokens: int = 256,
) -> list[Update]:
    """One update from the same start, for each case.

    Args:
        model: Folder of the model to start from.
        cases: Their rows are one per response: ``prompt`` and ``response`` token ids, ``advantage``, ``old_shift`` (what
            is added to the policy's own log-probs to make the old ones, so that the ratio is not 1); where the trainer asks
            for the update's own log-probs there are no old ones, and ``rollout_shift`` makes the rollout's instead.
        num_ranks: 1 or 2; the rows are dealt out in turn and padded with zero-mask rows to equal shares.
        model_options: Fields of verl's HFModelConfig; by default rows are padded, and nothing is checkpointed.
        max_tokens: Of a micro-batch, in every pass.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(
            json.dumps(
                {
                    "model": str(model),
                    "cases": [vars(case) for case in cases],
                    "model_options": model_options or {},
                    "max_tokens": max_tokens,
                    "out": folder,
                }
            )
        )
        port = free_port()
        ranks = [
            subprocess.Popen(
                [sys.executable, __file__, str(job)],
                env=os.environ
                | {
                    "RANK": str(rank),
                    "WORLD_SIZE": str(num_ranks),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "LOCAL_RANK": "0",
                }
                | CPU_PLATFORM
                | ONE_THREAD,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(num_ranks)
        ]
        try:
            outputs = [rank.communicate()[0] for rank in ranks]
        finally:  # one that waits for the others would outlive a test whose time is up
            for rank in ranks:
                rank.kill()
        assert all(rank.returncode == 0 for rank in ranks), "\n".join(outputs)
        return [Update(*update) for update in torch.load(Path(folder) / "updates.pt")]


def _main(job_path: str) -> None:
    from functools import partial

    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
    from verl.trainer.ppo.padding_utils import construct_minimal_padding_template
    from verl.utils import tensordict_utils as tu
    from verl.workers.config import (
        FSDPActorConfig,
        FSDPEngineConfig,
        FSDPOptimizerConfig,
        HFModelConfig,
        PolicyLossConfig,
        TrainingWorkerConfig,
    )
    from verl.workers.utils.losses import ppo_loss
    from verl.workers.utils.padding import response_from_nested

    import verl_ext.training.losses  # noqa: F401  registers them
    from verl_ext.learner.verl_workers import LearnerWorker

    job = json.loads(Path(job_path).read_text())
    rank, num_ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    model_config = HFModelConfig(
        path=job["model"],
        **{
            "override_config": {"attn_implementation": "sdpa"},
            "use_remove_padding": False,
            "enable_gradient_checkpointing": False,
        }
        | job["model_options"],
    )
    fp32 = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    engine = FSDPEngineConfig(strategy="fsdp2", mixed_precision=fp32, use_torch_compile=False, use_dynamic_bsz=True)
    engine.max_token_len_per_gpu = engine.infer_max_token_len_per_gpu = job["max_tokens"]
    # SGD without clipping shows the gradient itself; AdamW's first step would show only its sign.
    optimizer = FSDPOptimizerConfig(
        lr=0.1, optimizer="SGD", clip_grad=1e9, total_training_steps=1, weight_decay=0.0, override_optimizer_config={}
    )
    torch.manual_seed(0)  # an adapter begins with random numbers
    worker = LearnerWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=model_config,
            engine_config=engine,
            optimizer_config=optimizer,
            checkpoint_config=FSDPActorConfig(strategy="fsdp2", rollout_n=1, ppo_micro_batch_size_per_gpu=1).checkpoint,
        )
    )
    worker.reset()

    module = worker.engine.module
    start = {name: value.full_tensor().clone() for name, value in module.state_dict().items()}
    results = []
    for case in job["cases"]:
        rows, options = case["rows"], dict(case["options"])
        of_loss = {name: options.pop(name) for name in ("loss_mode", "dro_beta") if name in options}
        actor = FSDPActorConfig(
            strategy="fsdp2",
            rollout_n=1,
            use_dynamic_bsz=True,
            ppo_micro_batch_size_per_gpu=1,
            policy_loss=PolicyLossConfig(**of_loss),
            **options,
        )
        worker.set_loss_fn(partial(ppo_loss, config=actor))
        set_model_state_dict(module, start, options=StateDictOptions(full_state_dict=True))
        samples = [_sample(row) for row in rows]
        padding, _ = construct_minimal_padding_template(samples[0], {}, eos_token_id=0)
        padding = {name: padding[name] for name in samples[0]} | {
            name: torch.zeros(1) for name in ("advantages", "old_shift", "rollout_shift")
        }
        while len(samples) % num_ranks:
            samples.append(padding)
        mine = _nested(samples[rank::num_ranks])
        shifts = {"old_log_probs": mine.pop("old_shift"), "rollout_log_probs": mine.pop("rollout_shift")}
        tu.assign_non_tensor(mine, calculate_entropy=False, compute_loss=False, temperature=1.0)
        log_probs = worker.infer_batch(mine.clone())["log_probs"]
        of_policy = response_from_nested(log_probs, mine["response_mask"])
        name = "rollout_log_probs" if case["said"].get("own_log_probs") else "old_log_probs"
        mine[name] = torch.nested.as_nested_tensor(
            [a + b for a, b in zip(of_policy.unbind(), shifts[name].unbind(), strict=True)], layout=torch.jagged
        )
        tu.assign_non_tensor(
            mine,
            calculate_entropy=actor.entropy_coeff != 0,
            compute_loss=True,
            global_batch_size=len(samples),
            mini_batch_size=len(samples),
            epochs=1,
            seed=0,
            dataloader_kwargs={"shuffle": False},
            **case["said"],
        )
        torch.manual_seed(0)  # clip_cov draws the tokens that it leaves out
        metrics = tu.get(worker.train_mini_batch(mine), "metrics")
        own = {} if worker.own_log_probs is None else worker.own_log_probs.fields()
        results.append(
            (
                {name: value.full_tensor().clone() for name, value in module.state_dict().items()},
                {name: [float(value) for value in values] for name, values in metrics.items()},
                {name: list(values.unbind()) for name, values in own.items()},
            )
        )
    if rank == 0:
        torch.save(results, Path(job["out"]) / "updates.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _nested(samples: list[dict]) -> TensorDict:
    columns = {name: [sample[name] for sample in samples] for name in samples[0]}
    nested = {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in columns.items()}
    return TensorDict(nested, batch_size=len(samples))


def _sample(row: dict) -> dict:
    prompts, responses = torch.tensor(row["prompt"]), torch.tensor(row["response"])
    input_ids = torch.cat([prompts, responses])
    ones = torch.ones_like(responses)
    return {
        "prompts": prompts,
        "responses": responses,
        "input_ids": input_ids,
        "position_ids": torch.arange(len(input_ids)),
        "response_mask": ones,
        "loss_mask": ones,
        "advantages": torch.full_like(responses, row["advantage"], dtype=torch.float32),
        "old_shift": torch.full_like(responses, row["old_shift"], dtype=torch.float32),
        "rollout_shift": torch.full_like(responses, row.get("rollout_shift", 0.0), dtype=torch.float32),
    }


if __name__ == "__main__":
    _main(sys.argv[1])
