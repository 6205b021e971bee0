"""Every objective as two weights, of correct and of wrong responses, over the accuracy of a prompt."""

from collections.abc import Iterator
from math import log, nan
from statistics import fmean
from typing import NamedTuple

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import check_objective, objective_under
from verl_ext.objectives.group_normalized import normalized
from verl_ext.objectives.groups import GroupFormula, OutcomeAdvantages
from verl_ext.objectives.likelihoods import GradedResponse, LikelihoodFormula
from verl_ext.objectives.objective import GroupRule, LikelihoodRule, SignWeights

GRPO = "grpo"
"""verl's own, which is a formula of a prompt's outcomes too."""

LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.5, 0.95
NUM_TOKENS = 16


class Range(NamedTuple):
    """The least and the most that responses of one outcome weigh, for c = 0 to n: two lists of n + 1."""

    low: list[float]
    high: list[float]


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
    positive_range: Range | None = None
    """Of an objective that weighs responses by their likelihood; ``positive`` is the mean then."""
    negative_range: Range | None = None


def weight_curve(options: AlgorithmOptions, num_samples: int, *, name: str | None = None) -> WeightCurve:
    """The weights of the objective that the options choose in groups of ``num_samples``.

    Where likelihoods count, the responses have 16 tokens each and are evenly spread over the confidences from 0.5 to 0.95, and
    correct ones evenly spread among them, in as many ways as there are responses.

    Raises:
        ValueError: The options do not fit the objective, or it is no function of a prompt's outcomes and likelihoods.
    """
    row = objective_under(options)
    if row is not None and isinstance(row.formula, LikelihoodRule):
        check_objective(options)
        return _curve_of_likelihoods(row.formula.formula_under(options), num_samples, name or options.adv_estimator)
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
    if options.adv_estimator == GRPO:
        return _grpo(options)
    if row is not None and row.is_signed:
        weights = row.weights_under(options)
        if options.group_normalize:
            return normalized(weights)
        return lambda _num_samples, _num_correct: OutcomeAdvantages(weights.positive, -weights.negative)
    if row is None or not isinstance(row.formula, GroupRule):
        raise ValueError(f"algorithm.adv_estimator={options.adv_estimator} is no formula of a prompt's outcomes.")
    return row.formula.formula_under(options)


def _grpo(options: AlgorithmOptions) -> GroupFormula:
    """GRPO's by the deviation of the n rewards; verl's divisor is n - 1, which scales all weights of a group alike."""
    if options.use_kl_in_reward:
        raise ValueError("algorithm.use_kl_in_reward=True changes the rewards, so that they are no outcomes.")
    if options.norm_adv_by_std_in_grpo:
        return normalized(SignWeights(positive=1.0, negative=1.0))
    return lambda num_samples, num_correct: OutcomeAdvantages(1 - num_correct / num_samples, -num_correct / num_samples)


def _curve_of_likelihoods(formula: LikelihoodFormula, num_samples: int, name: str) -> WeightCurve:
    """Means over the ways in which likely and unlikely responses may be the correct ones, with the least and the most."""
    points = [_weights_of(formula, num_samples, num_correct) for num_correct in range(num_samples + 1)]
    positive, negative = ([point[sign] for point in points] for sign in (True, False))
    trained = [
        sum(weight != 0 for weights in point.values() for weight in weights) / num_samples**2 for point in points
    ]
    return WeightCurve(
        name=name,
        accuracy=[num_correct / num_samples for num_correct in range(num_samples + 1)],
        positive=[_mean(weights) for weights in positive],
        negative=[_mean(weights) for weights in negative],
        trained=trained,
        positive_range=_range(positive),
        negative_range=_range(negative),
    )


def _weights_of(formula: LikelihoodFormula, num_samples: int, num_correct: int) -> dict[bool, list[float]]:
    """The weights of all correct and of all wrong responses, over all the ways."""
    weights: dict[bool, list[float]] = {True: [], False: []}
    for group in _groups(num_samples, num_correct):
        for response, advantage in zip(group, formula(group), strict=True):
            weights[response.is_correct].append(advantage if response.is_correct else 0.0 - advantage)
    return weights


def _groups(num_samples: int, num_correct: int) -> Iterator[list[GradedResponse]]:
    step = (MOST_CONFIDENCE - LEAST_CONFIDENCE) / max(num_samples - 1, 1)
    log_probs = [NUM_TOKENS * log(LEAST_CONFIDENCE + place * step) for place in range(num_samples)]
    for shift in range(num_samples):
        yield [
            GradedResponse((place + shift) * num_correct % num_samples < num_correct, log_prob, NUM_TOKENS)
            for place, log_prob in enumerate(log_probs)
        ]


def _mean(weights: list[float]) -> float:
    return fmean(weights) if weights else nan


def _range(points: list[list[float]]) -> Range:
    return Range([min(weights, default=nan) for weights in points], [max(weights, default=nan) for weights in points])
