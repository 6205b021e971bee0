"""How much memory a run takes of each accelerator at its peak: FSDP's shares of the learner, and vLLM's part.

Only ``verl_ext.doctor`` looks at it; nothing is chosen by it. The update's part is within a tenth of what one GPU took
(``docs/gpu.md``, ``tests/training/test_device_memory.py``); vLLM's part and several GPUs have not been measured.
"""

from typing import Any

from verl_ext.host.finding import Finding, fail, ok, warn
from verl_ext.host.free_memory import GIB
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.memory import (
    ADAM,
    CHUNKS,
    FLOAT,
    KEPT_IN_BFLOAT16,
    Estimate,
    bytes_of,
    described_parts,
)
from verl_ext.training.model_shape import Shape, shape_of
from verl_ext.training.resources import num_ranks

SUBJECT = "accelerator memory"
CONTEXT = GIB
"""Of CUDA, NCCL and what is free between what is taken."""
WHOLE_LOGITS = 2
"""Tensors of (tokens x vocabulary) in the precision of the pass: they, and their gradient. The rest is a few rows at a time."""
GATHERED = 2
"""Layers that FSDP has whole at one time: the one that computes, and the next."""
ROLLOUT, UPDATE, CRITICS_UPDATE = "rollout", "update", "critic's update"
ALMOST = 0.95


def estimate_of_device(config: Any, total: int) -> Estimate | None:
    """Of a run on accelerators with ``total`` bytes each; None where its models' sizes cannot be looked at."""
    shape = shape_of(config.actor_rollout_ref.model.path)
    critic = shape_of(config.critic.model.path) if uses_critic(config) else None
    if shape is None or (uses_critic(config) and critic is None):
        return None
    return _Device(config, shape, critic, total).estimate()


