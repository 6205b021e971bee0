"""Objectives that look at how likely the policy that sampled a response found it.

A formula of these takes all responses to one prompt, each with its outcome and its log-probability. Free of torch and verl.
"""

from collections.abc import Callable, Hashable, Sequence
from math import exp
from statistics import fmean, stdev
from typing import NamedTuple

EPSILON = 1e-6
"""What verl's GRPO adds to a deviation."""


class GradedResponse(NamedTuple):
    """A response that has a token to learn from."""

    is_correct: bool
    log_prob: float
    """Of the whole response under the policy that sampled it, finite."""
    num_tokens: int

    @property
    def mean_log_prob(self) -> float:
        """A token's share: its exponential is the geometric mean of the tokens' probabilities."""
        return self.log_prob / self.num_tokens

    @property
    def confidence(self) -> float:
        """That geometric mean, above 0 up to 1."""
        return exp(self.mean_log_prob)


LikelihoodFormula = Callable[[Sequence[GradedResponse]], list[float]]
"""All responses to a prompt -> the advantage of each."""


def is_mixed(responses: Sequence[GradedResponse]) -> bool:
    """Whether some are correct and some are not."""
    return len({response.is_correct for response in responses}) > 1


def advantages_by_prompt(
    responses: Sequence[GradedResponse | None], prompts: Sequence[Hashable], formula: LikelihoodFormula
) -> list[float]:
    """Each response's advantage, from the responses to its prompt.

    Args:
        responses: None for one that has no token: it has no likelihood, is no part of its group and gets 0. verl's padding
            rows are such, and responses that rollout correction rejects.
        prompts: Prompt id of each, in any order.
        formula: Called once for each prompt.
    """
    rows_of: dict[Hashable, list[int]] = {}
    for row, (response, prompt) in enumerate(zip(responses, prompts, strict=True)):
        if response is not None:
            rows_of.setdefault(prompt, []).append(row)
    advantages = [0.0] * len(responses)
    for rows in rows_of.values():
        group = [response for response in (responses[row] for row in rows) if response is not None]
        for row, advantage in zip(rows, formula(group), strict=True):
            advantages[row] = advantage
    return advantages


def centered(rewards: Sequence[float], *, by_deviation: bool) -> list[float]:
    """Rewards less their mean, divided as verl's GRPO does by their deviation (of n - 1) if asked to; n >= 2 for that."""
    mean = fmean(rewards)
    scale = stdev(rewards, mean) + EPSILON if by_deviation else 1.0
    return [(reward - mean) / scale for reward in rewards]
