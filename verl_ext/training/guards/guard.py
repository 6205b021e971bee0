"""What a guard is: it is shown the numbers of a run, and says what is wrong with them."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import mean
from typing import Any, NamedTuple, Protocol

OPTIONS = "trainer.guardrails"


class Moment(StrEnum):
    """When a guard looks: at each moment it is shown what is known by then."""

    GRADED = "graded"
    """The samples are there, and nothing has been learned from them."""
    COMPARED = "compared"
    """So are the actor's probabilities of their tokens."""
    UPDATED = "updated"
    """The actor, or the critic, has made its updates."""
    STEP = "step"
    """The step is over, with its checkpoint and its validation; step 0 is the validation before the first."""


class Trip(NamedTuple):
    """What a guard has found."""

    said: str
    """For a reader: the numbers, the option that they are beyond, what it may mean."""
    numbers: dict[str, float]
    since: int
    """The step in which it began: a checkpoint from before is good."""


class Guard(Protocol):
    """Watches one thing over the steps of a run."""

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        """Look at the metrics of a step; None where nothing is wrong. A metric that is not there is not looked at."""
        ...

    def state(self) -> dict[str, Any]:
        """What a resumed run has to know, as JSON has it."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        ...


class Stateless:
    """A guard that looks at each step by itself."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None: ...


class Means(NamedTuple):
    """Of a metric."""

    first: float
    """Over the first steps of the run."""
    last: float
    """Over the latest."""


class FirstAndLast:
    """The mean of a metric over a run's first steps, and over as many of the latest."""

    def __init__(self, num_steps: int) -> None:
        self._num_steps = num_steps
        self._first: list[float] = []
        self._last: list[tuple[int, float]] = []

    def see(self, step: int, value: float | None) -> Means | None:
        """Note a step; None before there are enough. A value that is missing, or no number, is passed over."""
        if value is None or not math.isfinite(value):
            return None
        if len(self._first) < self._num_steps:
            self._first.append(value)
        self._last = [*self._last, (step, value)][-self._num_steps :]
        if len(self._first) < self._num_steps:
            return None
        return Means(mean(self._first), mean(value for _, value in self._last))

    @property
    def since(self) -> int:
        """The first of the latest steps."""
        return self._last[0][0]

    def state(self) -> dict[str, Any]:
        return {"first": self._first, "last": self._last}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._first = list(state["first"])
        self._last = [(int(step), float(value)) for step, value in state["last"]]


class ComparesSteps:
    """A guard that compares the latest steps with the first ones."""

    def __init__(self, over_steps: int) -> None:
        self._steps, self._num_steps = FirstAndLast(over_steps), over_steps

    def state(self) -> dict[str, Any]:
        return self._steps.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        self._steps.restore(state)


class Streak:
    """Steps in which something is so, one after the other up to now."""

    def __init__(self) -> None:
        self.first = self.length = 0
        """Of 0 steps there is no first."""

    def see(self, step: int, *, is_so: bool) -> None:
        if not is_so:
            self.length = 0
            return
        self.first = self.first if self.length else step
        self.length += 1

    def state(self) -> list[int]:
        """Nothing of a streak of no steps."""
        return [self.first, self.length] if self.length else []

    def restore(self, state: Sequence[int]) -> None:
        self.first, self.length = state or (0, 0)
