"""Of which distribution the rollout reports the sampled tokens' log-probs, so that they can be compared with the actor's.

The actor has the whole distribution at the run's temperature. vLLM knows two: ``processed_logprobs``, after temperature,
top_p and top_k, which share out what they cut off; and ``raw_logprobs``, before all three.
"""

from typing import Any

AUTO, PROCESSED, RAW = "auto", "processed_logprobs", "raw_logprobs"


def is_cut(rollout: Any) -> bool:
    """Whether top_p or top_k leave out tokens."""
    return (_is_number(rollout.top_p) and rollout.top_p < 1) or (_is_number(rollout.top_k) and rollout.top_k > 0)


def choose_log_probs(config: Any) -> None:
    """Put the kind in the place of ``auto``: the actor's own distribution where vLLM can report it."""
    rollout = config.actor_rollout_ref.rollout
    if rollout.logprobs_mode == AUTO:
        rollout.logprobs_mode = RAW if is_cut(rollout) and rollout.temperature == 1 else PROCESSED


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
