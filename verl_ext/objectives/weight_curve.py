"""Every objective as two weights, of correct and of wrong responses, over the accuracy of a prompt."""

from math import nan
from typing import NamedTuple

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import check_objective, objective_under
from verl_ext.objectives.group_normalized import normalized
from verl_ext.objectives.groups import GroupFormula, OutcomeAdvantages
from verl_ext.objectives.objective import GroupRule


class WeightCurve(NamedTuple):
    """What n responses to a prompt weigh, for c = 0 to n correct ones: four lists of n + 1."""

    name: str
    """The objective's, or what it is called in a plot."""
    accuracy: list[float]
    """p = c / n."""
    positive: list[float]
    """The advantage of a correct response; nan at p = 0, where there is none."""
    negative: list[float]
    """Minus the advantage of a wrong response; nan at p = 1."""
    trained: list[float]
    """The share of the n responses that have an advantage other than 0."""


def weight_curve(options: AlgorithmOptions, num_samples: int, *, name: str | None = None) -> WeightCurve:
    """The weights of the objective that the options choose in groups of ``num_samples``.

    Raises:
        ValueError: The options do not fit the objective, or it is no function of a prompt's outcomes.
    """
    formula = _formula(options)
    counts = range(num_samples + 1)
    advantages = [formula(num_samples, num_correct) for num_correct in counts]
    trained = [
        (num_correct * (each.correct != 0) + (num_samples - num_correct) * (each.incorrect != 0)) / num_samples
        for num_correct, each in zip(counts, advantages, strict=True)
    ]
    return WeightCurve(
        name=options.adv_estimator if name is None else name,
        accuracy=[num_correct / num_samples for num_correct in counts],
        positive=[nan, *(each.correct for each in advantages[1:])],
        negative=[*(0.0 - each.incorrect for each in advantages[:-1]), nan],
        trained=trained,
    )


def _formula(options: AlgorithmOptions) -> GroupFormula:
    check_objective(options)
    row = objective_under(options)
    if row is not None and row.is_signed:
        weights = row.weights_under(options)
        if options.group_normalize:
            return normalized(weights)
        return lambda _num_samples, _num_correct: OutcomeAdvantages(weights.positive, -weights.negative)
    if row is None or not isinstance(row.formula, GroupRule):
        raise ValueError(f"algorithm.adv_estimator={options.adv_estimator} is no formula of a prompt's outcomes.")
    return row.formula.formula_under(options)