class _Device:
    def __init__(self, config: Any, shape: Shape, critic: Shape | None, total: int) -> None:
        self._config, self._shape, self._critic, self._total = config, shape, critic, total
        self._model = config.actor_rollout_ref.model

    def estimate(self) -> Estimate:
        rollout = self._config.actor_rollout_ref.rollout
        engine = int(rollout.gpu_memory_utilization * self._total)
        gives_way = rollout.free_cache_engine and rollout.get("enable_sleep_mode") is not False
        resident = {"context": CONTEXT} | ({} if gives_way else {"engine": engine})
        phases: dict[str, dict[str, int]] = {ROLLOUT: {"engine": engine} if gives_way else {}, UPDATE: self._update()}
        self._add_model(resident, phases, UPDATE, "", self._actor_engine, self._shape, is_trained=self._trains_all)
        if self._has_reference:
            size = self._share(self._shape.num_parameters * FLOAT, self._config.actor_rollout_ref.ref.fsdp_config)
            if not self._config.actor_rollout_ref.ref.fsdp_config.param_offload:
                resident["reference"] = size
        if self._critic:
            engine_config = self._config.critic.fsdp
            phases[CRITICS_UPDATE] = self._pass(
                self._critic, self._config.critic.model, self._tokens(self._config.critic), engine_config
            ) | {"gradients": self._share(self._critic.num_parameters * FLOAT, engine_config)}
            self._add_model(resident, phases, CRITICS_UPDATE, "critic's ", engine_config, self._critic, is_trained=True)
        return Estimate(resident, phases)

    @property
    def _actor_engine(self) -> Any:
        return self._config.actor_rollout_ref.actor.fsdp_config

    @property
    def _trains_all(self) -> bool:
        return int(self._model.lora_rank) < 1

    @property
    def _has_reference(self) -> bool:
        uses = self._config.algorithm.use_kl_in_reward or self._config.actor_rollout_ref.actor.use_kl_loss
        return bool(uses) and self._trains_all

    def _share(self, number: int, engine: Any) -> int:
        """A rank's part of what FSDP divides."""
        size = int(engine.get("fsdp_size", -1))
        return number // (size if size > 0 else num_ranks(self._config))

    def _add_model(
        self,
        resident: dict[str, int],
        phases: dict[str, dict[str, int]],
        phase: str,
        whose: str,
        engine: Any,
        shape: Shape,
        *,
        is_trained: bool,
    ) -> None:
        """Weights and optimizer: all the time, or in the phase that they are fetched for."""
        weights = self._share(shape.num_parameters * bytes_of(engine.get("model_dtype", "fp32")), engine)
        moments = self._share(shape.num_parameters * ADAM, engine) if is_trained else 0
        for what, size, is_away in (
            ("weights", weights, engine.param_offload),
            ("optimizer", moments, engine.optimizer_offload),
        ):
            (phases[phase] if is_away else resident)[f"{whose}{what}"] = size

    def _update(self) -> dict[str, int]:
        actor = self._config.actor_rollout_ref.actor
        tokens = self._tokens(actor)
        dtype = bytes_of(actor.fsdp_config.mixed_precision.param_dtype)
        parts = self._pass(self._shape, self._model, tokens, actor.fsdp_config)
        parts["logits"] = (
            CHUNKS if self._model.use_fused_kernels else WHOLE_LOGITS * tokens * self._shape.vocabulary * dtype
        )
        if self._trains_all:
            parts["gradients"] = self._share(self._shape.num_parameters * FLOAT, actor.fsdp_config)
        return parts

    def _pass(self, shape: Shape, model: Any, tokens: int, engine: Any) -> dict[str, int]:
        """What a forward and backward pass of a micro-batch keeps, and the weights that are whole meanwhile with their gradients."""
        dtype = bytes_of(engine.mixed_precision.param_dtype)
        of_layer, layers = shape.saved_of_a_token, shape.num_layers
        saved = layers * shape.hidden + of_layer if model.enable_gradient_checkpointing else layers * of_layer
        embedding = shape.vocabulary * shape.hidden
        of_layers = max(0, shape.num_parameters - embedding) // layers
        return {
            "activations": int(tokens * saved * (FLOAT if dtype == FLOAT else KEPT_IN_BFLOAT16)),
            "gathered weights": 2 * dtype * (embedding + GATHERED * of_layers),
        }

    def _tokens(self, section: Any) -> int:
        """Of a micro-batch."""
        data = self._config.data
        longest = int(data.max_prompt_length + data.max_response_length)
        if not section.use_dynamic_bsz:
            return longest * int(section.ppo_micro_batch_size_per_gpu or 1)
        rows = int(data.train_batch_size * self._config.actor_rollout_ref.rollout.n)
        most = longest * -(-rows // num_ranks(self._config))
        return min(max(longest, int(section.ppo_max_token_len_per_gpu)), most) // self._sequence_parallel(section)

    @staticmethod
    def _sequence_parallel(section: Any) -> int:
        return max(1, int(section.get("ulysses_sequence_parallel_size") or 1))


def device_memory(config: Any, total: int, name: str) -> Finding:
    """Whether the run of ``config`` fits into accelerators called ``name`` of ``total`` bytes each."""
    found = estimate_of_device(config, total)
    if found is None:
        return warn(
            SUBJECT,
            f"the sizes of {config.actor_rollout_ref.model.path} are not in its config.json, or that is out of reach",
            "Watch nvidia-smi in the first steps.",
        )
    rollout = config.actor_rollout_ref.rollout
    weights = _in_engine(config)
    if rollout.gpu_memory_utilization * total < weights:
        return fail(
            SUBJECT,
            f"actor_rollout_ref.rollout.gpu_memory_utilization={rollout.gpu_memory_utilization} of {total / GIB:.1f} GiB is less "
            f"than vLLM's weights take of each {name}, {weights / GIB:.1f} GiB",
            "Raise it, or actor_rollout_ref.rollout.tensor_model_parallel_size.",
        )
    by_phase = ", ".join(f"{phase} {found.peak_of(phase) / GIB:.1f}" for phase in found.phases)
    text = (
        f"about {found.peak / GIB:.1f} GiB of the {total / GIB:.1f} of each {name}; by phase, GiB: {by_phase}\n"
        f"{described_parts(found)}"
    )
    if found.peak <= ALMOST * total:
        return ok(SUBJECT, text)
    return (fail if found.peak > total else warn)(SUBJECT, text, _advice(found))


def _in_engine(config: Any) -> int:
    """Bytes of vLLM's weights on one accelerator."""
    rollout, shape = config.actor_rollout_ref.rollout, shape_of(config.actor_rollout_ref.model.path)
    assert shape is not None
    return shape.num_parameters * bytes_of(rollout.dtype) // int(rollout.tensor_model_parallel_size)


def _advice(found: Estimate) -> str:
    if found.peak_phase == ROLLOUT:
        return (
            "Lower actor_rollout_ref.rollout.gpu_memory_utilization, or set "
            "actor_rollout_ref.actor.fsdp_config.optimizer_offload=True."
        )
    section = "critic" if found.peak_phase == CRITICS_UPDATE else "actor_rollout_ref.actor"
    engine = "fsdp" if found.peak_phase == CRITICS_UPDATE else "fsdp_config"
    return (
        f"Set {section}.{engine}.optimizer_offload=True, lower {section}.ppo_max_token_len_per_gpu, train an adapter "
        "(actor_rollout_ref.model.lora_rank=16) or take more accelerators."
    )
