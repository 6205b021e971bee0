"""The guards, one row each: what ``trainer.guardrails`` may configure. Defaults are in config/trainer.yaml."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import objective_under
from verl_ext.objectives.names import OUR_ASYNC_TRAINER
from verl_ext.training.guards import rollout_gap
from verl_ext.training.guards.answer_guards import (
    Entropy,
    FailedPrompts,
    GraderErrors,
    ResponseLength,
    Rise,
    StepsOfNothing,
)
from verl_ext.training.guards.guard import Guard, Moment
from verl_ext.training.guards.update_guards import GradientNorm, LongNsr, NotFinite, ValidationFall

WARN, STOP, ROLL_BACK, END = "warn", "stop", "roll_back", "end"
WITHIN_A_STEP = (WARN, STOP, ROLL_BACK)
AFTER_A_STEP = (WARN, STOP, ROLL_BACK, END)


class GuardRow(NamedTuple):
    """A guard."""

    name: str
    make: Callable[..., Guard]
    """Called with its options, but for the action."""
    moments: tuple[Moment, ...] = (Moment.STEP,)
    actions: tuple[str, ...] = AFTER_A_STEP
    """Those that it can be given beside null: a step that is not over cannot be a run's last."""
    from_config: Callable[[Any], dict[str, Any]] = lambda _config: {}
    """What it needs to know of the rest of the configuration."""


def scales_its_loss(config: Any) -> bool:
    """Whether verl's engine trains the actor in float16, with a loss scale that it lowers when a gradient overflows."""
    precision = config.actor_rollout_ref.actor.fsdp_config.get("mixed_precision") or {}
    return precision.get("param_dtype") in ("fp16", "float16", "half", 16)


def is_pure_nsr(config: Any) -> bool:
    """Whether correct responses have no weight from the first step to the last, and wrong ones have."""
    options = AlgorithmOptions.read(config.algorithm)
    row = objective_under(options)
    if row is not None and row.reads_likelihoods:
        return row.ignores_one_sign
    if row is None or not row.is_signed or options.group_normalize or options.positive_advantage_weight_schedule:
        return False
    weights = row.weights_under(options)
    return weights.positive == 0.0 and weights.negative > 0.0


ROWS = (
    GuardRow(
        "not_finite",
        NotFinite,
        moments=(Moment.GRADED, Moment.UPDATED),
        actions=WITHIN_A_STEP,
        from_config=lambda config: {"may_overflow": scales_its_loss(config)},
    ),
    GuardRow("grader_errors", GraderErrors, moments=(Moment.GRADED,), actions=WITHIN_A_STEP),
    GuardRow("failed_prompts", FailedPrompts, moments=(Moment.GRADED,), actions=WITHIN_A_STEP),
    GuardRow(
        rollout_gap.NAME,
        rollout_gap.RolloutGap,
        moments=(Moment.COMPARED,),
        actions=WITHIN_A_STEP,
        from_config=lambda config: {"is_asynchronous": config.trainer.v1.trainer_mode == OUR_ASYNC_TRAINER},
    ),
    GuardRow("gradient_norm", GradientNorm),
    GuardRow("entropy", Entropy),
    GuardRow("response_length", ResponseLength),
    GuardRow(
        "truncation",
        partial(
            Rise,
            name="truncation",
            metric="train/reason/truncated",
            what="the answers are cut before they are complete",
        ),
    ),
    GuardRow(
        "repetition",
        partial(Rise, name="repetition", metric="train/repetition", what="what answers say they have said before"),
    ),
    GuardRow("validation", ValidationFall),
    GuardRow(
        "equal_rewards",
        partial(StepsOfNothing, name="equal_rewards", metric="train/reward_range", what="all rewards are equal"),
    ),
    GuardRow(
        "nothing_kept",
        partial(
            StepsOfNothing, name="nothing_kept", metric="train/kept_samples", what="no sample is left to learn from"
        ),
    ),
    GuardRow("long_nsr", LongNsr, actions=(WARN,), from_config=lambda config: {"is_pure": is_pure_nsr(config)}),
)
GUARDS = {row.name: row for row in ROWS}
ADVICE = ("long_nsr",)
"""What is no sign of trouble by itself."""
