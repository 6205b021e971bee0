"""A grader that errs: what it makes of a verdict, and how a signed objective is corrected for it (arXiv:2510.00915).

    false negative rate  rho_1 = P(graded wrong | correct)        false positive rate  rho_0 = P(graded correct | wrong)

The errors are independent of everything but the verdict, and rho_0 + rho_1 < 1: then a verdict still says something. Forward
correction gives what is graded correct the advantage w_1, and what is graded wrong w_0:

    the paper, Proposition 3.4       w_1 = rho_1                       w_0 = rho_1 - 1
    weights (positive, negative)     w_1 = (1 - rho_0) positive        w_0 = -rho_0 positive
                                           + rho_1 negative                  - (1 - rho_1) negative

The second line is this package's: the only pair whose expectation, given what a response truly is, is 1 - rho_0 - rho_1 times
the objective's own advantage. Weights (0, 1), which are NSR, make it the paper's, which needs rho_1 alone; for PSR it needs
rho_0 alone. The factor is a smaller step in the same direction, and nothing is divided by it.

Free of torch and verl.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, NamedTuple

SECTION = "noisy_grader"
FALSE_NEGATIVES, FALSE_POSITIVES = "false_negative_rate", "false_positive_rate"
CORRECTION = "correction"
CORRECTIONS = ("none", "forward")
ASSUMED = {FALSE_NEGATIVES: f"assumed_{FALSE_NEGATIVES}", FALSE_POSITIVES: f"assumed_{FALSE_POSITIVES}"}


class ErrorRates(NamedTuple):
    """Each in [0, 1), their sum below 1."""

    false_negative: float = 0.0
    """Of the correct responses, the share that is graded wrong."""
    false_positive: float = 0.0
    """Of the wrong responses, the share that is graded correct."""

    @property
    def informative(self) -> float:
        """1 - both: how much more often a correct response is graded correct than a wrong one. In (0, 1]."""
        return 1.0 - self.false_negative - self.false_positive


NO_ERRORS = ErrorRates()


@dataclass(frozen=True)
class NoisyGrader:
    """``algorithm.noisy_grader``."""

    rates: ErrorRates = NO_ERRORS
    """With which this package's trainer flips the verdicts of a step's samples."""
    correction: str = "none"
    """One of ``CORRECTIONS``."""
    assumed: ErrorRates = NO_ERRORS
    """Those that the correction is made for: of a grader that errs by itself, or the ones above."""

    @property
    def flips(self) -> bool:
        return self.rates != NO_ERRORS

    @property
    def is_corrected(self) -> bool:
        return self.correction != "none"

    def __str__(self) -> str:
        """A line for whoever starts the run; empty where nothing is flipped and nothing corrected."""
        parts = []
        if self.flips:
            parts.append(
                f"{self.rates.false_negative:.3g} of the correct verdicts and {self.rates.false_positive:.3g} of the wrong ones are "
                "flipped in training"
            )
        if self.is_corrected:
            parts.append(
                f"{self.correction} correction for {self.assumed.false_negative:.3g} and {self.assumed.false_positive:.3g}"
            )
        return f"noisy grader: {'; '.join(parts)}" if parts else ""

    def corrected(self, positive: float, negative: float) -> tuple[float, float]:
        """The weights of responses that are graded correct and wrong, for an objective with these two; all >= 0."""
        if not self.is_corrected:
            return positive, negative
        false_negative, false_positive = self.assumed
        return (
            (1.0 - false_positive) * positive + false_negative * negative,
            false_positive * positive + (1.0 - false_negative) * negative,
        )


def read_noisy_grader(algorithm: Mapping[str, Any]) -> NoisyGrader:
    """``noisy_grader`` of verl's ``algorithm`` section, which may lack it.

    Raises:
        ValueError: A rate is outside [0, 1), two rates add up to 1 or more, or a correction is asked for without any rate.
    """
    section = algorithm.get(SECTION) or {}
    rates = _rates(section, {FALSE_NEGATIVES: FALSE_NEGATIVES, FALSE_POSITIVES: FALSE_POSITIVES})
    correction = section.get(CORRECTION) or "none"
    if correction not in CORRECTIONS:
        raise ValueError(f"{_name(CORRECTION)} must be one of {', '.join(CORRECTIONS)}, got {correction}.")
    given = [option for option in ASSUMED.values() if section.get(option) is not None]
    assumed = _rates(section, ASSUMED) if given else rates
    if correction == "none" and given:
        raise ValueError(
            f"{_name(given[0])}={section.get(given[0])} is what a correction assumes: set {_name(CORRECTION)}=forward, or it "
            "to null."
        )
    if correction != "none" and assumed == NO_ERRORS:
        raise ValueError(
            f"{_name(CORRECTION)}={correction} needs the rates of the errors that it corrects: set {_name(FALSE_NEGATIVES)} or "
            f"{_name(FALSE_POSITIVES)}, with which verdicts are flipped, or {_name(ASSUMED[FALSE_NEGATIVES])} or "
            f"{_name(ASSUMED[FALSE_POSITIVES])} of a grader that errs by itself."
        )
    return NoisyGrader(rates, correction, assumed)


def _name(option: str) -> str:
    return f"algorithm.{SECTION}.{option}"


def _rates(section: Mapping[str, Any], names: Mapping[str, str]) -> ErrorRates:
    """The two rates under these names of their options; null is 0."""
    for option in names.values():
        rate = section.get(option)
        is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if rate is not None and not (is_number and 0.0 <= rate < 1.0 and not isnan(rate)):
            raise ValueError(f"{_name(option)} must be a number from 0 to below 1, got {rate}.")
    rates = ErrorRates(
        float(section.get(names[FALSE_NEGATIVES]) or 0.0), float(section.get(names[FALSE_POSITIVES]) or 0.0)
    )
    if rates.informative <= 0.0:
        raise ValueError(
            f"{_name(names[FALSE_NEGATIVES])}={rates.false_negative:g} and "
            f"{_name(names[FALSE_POSITIVES])}={rates.false_positive:g} add up to 1 or more: a verdict would then say nothing of "
            "a response, or the opposite. Lower one of them."
        )
    return rates
