"""lambda of W-REINFORCE over the steps of a run, from a start to an end.

    lambda(t) = end + (start - end) * f(p)        p = min((t - 1) / (num_steps - 1), 1)
    linear: f(p) = 1 - p                          cosine: f(p) = (1 + cos(pi * p)) / 2

Steps count from 1: the first has ``start``, step ``num_steps`` and all later ones have ``end``. The paper of W-REINFORCE
(arXiv:2506.01347) keeps lambda; arXiv:2605.07137 moves the weights of both signs over a run, by schedules of its own.

An estimator sees no step number, so the trainer sets the weight of each step in the options that the estimator reads.
"""

from math import cos, pi
from typing import Any, NamedTuple

WEIGHT = "positive_advantage_weight"
SCHEDULE, END, STEPS = f"{WEIGHT}_schedule", f"{WEIGHT}_end", f"{WEIGHT}_steps"
SHAPES = ("linear", "cosine")


class WeightSchedule(NamedTuple):
    shape: str
    """linear or cosine."""
    start: float
    end: float
    num_steps: int | None
    """The step that first has ``end``; None: the last one of the run."""

    def weight_at(self, step: int, total_steps: int) -> float:
        """lambda of ``step`` (from 1) in a run of ``total_steps``."""
        num_steps = total_steps if self.num_steps is None else self.num_steps
        progress = 1.0 if step >= num_steps else (step - 1) / (num_steps - 1)
        left = 1 - progress if self.shape == "linear" else (1 + cos(pi * progress)) / 2
        return self.end + (self.start - self.end) * left


def held_at(weight: float) -> dict[str, Any]:
    """Options of the ``algorithm`` section under which lambda is ``weight``, whatever schedule it came from."""
    return {WEIGHT: weight, SCHEDULE: None, END: None, STEPS: None}
