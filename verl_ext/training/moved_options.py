"""Options of this package that have another name now, and those of another program of verl's, each with what to set instead."""

from collections.abc import Sequence

from verl_ext.objectives.names import OUR_ASYNC_TRAINER

_GUARDS = "trainer.guardrails"
MOVED = {
    "trainer.max_grader_error_ratio": f"Set {_GUARDS}.grader_errors.max_ratio, or {_GUARDS}.grader_errors.action=null for no limit.",
    "trainer.max_rollout_probs_diff": f"Set {_GUARDS}.rollout_gap.max_diff.",
    "trainer.max_rollout_probs_diff_growth": f"Set {_GUARDS}.rollout_gap.max_growth.",
    "trainer.ends_early.min_entropy": f"Set {_GUARDS}.entropy.min_entropy and {_GUARDS}.entropy.action=end.",
    "trainer.ends_early.max_length_growth": f"Set {_GUARDS}.response_length.max_growth and {_GUARDS}.response_length.action=end.",
    "trainer.ends_early.over_steps": f"Set {_GUARDS}.entropy.over_steps and {_GUARDS}.response_length.over_steps.",
}
FULLY_ASYNC = "async_training"
"""A section of the configuration of verl's fully asynchronous trainer."""


def moved_option(overrides: Sequence[str]) -> str | None:
    """A message about the first override that has an old name; None where none has."""
    for override in overrides:
        instead = MOVED.get(override.partition("=")[0].lstrip("+~"))
        if instead is not None:
            return f"{override} is an option of an earlier version. {instead}"
    return None


def fully_async_option(overrides: Sequence[str]) -> str | None:
    """A message about the first override that is for verl's fully asynchronous trainer; None where none is."""
    for override in overrides:
        if override.lstrip("+~").partition("=")[0].partition(".")[0] == FULLY_ASYNC:
            return (
                f"{override} is for verl's fully asynchronous trainer (python -m "
                "verl.experimental.fully_async_policy.fully_async_main), which this launcher does not start: it is built on verl's "
                "older trainer and has no place for the sign filter, the one-pass learner and the guardrails. Set "
                f"trainer.v1.trainer_mode={OUR_ASYNC_TRAINER}."
            )
    return None
