"""Guards that look at the answers of a step: how sure, how long, how repetitive they are, how they were graded, and how many never came."""

from collections.abc import Mapping
from typing import Any

from verl_ext.grading import UNGRADED
from verl_ext.training.guards.guard import OPTIONS, ComparesSteps, Stateless, Streak, Trip

ENTROPY, LENGTH = "train/entropy", "train/response_length"


class Entropy(ComparesSteps):
    """The entropy collapses or explodes.

    Args:
        min_ratio: Of the latest steps' to that of the first, at least; None for any.
        max_ratio: The same, at most.
        min_entropy: Nats a token, at least; None for any.
        over_steps: How many first and latest steps there are.
    """

    def __init__(
        self, *, min_ratio: float | None, max_ratio: float | None, min_entropy: float | None, over_steps: int
    ) -> None:
        self._min_ratio, self._max_ratio, self._min_entropy = min_ratio, max_ratio, min_entropy
        super().__init__(over_steps)

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        means = self._steps.see(step, metrics.get(ENTROPY))
        if means is None:
            return None
        first, last = means
        now = f"{last:.4f} nats a token over the last {self._num_steps} steps"
        found = None
        if self._min_entropy is not None and last < self._min_entropy:
            found = f"is {now}, below {OPTIONS}.entropy.min_entropy={self._min_entropy}"
        elif self._min_ratio is not None and last < self._min_ratio * first:
            found = f"collapses: {now}, less than {OPTIONS}.entropy.min_ratio={self._min_ratio} of the first steps' {first:.4f}"
        elif self._max_ratio is not None and last > self._max_ratio * first:
            found = f"explodes: {now}, more than {OPTIONS}.entropy.max_ratio={self._max_ratio} times the first steps' {first:.4f}"
        return Trip(f"the entropy {found}", means._asdict(), self._steps.since) if found else None


class ResponseLength(ComparesSteps):
    """Answers become much longer than they were.

    Args:
        max_growth: Their mean length in the latest steps, in multiples of that of the first.
        over_steps: How many first and latest steps there are.
    """

    def __init__(self, *, max_growth: float, over_steps: int) -> None:
        self._max_growth = max_growth
        super().__init__(over_steps)

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        means = self._steps.see(step, metrics.get(LENGTH))
        if means is None or means.last <= self._max_growth * means.first:
            return None
        return Trip(
            f"answers have {means.last:.1f} tokens over the last {self._num_steps} steps, more than "
            f"{OPTIONS}.response_length.max_growth={self._max_growth} times the first steps' {means.first:.1f}",
            means._asdict(),
            self._steps.since,
        )


class Rise(ComparesSteps):
    """A share, in [0, 1], is much larger than it was.

    Args:
        name: Of the guard.
        metric: The share.
        what: It is of, for a reader.
        max_rise: How much larger it may be in the latest steps than in the first.
        over_steps: How many first and latest steps there are.
    """

    def __init__(self, *, name: str, metric: str, what: str, max_rise: float, over_steps: int) -> None:
        self._name, self._metric, self._what, self._max_rise = name, metric, what, max_rise
        super().__init__(over_steps)

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        means = self._steps.see(step, metrics.get(self._metric))
        if means is None or means.last - means.first <= self._max_rise:
            return None
        return Trip(
            f"{means.last:.1%} of {self._what} over the last {self._num_steps} steps, and {means.first:.1%} in the first ones: "
            f"more than {OPTIONS}.{self._name}.max_rise={self._max_rise} above",
            means._asdict(),
            self._steps.since,
        )


class StepsOfNothing:
    """A metric is 0 in one step after the other.

    Args:
        name: Of the guard.
        metric: It.
        what: It means, for a reader.
        steps: In how many steps it may not be.
    """

    def __init__(self, *, name: str, metric: str, what: str, steps: int) -> None:
        self._name, self._metric, self._what, self._steps = name, metric, what, steps
        self._zeros = Streak()

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        value = metrics.get(self._metric)
        if value is None:
            return None
        self._zeros.see(step, is_so=value == 0.0)
        num, first = self._zeros.length, self._zeros.first
        if num < self._steps:
            return None
        return Trip(
            f"{self._what} in {num} steps in a row, since step {first} ({OPTIONS}.{self._name}.steps={self._steps})",
            {"steps": num},
            first,
        )

    def state(self) -> dict[str, Any]:
        return {"zeros": self._zeros.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._zeros.restore(state["zeros"])


class GraderErrors(Stateless):
    """Too many answers could not be graded.

    Args:
        max_ratio: Their share of the step's, at most.
    """

    def __init__(self, *, max_ratio: float) -> None:
        self._max_ratio = max_ratio

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        names = {why: f"train/reason/{why}" for why in UNGRADED}
        shares = {str(why): metrics[name] for why, name in names.items() if name in metrics}
        ratio = sum(shares.values())
        if ratio <= self._max_ratio:
            return None
        faults = ", ".join(f"{share:.1%} {why}" for why, share in shares.items())
        return Trip(
            f"the grader failed on {ratio:.1%} of the samples ({faults}), more than "
            f"{OPTIONS}.grader_errors.max_ratio={self._max_ratio}. A sample that could not be graded is neither right nor "
            "wrong; training on it would corrupt the gradient. The log file has the grader's errors; VERL_EXT_GRADER_SECONDS "
            "is the time that a comparison may take",
            {"ratio": ratio} | shares,
            step,
        )


class FailedPrompts(Stateless):
    """Too many prompts did not come back from the rollout with all of their samples.

    Args:
        max_ratio: Their share of the step's, those that verl has replaced by others included, at most.
    """

    def __init__(self, *, max_ratio: float) -> None:
        self._max_ratio = max_ratio

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        ratio = metrics.get("train/failed_ratio", 0.0)
        if ratio <= self._max_ratio:
            return None
        counts = {name: metrics[f"train/{name}"] for name in ("prompts", "failed_prompts", "missing_samples")}
        return Trip(
            f"{ratio:.1%} of the prompts did not come back whole from the rollout ({counts['failed_prompts']:.0f} of "
            f"{counts['prompts']:.0f} failed, {counts['missing_samples']:.0f} samples are missing), more than "
            f"{OPTIONS}.failed_prompts.max_ratio={self._max_ratio}. The step would train on the rest; where a reward function that "
            "raises is the cause, that may be all but the right answers, or all but the wrong ones. The log file has the error of each",
            {"ratio": ratio} | counts,
            step,
        )
