"""Options of this package that have another name now, each with what to set instead."""

from collections.abc import Sequence

_GUARDS = "trainer.guardrails"
MOVED = {
    "trainer.max_grader_error_ratio": f"Set {_GUARDS}.grader_errors.max_ratio, or {_GUARDS}.grader_errors.action=null for no limit.",
    "trainer.max_rollout_probs_diff": f"Set {_GUARDS}.rollout_gap.max_diff.",
    "trainer.max_rollout_probs_diff_growth": f"Set {_GUARDS}.rollout_gap.max_growth.",
    "trainer.ends_early.min_entropy": f"Set {_GUARDS}.entropy.min_entropy and {_GUARDS}.entropy.action=end.",
    "trainer.ends_early.max_length_growth": f"Set {_GUARDS}.response_length.max_growth and {_GUARDS}.response_length.action=end.",
    "trainer.ends_early.over_steps": f"Set {_GUARDS}.entropy.over_steps and {_GUARDS}.response_length.over_steps.",
}


def moved_option(overrides: Sequence[str]) -> str | None:
    """A message about the first override that has an old name; None where none has."""
    for override in overrides:
        instead = MOVED.get(override.partition("=")[0].lstrip("+~"))
        if instead is not None:
            return f"{override} is an option of an earlier version. {instead}"
    return None
