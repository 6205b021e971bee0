"""Guards that look at what a step did to the model: its loss and gradient, and how it validates."""

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from verl_ext.training.guards.guard import OPTIONS, Stateless, Streak, Trip
from verl_ext.training.validation_score import error_of, mean_names, mean_score

GRADIENT_NORM = "actor/grad_norm"
UPDATE_METRICS: tuple[str, ...] = ("loss", "pg_loss", "vf_loss", "entropy_loss", "kl_loss", "grad_norm")
"""Metrics of an update, of actor or critic, that have to be numbers."""
MEANS_OF_LOG_PROBS = ("train/entropy", "actor/entropy")
"""Of the rollout's, and of the actor's distribution: one token that is no number makes them none."""
FEWEST_NORMS = 10
"""A median of fewer gradient norms says little."""


class NotFinite(Stateless):
    """A loss, a gradient or log-probs are no numbers: verl skips such an update with a print, and every later one.

    Args:
        may_overflow: The gradient norm may be infinite: float16 finds its loss scale by overflowing.
    """

    def __init__(self, *, may_overflow: bool) -> None:
        names = [f"{model}/{name}" for model in ("actor", "critic") for name in UPDATE_METRICS]
        self._names = [
            *MEANS_OF_LOG_PROBS,
            *(name for name in names if not (may_overflow and name.endswith("/grad_norm"))),
        ]

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        broken = {name: metrics[name] for name in self._names if not math.isfinite(metrics.get(name, 0.0))}
        if not broken:
            return None
        values = ", ".join(f"{name}={value}" for name, value in broken.items())
        return Trip(
            f"{values}: such an update cannot be made, nor any after it. The learning rate is too large, as a rule "
            f"({OPTIONS}.not_finite.action=roll_back lowers it); other causes are rewards or old weights that are no numbers",
            broken,
            step,
        )


class GradientNorm:
    """The gradient's norm, before clipping, blows up, and not for one step.

    Args:
        growth: How many times the median of the steps before it may be.
        window: Of how many steps that is, at most; ``FEWEST_NORMS`` or as many have to be there.
        steps: In how many steps in a row it may not be larger.
    """

    def __init__(self, *, growth: float, window: int, steps: int) -> None:
        self._growth, self._window, self._steps = growth, window, steps
        self._norms: list[float] = []
        self._above = Streak()

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        norm = metrics.get(GRADIENT_NORM)
        if norm is None or not math.isfinite(norm):
            return None
        usual = median(self._norms) if len(self._norms) >= min(FEWEST_NORMS, self._window) else 0.0
        self._norms = [*self._norms, norm][-self._window :]
        self._above.see(step, is_so=bool(usual) and norm > self._growth * usual)
        first = self._above.first
        if self._above.length < self._steps:
            return None
        return Trip(
            f"the gradient's norm is {norm:.3g}, since step {first} more than {OPTIONS}.gradient_norm.growth={self._growth} "
            f"times the {usual:.3g} that is usual",
            {"norm": norm, "usual": usual},
            first,
        )

    def state(self) -> dict[str, Any]:
        return {"norms": self._norms, "above": self._above.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._norms = list(state["norms"])
        self._above.restore(state["above"])


class ValidationFall:
    """The validation score falls under that before the first step, by more than what is chance.

    Args:
        standard_errors: Of the difference of two scores of other problems of the same kind: how many it may fall.
    """

    def __init__(self, *, standard_errors: float) -> None:
        self._standard_errors = standard_errors
        self._base: list[float] = []
        """Score and standard error; nothing for a run that did not validate before its first step."""
        self._last_good = 0
        self._trip: Trip | None = None

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        """What the last validation said; the trouble goes on until one is well again."""
        names = mean_names(metrics)
        if not names or not all(error_of(name) in metrics for name in names):
            return self._trip  # no validation, or one of a single problem
        score, error = mean_score(metrics, names)
        if step == 0:
            self._base = [score, error]
        if not self._base:
            return None
        base, base_error = self._base
        chance = self._standard_errors * math.hypot(error, base_error)
        self._trip = None
        if score >= base - chance:
            self._last_good = step
            return None
        self._trip = Trip(
            f"the validation score is {score:.4f}, and was {base:.4f} before the first step: lower by more than {chance:.4f}, which is "
            f"{OPTIONS}.validation.standard_errors={self._standard_errors} of the difference",
            {"score": score, "base": base, "chance": chance},
            self._last_good + 1,
        )
        return self._trip

    def state(self) -> dict[str, Any]:
        return {"base": self._base, "last_good": self._last_good, "trip": self._trip}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._base, self._last_good = list(state["base"]), int(state["last_good"])
        self._trip = Trip(*state["trip"]) if state["trip"] else None


class LongNsr:
    """Negative samples alone for many updates; says so once.

    "NSR for hundreds of gradient steps declines noticeably" (arXiv:2506.01347, limitations), and positive samples with a small
    weight do not.

    Args:
        after_updates: Optimizer's steps that are no reason to say anything.
        is_pure: Whether the objective has no weight for correct responses.
    """

    def __init__(self, *, after_updates: int, is_pure: bool) -> None:
        self._after_updates, self._is_pure = after_updates, is_pure
        self._num_updates = 0

    def see(self, step: int, metrics: Mapping[str, float]) -> Trip | None:
        before = self._num_updates
        self._num_updates += int(metrics.get("train/num_updates", 0))
        if not self._is_pure or before > self._after_updates or self._num_updates <= self._after_updates:
            return None
        return Trip(
            f"{self._num_updates} updates from wrong answers alone, more than {OPTIONS}.long_nsr.after_updates={self._after_updates}: "
            "for hundreds of them the paper saw accuracy fall (arXiv:2506.01347, limitations; its own runs end after 140 steps). Compare the "
            "validations of the last checkpoints; algorithm.adv_estimator=w_reinforce, with a small weight for correct answers, does "
            "not fall",
            {"updates": self._num_updates},
            step,
        )

    def state(self) -> dict[str, Any]:
        return {"num_updates": self._num_updates}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._num_updates = int(state["num_updates"])
