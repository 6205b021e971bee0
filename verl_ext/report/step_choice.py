"""Which step of a run its numbers are of: the last, the peak of its validations, or the one that a rule has kept.

The best of many validations is better than the model is, for it has been picked for its luck too: a report says how a step was
chosen, and how far the peak is from the last step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from verl_ext.metrics.validations import Validations
from verl_ext.training.kept_checkpoints import Score, best_of
from verl_ext.training.validation_score import mean_names

START = 0


@dataclass(frozen=True, kw_only=True)
class StepChoice:
    """A run's validations by one score."""

    metric: str
    mode: str = "max"
    scores: Sequence[Score]
    """In the order of their steps; step 0 is before training. At least one is of a later step."""
    kept: Score | None = None
    """The one that ``trainer.best_checkpoint`` has kept."""

    @property
    def trained(self) -> list[Score]:
        return [score for score in self.scores if score.step > START]

    @property
    def last(self) -> Score:
        return self.trained[-1]

    @property
    def peak(self) -> Score:
        """The first of the best."""
        best = best_of(self.trained, self.mode)
        return self.last if best is None else best

    @property
    def start(self) -> Score | None:
        """Before training."""
        return self.scores[0] if self.scores[0].step == START else None

    @property
    def gain_of_peak(self) -> float:
        """How much better the peak looks than the last step, at least 0."""
        return abs(self.peak.value - self.last.value)

    def how_chosen(self, step: int) -> str:
        """In which ways a step is one that somebody might choose."""
        ways = ["the last"] if step == self.last.step else []
        if self.kept is not None and step == self.kept.step:
            ways.append(f"kept by `trainer.best_checkpoint`: {self.metric}")
        if step == self.peak.step and len(self.trained) > 1:
            ways.append(f"the peak of {len(self.trained)} validations")
        return " and ".join(ways) or "neither the last nor the peak"


def choice_by_rule(said: Mapping[str, object]) -> StepChoice | None:
    """From what a run's ``best_checkpoint.json`` says; None where it has no validation after training began."""
    found = said.get("validations")
    scores = sorted(Score(int(step), float(value)) for step, value in (found if isinstance(found, list) else ()))
    step, value = said.get("step"), said.get("value")
    kept = Score(step, float(value)) if isinstance(step, int) and isinstance(value, int | float) else None
    return _choice(str(said.get("metric")), scores, mode=str(said.get("mode", "max")), kept=kept)


def choice_by_counts(validations: Mapping[str, Validations]) -> StepChoice | None:
    """pass@1 of a run's ``validation.jsonl``, the mean over its data sources; None without a validation of a later step."""
    steps = sorted(set.intersection(*(set(of_source) for of_source in validations.values()))) if validations else []
    scores = [
        Score(
            step,
            fmean(
                float((of_source[step].num_correct_P / of_source[step].num_samples_P).mean())
                for of_source in validations.values()
                if of_source[step].fewest > 0
            ),
        )
        for step in steps
        if any(of_source[step].fewest > 0 for of_source in validations.values())
    ]
    return _choice(f"pass@1 of {', '.join(validations)}", scores)


def choice_by_metrics(rows: Mapping[int, Mapping[str, object]]) -> StepChoice | None:
    """The mean of the validation's means in a run's metrics; None where it has none."""
    found: dict[int, dict[str, float]] = {}
    for step, data in rows.items():
        numbers = {name: float(value) for name, value in data.items() if isinstance(value, int | float)}
        if names := mean_names(numbers):
            found[step] = {name: numbers[name] for name in names}
    if not found:
        return None
    names = sorted(set.intersection(*(set(scores) for scores in found.values())))
    if not names:
        return None
    scores = [Score(step, fmean(each[name] for name in names)) for step, each in found.items()]
    return _choice(names[0] if len(names) == 1 else f"the mean of {', '.join(names)}", scores)


def _choice(metric: str, scores: Sequence[Score], *, mode: str = "max", kept: Score | None = None) -> StepChoice | None:
    known = [score for score in scores if score.value == score.value]
    if not any(score.step > START for score in known):
        return None
    return StepChoice(metric=metric, mode=mode, scores=known, kept=kept)
