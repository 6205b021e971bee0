"""Whether the rollout samples from the weights that are trained: the gap between its probabilities and the actor's.

The gap of a step is the mean difference of the two probabilities of the sampled tokens, in [0, 1]. Free of torch and verl.
"""

import json
import math
import sys
from pathlib import Path

FILE = "rollout_gap.json"
METRIC = "training/rollout_probs_diff_mean"
FLOAT32_NOISE = 1e-7
"""Below this a gap says nothing, however much smaller it was at first."""
TOKENS_OF_FIRST_STEPS = 1000
"""The first steps are as many as it takes to see this many response tokens: one step of any real run."""


class RolloutGap:
    """Watches the gap over the steps of a run.

    Args:
        limit: Largest gap that is let through; None for any.
        growth: Largest gap in multiples of that of the first steps, before the weights have moved; None for any.
    """

    def __init__(self, limit: float | None, growth: float | None) -> None:
        self._limit, self._growth = limit, growth
        self._sum = self._num_tokens = 0.0

    @property
    def of_first_steps(self) -> float | None:
        """The gap of the first steps; None before they have been seen."""
        return self._sum / self._num_tokens if self._num_tokens >= TOKENS_OF_FIRST_STEPS else None

    @property
    def bound(self) -> float | None:
        """The largest gap that ``check`` lets through now; None for any, whether it is a number or not."""
        if self._limit is None and self._growth is None:
            return None
        largest = sys.float_info.max if self._limit is None else self._limit
        first = self.of_first_steps
        if first is None or self._growth is None:
            return largest
        return min(largest, max(self._growth * first, FLOAT32_NOISE))

    def check(self, step: int, gap: float | None, num_tokens: int) -> None:
        """Look at the gap of a step over ``num_tokens`` tokens.

        Raises:
            RuntimeError: It is beyond a limit, not a number, or missing while there is a limit.
        """
        if self._limit is None and self._growth is None:
            return
        if gap is None:
            raise RuntimeError(
                f"Step {step} has no {METRIC}, so trainer.max_rollout_probs_diff={self._limit} and "
                f"trainer.max_rollout_probs_diff_growth={self._growth} cannot be checked. Set both to null to switch the check off."
            )
        if not math.isfinite(gap):
            raise RuntimeError(
                f"At step {step} the probabilities of the rollout engine and of the actor differ by {gap}: one of them "
                "does not compute numbers, most likely because its weights are broken. Resume from the last good checkpoint "
                "with a smaller learning rate (actor_rollout_ref.actor.optim.lr)."
            )
        if self._limit is not None and gap > self._limit:
            raise RuntimeError(
                f"The rollout engine and the actor disagree: at step {step} their probabilities of the same tokens differ "
                f"by {gap:.2g} on average, more than trainer.max_rollout_probs_diff={self._limit}. The samples do not come "
                "from the policy that is trained, most likely because the last weight update did not arrive. If the two "
                "engines are known to differ this much (quantized rollout), raise the limit."
            )
        first = self.of_first_steps
        if first is None:
            self._sum += gap * num_tokens
            self._num_tokens += num_tokens
        elif self._growth is not None and gap > max(self._growth * first, FLOAT32_NOISE):
            raise RuntimeError(
                f"The rollout engine drifts away from the actor: at step {step} their probabilities of the same tokens "
                f"differ by {gap:.2g} on average, and in the first steps by {first:.2g}; more than "
                f"trainer.max_rollout_probs_diff_growth={self._growth} times that. The rollout most likely does not get "
                "the updates, or only some of them (a LoRA adapter, a tied layer). If this run is known to drift, raise "
                "the limit or set it to null."
            )

    def save(self, folder: Path) -> None:
        """Keep in a checkpoint what a resumed run has to know: its own first steps come after the weights have moved."""
        (folder / FILE).write_text(json.dumps({"sum": self._sum, "num_tokens": self._num_tokens}))

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint; one without the file leaves everything as it is."""
        if (folder / FILE).is_file():
            state = json.loads((folder / FILE).read_text())
            self._sum, self._num_tokens = float(state["sum"]), float(state["num_tokens"])
