"""How much memory a run on a CPU takes at its peak, and the sizes that follow from it; before Ray starts.

On a CPU everything of a run shares one memory: the learner, vLLM's weights and its cache, and half a dozen processes that
have imported torch. What nobody has set is chosen so that it fits: how many tokens a micro-batch has, and how much cache
vLLM gets. What cannot fit is refused. On accelerators nothing is changed.

The formulas count what is large. Numbers that only a measurement gives are constants here; ``python benchmarks/gpu.py
learner --device cpu`` and the peaks of ``benchmarks/runs.py`` give them again.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf, open_dict

from verl_ext.host.free_memory import GIB, Memory, read_memory
from verl_ext.host.vllm_on_cpu import BLOCK_SIZE, KV_CACHE_VARIABLE
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.deterministic import is_deterministic
from verl_ext.training.model_file import model_config
from verl_ext.training.model_shape import Shape, shape_of
from verl_ext.training.one_process import is_one_process
from verl_ext.training.precision_words import precision_of
from verl_ext.training.resources import num_ranks
from verl_ext.training.sizes_before import sizes_before

ACTOR, ROLLOUT, MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"
BUDGET = f"{ACTOR}.ppo_max_token_len_per_gpu"
"""The log-probs' and the reference's follow it."""
CRITIC_BUDGET = "critic.ppo_max_token_len_per_gpu"
CACHE_IN_GIB = f"ray_kwargs.ray_init.runtime_env.env_vars.{KV_CACHE_VARIABLE}"
TRIM_THRESHOLD = "ray_kwargs.ray_init.runtime_env.env_vars.MALLOC_TRIM_THRESHOLD_"
MAX_MODEL_LEN = f"{ROLLOUT}.max_model_len"
CACHE = f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_memory_bytes"
CRITICS_UPDATE = "critic's update"

PROCESSES, LEARNER, ENGINE = int(2.2 * GIB), int(0.55 * GIB), int(0.65 * GIB)
"""What processes take with no model in them: trainer, rollout server, Ray and TransferQueue together; a learner; vLLM's engine."""
ONE_PROCESS = int(1.3 * GIB)
"""In place of the first two where trainer, learner, server and TransferQueue are one process: that and Ray."""
FLOAT = 4
KEPT_IN_BFLOAT16 = 2.7
"""Bytes for each number that the backward pass needs: half of float32's, and what norms and softmax keep in float32."""
ADAM = 2 * FLOAT
CHUNKS = GIB // 8
"""What is computed of one chunk of logits."""
WHOLE_LOGITS = 3
"""Tensors of (tokens x vocabulary) at one time where logits are whole: they, what is computed of them, their gradient."""
PADDING = 1.3
"""Tokens of padded rows for each token of theirs; the budget counts the latter. About the same goes for attention's copies
where prompts are shared."""

KEPT = 0.5
"""Of what a pass takes, the part again that lies freed and is neither used nor given back: holes between what is in use, and what
the allocator keeps for the next pass. Fitted to the peaks of SmolLM2-135M in docs/cpu.md, not measured on its own."""
KEPT_AT_MOST = GIB
"""The allocator's threshold in cpu.yaml, where nobody has set another."""

LARGEST_BUDGET, LARGEST_CRITIC_BUDGET = 16384, 32768
"""verl's own."""
ACTIVATIONS = GIB
"""A micro-batch is not made larger than this where it need not be: larger ones are hardly faster on a CPU."""
LARGEST_CACHE = 4 * GIB
"""vLLM's cache is what samples at one time need, up to this: where it is less, some of them wait."""
CHEAP_CACHE = GIB // 4
"""It holds as many as vLLM takes where that is no more than this: validation has other numbers of samples."""
FEW_ROWS = 8
"""Samples that the cache holds in any case: sampling one after the other would take for ever."""
ROUND = 64
SHARE = 0.9
"""Of what is free, that chosen sizes may fill: estimates are off, and others use the machine too."""


def bytes_of(dtype: Any) -> int:
    """Of a number in a precision, by any of its names."""
    return 2 if precision_of(dtype) in ("bfloat16", "float16") else FLOAT


@dataclass(frozen=True)
class Estimate:
    """Bytes of a run: what is there all the time, and what each phase adds to it."""

    resident: dict[str, int]
    phases: dict[str, dict[str, int]]

    @property
    def peak(self) -> int:
        return sum(self.resident.values()) + max(sum(parts.values()) for parts in self.phases.values())

    def peak_of(self, phase: str) -> int:
        return sum(self.resident.values()) + sum(self.phases[phase].values())

    @property
    def peak_phase(self) -> str:
        return max(self.phases, key=lambda phase: sum(self.phases[phase].values()))


