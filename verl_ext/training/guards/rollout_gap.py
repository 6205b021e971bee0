"""Whether the rollout samples from the weights that are trained: the gap between its probabilities and the actor's.

The gap of a step is the mean difference of the two probabilities of the sampled tokens, in [0, 1].
"""

import math
import sys
from collections.abc import Mapping
from typing import Any

from verl_ext.training.guards.guard import OPTIONS, Trip

NAME = "rollout_gap"
METRIC = "training/rollout_probs_diff_mean"
NUM_TOKENS = "num_tokens"
"""Beside the gap: over how many tokens it is a mean."""
FLOAT32_NOISE = 1e-7
"""Below this a gap says nothing, however much smaller it was at first."""
TOKENS_OF_FIRST_STEPS = 1000
"""The first steps are as many as it takes to see this many response tokens: one step of any real run."""


class RolloutGap:
    """Watches the gap over the steps of a run; one that is missing, or no number, is as bad as a large one.

    Args:
        max_diff: Largest gap that is let through; None for any.
        max_growth: Largest gap in multiples of that of the first steps, before the weights have moved; None for any.
        is_asynchronous: Whether samples may come from older weights. Their gap grows as the weights move, so ``max_growth`` says
            nothing then.
    """

    def __init__(self, *, max_diff: float | None, max_growth: float | None, is_asynchronous: bool = False) -> None:
        self._max_diff, self._max_growth = max_diff, None if is_asynchronous else max_growth
        self._is_asynchronous = is_asynchronous
        self._sum = self._num_tokens = 0.0

    @property
    def of_first_steps(self) -> float | None:
        """The gap of the first steps; None before they have been seen."""
        return self._sum / self._num_tokens if self._num_tokens >= TOKENS_OF_FIRST_STEPS else None

    @property
    def bound(self) -> float | None:
        """The largest gap that is let through now; None for any, whether it is a number or not."""
        if self._max_diff is None and self._max_growth is None:
            return None
        largest = sys.float_info.max if self._max_diff is None else self._max_diff
        first = self.of_first_steps
        if first is None or self._max_growth is None:
            return largest
        return min(largest, max(self._max_growth * first, FLOAT32_NOISE))

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        """Look at the gap of a step, ``METRIC``, over ``NUM_TOKENS`` tokens."""
        gap, num_tokens = metrics.get(METRIC), metrics[NUM_TOKENS]
        bound = self.bound
        if bound is None:
            return None
        if gap is not None and gap <= bound:
            if self.of_first_steps is None:
                self._sum += gap * num_tokens
                self._num_tokens += num_tokens
            return None
        return Trip(self._described(gap), {} if gap is None else {"gap": gap, "bound": bound}, step)

    def _described(self, gap: float | None) -> str:
        if gap is None:
            return (
                f"the step has no {METRIC}, so {OPTIONS}.{NAME} cannot compare the rollout's probabilities with the actor's. Set "
                f"{OPTIONS}.{NAME}.action=null to do without"
            )
        if not math.isfinite(gap):
            return (
                f"the probabilities of the rollout engine and of the actor differ by {gap}: one of them does not compute "
                "numbers, most likely because its weights are broken"
            )
        if self._max_diff is not None and gap > self._max_diff:
            return (
                f"the rollout engine and the actor disagree: their probabilities of the same tokens differ by {gap:.2g} on "
                f"average, more than {OPTIONS}.{NAME}.max_diff={self._max_diff}. The samples do not come from the policy that is "
                f"trained, most likely because the last weight update did not arrive{self._or_age}. If the two engines are known to "
                "differ this much (quantized rollout), raise the limit"
            )
        return (
            f"the rollout engine drifts away from the actor: their probabilities of the same tokens differ by {gap:.2g} on "
            f"average, and in the first steps by {self.of_first_steps:.2g}; more than {OPTIONS}.{NAME}.max_growth="
            f"{self._max_growth} times that. The rollout most likely does not get the updates, or only some of them (a LoRA "
            "adapter, a tied layer). If this run is known to drift, raise the limit or set it to null"
        )

    @property
    def _or_age(self) -> str:
        if not self._is_asynchronous:
            return ""
        return (
            ", or because the samples of an asynchronous run are too old (train/staleness/mean; "
            "trainer.v1.sampler.max_off_policy_threshold bounds it)"
        )

    def state(self) -> dict[str, Any]:
        """Also for a resumed run: its own first steps come after the weights have moved."""
        return {"sum": self._sum, "num_tokens": self._num_tokens}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._sum, self._num_tokens = float(state["sum"]), float(state["num_tokens"])