class Planner:
    """What the run of ``config`` takes; its models' shapes are known."""

    def __init__(self, config: Any, shape: Shape, critic: Shape | None) -> None:
        self._config, self._shape, self._critic = config, shape, critic
        self._ranks = num_ranks(config)
        self._is_adapter = config.actor_rollout_ref.model.lora_rank > 0

    def estimate(self, tokens: int, critic_tokens: int, cache: int) -> Estimate:
        """Of micro-batches with these numbers of tokens, and this many bytes of vLLM's cache in each engine."""
        actor, rollout = self._config.actor_rollout_ref.actor, self._config.actor_rollout_ref.rollout
        size = bytes_of(actor.fsdp_config.get("model_dtype", "fp32"))
        number = self._shape.num_parameters
        trained = 0 if self._is_adapter else number
        engines = max(1, self._ranks // rollout.tensor_model_parallel_size)
        in_engine = number * bytes_of(rollout.dtype)
        has_reference = self._config.algorithm.use_kl_in_reward or actor.use_kl_loss
        resident = {
            "processes": (ONE_PROCESS if is_one_process(self._config) else PROCESSES + self._ranks * LEARNER)
            + engines * ENGINE,
            "weights": number * size,
            "optimizer": trained * ADAM,
            "reference": number * FLOAT if has_reference and not self._is_adapter else 0,
            "critic": self._critic.num_parameters * (FLOAT + ADAM) if self._critic else 0,
            # The head's packed copy beside the embedding is there also where they are tied.
            "engine": engines * (in_engine + self._shape.vocabulary * self._shape.hidden * bytes_of(rollout.dtype)),
            "cache": engines * cache,
        }
        phases = {
            "loading": {"weights a second time": number * size},
            "update": self._pass(
                trained, self.activations(tokens), self._gathered(self._shape, actor.fsdp_config, self._actors_dtype)
            ),
            "weight push": {
                "weights in transit": (1 + engines) * min(self._bucket(), number * FLOAT) + engines * number * FLOAT
            },
        }
        if self._critic:
            fsdp = self._config.critic.fsdp
            phases[CRITICS_UPDATE] = self._pass(
                self._critic.num_parameters,
                self._of_critic(critic_tokens),
                self._gathered(self._critic, fsdp, fsdp.dtype),
            )
        return Estimate({name: number for name, number in resident.items() if number}, phases)

    def _pass(self, trained: int, activations: int, gathered: int) -> dict[str, int]:
        """Of an update of so many parameters, whose micro-batch and gathered weights have these bytes in one rank."""
        parts = {
            "gradients": trained * FLOAT,
            "activations": self._ranks * activations,
            "gathered weights": self._ranks * gathered,
        }
        threshold = int(OmegaConf.select(self._config, TRIM_THRESHOLD) or KEPT_AT_MOST)
        return parts | {"what the allocator keeps": min(self._ranks * threshold, int(KEPT * sum(parts.values())))}

    @staticmethod
    def _gathered(shape: Shape, fsdp: Any, dtype: Any) -> int:
        """The copy that FSDP2 makes for a pass, with one rank too: of the embedding and of the layer that computes, or of all."""
        embedding = shape.vocabulary * shape.hidden
        of_layer = max(0, shape.num_parameters - embedding) // shape.num_layers
        return bytes_of(dtype) * (embedding + of_layer if fsdp.reshard_after_forward else shape.num_parameters)

    @property
    def _actors_dtype(self) -> Any:
        return self._config.actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype

    def activations(self, tokens: int) -> int:
        """Of a micro-batch of the actor's update, in one rank."""
        model = self._config.actor_rollout_ref.model
        shape = self._shape
        head = 2 * shape.vocabulary * shape.hidden * FLOAT  # the head's gradient, and the embedding's
        of_row = WHOLE_LOGITS * shape.vocabulary * FLOAT
        if model.use_fused_kernels:
            logits = min(CHUNKS, self._rows(self.most_tokens, model) * of_row)
        else:
            logits = self._rows(tokens, model) * of_row
        layers = self._of_layers(shape, tokens, model, self._actors_dtype)
        return layers + logits + (0 if self._is_adapter else head)

    def _of_critic(self, tokens: int) -> int:
        assert self._critic is not None
        return self._of_layers(self._critic, tokens, self._config.critic.model, self._config.critic.fsdp.dtype)

    def _of_layers(self, shape: Shape, tokens: int, model: Any, dtype: Any) -> int:
        of_layer = shape.saved_of_a_token
        layers = shape.num_layers
        saved = layers * shape.hidden + of_layer if model.enable_gradient_checkpointing else layers * of_layer
        return int(self._rows(tokens, model) * saved * (FLOAT if bytes_of(dtype) == FLOAT else KEPT_IN_BFLOAT16))

    @staticmethod
    def _rows(tokens: int, model: Any) -> int:
        return int(tokens * (1 if model.use_remove_padding else PADDING))

    def _bucket(self) -> int:
        return int(self._config.actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes) * 2**20

    @property
    def longest(self) -> int:
        """Tokens of the longest row that there may be."""
        return _longest_row(self._config)

    @property
    def most_tokens(self) -> int:
        """Tokens that one rank gets in a step at most: a larger micro-batch than this there is not."""
        rows = int(self._config.data.train_batch_size * self._config.actor_rollout_ref.rollout.n)
        return self.longest * -(-rows // self._ranks)

    def wanted_cache(self) -> int:
        """Bytes that hold all samples of a step that one engine works on at one time, or more where that is cheap."""
        rollout = self._config.actor_rollout_ref.rollout
        engines = max(1, self._ranks // rollout.tensor_model_parallel_size)
        at_one_time: int = min(rollout.max_num_seqs, -(-self._config.data.train_batch_size * rollout.n // engines))
        of_row, most = self._in_cache(self.longest), int(rollout.max_num_seqs)
        return self._unused_block + max(of_row * at_one_time, min(of_row * most, CHEAP_CACHE))

    def least_cache(self) -> int:
        """Bytes without which vLLM does not start (a row of ``max_model_len``), or samples a few at a time."""
        longest = self._config.actor_rollout_ref.rollout.max_model_len or self.longest
        few_rows = FEW_ROWS * self._in_cache(self.longest)
        return self._unused_block + max(
            self._in_cache(longest), min(few_rows, self.wanted_cache() - self._unused_block)
        )

    @property
    def _unused_block(self) -> int:
        """Bytes of the one block that vLLM never gives to a sample; its check at the start does not count it."""
        return self._in_cache(0)

    def _in_cache(self, tokens: int) -> int:
        """Bytes of a row of so many tokens, in whole blocks."""
        of_token = (
            2 * self._shape.num_layers * self._shape.key_value * bytes_of(self._config.actor_rollout_ref.rollout.dtype)
        )
        return of_token * BLOCK_SIZE * (tokens // BLOCK_SIZE + 1)

    def cache_within(self, free: int) -> int:
        """Bytes of cache: what is wanted, or half of what ``free`` bytes leave beside micro-batches of one row."""
        left = free - self.estimate(self.longest, self.longest, 0).peak
        return max(self.least_cache(), min(self.wanted_cache(), LARGEST_CACHE, left // 2))

    def budget_within(self, free: int, cache: int) -> int:
        """Tokens of a micro-batch that fit into ``free`` bytes beside everything else; at least the longest row."""
        of_1024 = self.activations(1024) - self.activations(0)
        return self._tokens(
            of_1024, LARGEST_BUDGET, lambda tokens: self.estimate(tokens, 0, cache).peak_of("update") <= free
        )

    def critic_budget_within(self, free: int, cache: int) -> int:
        """The same for the critic."""
        assert self._critic is not None
        return self._tokens(
            self._of_critic(1024),
            LARGEST_CRITIC_BUDGET,
            lambda tokens: self.estimate(0, tokens, cache).peak_of(CRITICS_UPDATE) <= free,
        )

    def _tokens(self, bytes_of_1024: int, largest: int, fits: Callable[[int], bool]) -> int:
        """The most, in steps of ``ROUND``, whose activations are no more than wanted and which fit; at least the longest row."""
        wanted = min(largest, ACTIVATIONS * 1024 // bytes_of_1024) // ROUND
        fitting = bisect_left(range(1, wanted + 1), True, key=lambda steps: not fits(steps * ROUND))
        return max(self.longest, fitting * ROUND)


def _longest_row(config: Any) -> int:
    """Tokens of a prompt and a response at most."""
    return int(config.data.max_prompt_length + config.data.max_response_length)


def planner_of(config: Any) -> Planner | None:
    """For a run on a CPU whose models' sizes can be looked at; None elsewhere."""
    if config.trainer.device != "cpu":
        return None
    shape = shape_of(config.actor_rollout_ref.model.path)
    critic = shape_of(config.critic.model.path) if uses_critic(config) else None
    if shape is None or (uses_critic(config) and critic is None):
        return None
    return Planner(config, shape, critic)


def settle(config: Any, memory: Memory | None = None) -> None:
    """Replace ``null`` in a CPU run's token budgets and its cache by what fits into what is free of ``memory``.

    A run that repeats to the bit counts on all that there is, since other sizes are other bits, and goes on with those that it
    has had.
    """
    if config.trainer.device != "cpu":
        return
    longest = _longest_row(config)
    if config.actor_rollout_ref.rollout.max_model_len is None:
        config.actor_rollout_ref.rollout.max_model_len = longest
    planner = planner_of(config)
    memory = memory or read_memory()
    free = int(SHARE * (memory.total if is_deterministic(config) else memory.available))
    before = sizes_before(config, (CACHE, BUDGET, CRITIC_BUDGET))
    _settle_cache(config, planner, free, before.get(CACHE))
    cache = cache_of(config)
    for option in (BUDGET, CRITIC_BUDGET):
        if option in before and OmegaConf.select(config, option) is None:
            OmegaConf.update(config, option, before[option])
    if OmegaConf.select(config, BUDGET) is None:
        tokens = planner.budget_within(free, cache) if planner else max(longest, LARGEST_BUDGET)
        OmegaConf.update(config, BUDGET, tokens)
    if OmegaConf.select(config, CRITIC_BUDGET) is None:
        has_critic = planner is not None and uses_critic(config)
        least = max(longest, LARGEST_CRITIC_BUDGET)
        tokens = planner.critic_budget_within(free, cache) if planner and has_critic else least
        OmegaConf.update(config, CRITIC_BUDGET, tokens)


def _settle_cache(config: Any, planner: Planner | None, free: int, before: int | None) -> None:
    """By the variable where somebody has set it, which counts in GiB and wins in vLLM; else by the option, in bytes.

    ``before`` is the option's of a run that goes on with what it has had.
    """
    if OmegaConf.select(config, CACHE_IN_GIB) is None and KV_CACHE_VARIABLE in os.environ:
        OmegaConf.update(config, CACHE_IN_GIB, os.environ[KV_CACHE_VARIABLE])
    if OmegaConf.select(config, CACHE_IN_GIB) is not None:
        return
    with open_dict(config):
        config.ray_kwargs.ray_init.runtime_env.env_vars.pop(KV_CACHE_VARIABLE, None)  # none where it was settled before
    if OmegaConf.select(config, CACHE) is None:
        OmegaConf.update(config, CACHE, before or (planner.cache_within(free) if planner else GIB))


def agree(configs: Sequence[Any], overrides: Sequence[Sequence[str]]) -> None:
    """Give runs that follow one another with the same model the same engine: the largest of the sizes that were chosen.

    A run that repeats to the bit keeps those that it has on its own, and shares an engine with those that have the same.

    Args:
        overrides: Of each run; an option that is among them was not chosen.
    """
    for option in (CACHE, MAX_MODEL_LEN):
        of_model: dict[str, list[Any]] = {}
        for config, given in zip(configs, overrides, strict=True):
            is_chosen = option not in {override.partition("=")[0].lstrip("+") for override in given}
            if config.trainer.device != "cpu" or is_deterministic(config):
                continue
            if is_chosen and OmegaConf.select(config, option) is not None:
                of_model.setdefault(str(model_config(config.actor_rollout_ref.model.path)), []).append(config)
        for alike in of_model.values():
            largest = max(OmegaConf.select(config, option) for config in alike)
            for config in alike:
                OmegaConf.update(config, option, largest)


def cache_of(config: Any) -> int:
    """Bytes of one engine's cache."""
    in_gib = OmegaConf.select(config, CACHE_IN_GIB)
    if in_gib is None:
        return int(OmegaConf.select(config, CACHE))
    if not str(in_gib).isdigit():
        raise ValueError(f"{CACHE_IN_GIB} must be a whole number of GiB, got {in_gib}.")
    return int(in_gib) * GIB


def estimate(config: Any) -> Estimate | None:
    """Of a run whose sizes are settled; None where it cannot be told."""
    planner = planner_of(config)
    if planner is None:
        return None
    actor, critic = config.actor_rollout_ref.actor, config.critic
    tokens = actor.ppo_max_token_len_per_gpu
    if not actor.use_dynamic_bsz:
        tokens = planner.longest * (actor.ppo_micro_batch_size_per_gpu or 1)
    critic_tokens = critic.ppo_max_token_len_per_gpu
    if not critic.use_dynamic_bsz:
        critic_tokens = planner.longest * (critic.ppo_micro_batch_size_per_gpu or 1)
    most = planner.most_tokens
    return planner.estimate(min(tokens, most), min(critic_tokens, most), cache_of(config))


def check_memory(config: Any, memory: Memory | None = None) -> None:
    """The run fits into what there is when nobody else takes any.

    Raises:
        ValueError: It does not; what to change is named.
    """
    found = estimate(config)
    memory = memory or read_memory()
    if found is None or found.peak <= memory.total:
        return
    planner = planner_of(config)
    assert planner is not None
    needs = f"needs about {found.peak / GIB:.1f} GiB at its peak ({described_parts(found)})"
    has = f"there are {memory.total / GIB:.1f} GiB ({memory.total_bound})"
    least = planner.least_cache()
    if planner.estimate(planner.longest, planner.longest, least).peak > memory.total:
        raise ValueError(
            f"{MODEL}.path={config.actor_rollout_ref.model.path}: a run with this model {needs}, and {has}. That is more even "
            f"with one row in a micro-batch. Take a smaller model, train an adapter ({MODEL}.lora_rank=16), shorten "
            "data.max_prompt_length and data.max_response_length, or use a machine or limit with more memory."
        )
    if planner.estimate(planner.longest, planner.longest, cache_of(config)).peak > memory.total:
        option = CACHE if OmegaConf.select(config, CACHE_IN_GIB) is None else CACHE_IN_GIB
        raise ValueError(
            f"{option}={OmegaConf.select(config, option)}: the run {needs}, and {has}. Leave it out, or lower it."
        )
    option, model = (BUDGET, ACTOR) if found.peak_phase != CRITICS_UPDATE else (CRITIC_BUDGET, "critic")
    if not OmegaConf.select(config, f"{model}.use_dynamic_bsz"):
        option = f"{model}.ppo_micro_batch_size_per_gpu"
        raise ValueError(
            f"{option}={OmegaConf.select(config, option)}: the run {needs}, and {has}. Lower it, or leave it and "
            f"{model}.use_dynamic_bsz out: micro-batches of so many tokens are then chosen so that the run fits."
        )
    raise ValueError(
        f"{option}={OmegaConf.select(config, option)}: the run {needs}, and {has}. Leave the option out: it is then chosen so "
        "that the run fits."
    )


def described_parts(found: Estimate) -> str:
    """What the peak is made of, largest first, in GiB."""
    parts = found.resident | {
        f"{name} of the {found.peak_phase}": n for name, n in found.phases[found.peak_phase].items()
    }
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {number / GIB:.1f}" for name, number in ordered if number >= GIB // 20)


def described(config: Any, memory: Memory | None = None) -> str:
    """The estimate of each phase, or why there is none, for the person who launches; empty on accelerators."""
    if config.trainer.device != "cpu":
        return ""
    found, memory = estimate(config), memory or read_memory()
    if found is None:
        return _described_unknown(config, memory)
    resident = sum(found.resident.values())
    phases = ", ".join(f"{phase} {(resident + sum(parts.values())) / GIB:.1f}" for phase, parts in found.phases.items())
    lines = [
        f"memory: about {found.peak / GIB:.1f} GiB of {memory.available / GIB:.1f} {memory.bound}; by phase, GiB: "
        f"rollout {resident / GIB:.1f}, {phases}",
        f"  {described_parts(found)}",
        f"  {BUDGET}={OmegaConf.select(config, BUDGET)} tokens, {cache_of(config) / GIB:.2f} GiB of cache",
    ]
    if found.peak > memory.available:
        lines.append(
            "  That is more than is free now: a process may be killed. Wait until others have ended, or lower these."
        )
    return "\n".join(lines)


def _described_unknown(config: Any, memory: Memory) -> str:
    """That nothing is known of a run's memory, and which sizes it has."""
    actor, critic = config.actor_rollout_ref, config.critic
    path = actor.model.path if shape_of(actor.model.path) is None else critic.model.path
    of_critic = f", {CRITIC_BUDGET}={critic.ppo_max_token_len_per_gpu} of the critic's" if uses_critic(config) else ""
    return (
        f"memory: sizes unknown, since the config.json of {path} does not name them: nothing is estimated, and that it fits "
        f"into {memory.available / GIB:.1f} GiB {memory.bound} is not checked. {BUDGET}={actor.actor.ppo_max_token_len_per_gpu} "
        f"tokens of a micro-batch{of_critic}, {cache_of(config) / GIB:.2f} GiB of cache. Where that is too much, set them."
    )
