"""Which samples of a step reach the update.

The filter keys on the *sample's advantage*, never on the outcomes of its group: a filter that drops groups of equal
rewards (DAPO's) would drop the all-wrong groups, which carry most of NSR's signal.

Shapes: B = responses of the step, K = those that are left, T = response tokens, right-padded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from verl_ext.objectives.groups import num_in_group
from verl_ext.training.step.samples import Samples
from verl_ext.training.step.step_report import Counts, is_graded


class Rules(NamedTuple):
    """What a sample has to fulfil beside being graded."""

    masks_truncated: bool
    """Leave out an answer that was cut by the length limit."""
    smallest_group: int
    """How many sessions of its prompt have to be left."""
    drops_zero_advantage: bool
    keeps_groups_whole: bool
    """A prompt's samples leave only all together."""


def has_advantage(advantages_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """Which responses have a token with a non-zero advantage, shape (B,), bool.

    A response whose advantages are all zero adds nothing to the policy gradient, so computing its log-probs and its
    backward pass is wasted work. A fully masked response has none.
    """
    return ((advantages_BT != 0) & (mask_BT != 0)).any(dim=-1)


def select(samples: Samples, rules: Rules, advantages_of: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Which samples reach the update, shape (B,), bool; none where they have no token to learn from.

    Args:
        samples: All of the step.
        rules: What they have to fulfil.
        advantages_of: (K,) rows -> (K, T) advantages that the objective gives these samples among themselves.
    """
    is_kept_B = torch.tensor([is_graded(info) for info in samples.infos])
    if rules.masks_truncated:
        is_kept_B &= ~torch.tensor([bool(info["truncated"]) for info in samples.infos])
    is_kept_B &= is_in_large_group(is_kept_B, samples, rules.smallest_group)
    if rules.drops_zero_advantage and is_kept_B.any():
        rows_K = is_kept_B.nonzero().squeeze(-1)
        is_needed_K = has_advantage(advantages_of(rows_K), samples.mask_BT[rows_K])
        if rules.keeps_groups_whole:
            prompts_K = [samples.prompts[row] for row in rows_K.tolist()]
            is_needed_K = torch.tensor(num_in_group(is_needed_K.tolist(), prompts_K)) > 0
        is_kept_B[rows_K] = is_needed_K
    return none_without_a_token(samples, is_kept_B)


def none_without_a_token(samples: Samples, is_kept_B: torch.Tensor) -> torch.Tensor:
    """The same samples, or none where they have no token to learn from."""
    has_token_B = samples.num_tokens_B > 0
    return is_kept_B if (has_token_B & is_kept_B).any() else torch.zeros_like(is_kept_B)


class Kept(NamedTuple):
    """How much of a step is kept, in samples, in response tokens and in responses that have a token."""

    samples: Counts
    tokens: Counts
    responses: Counts


def count_kept(samples: Samples, is_kept_B: torch.Tensor) -> Kept:
    """Count what the update is made on, and what it would have been made on without the filter."""

    def counts(weights_B: torch.Tensor) -> Counts:
        return Counts(int((weights_B * is_kept_B).sum()), int(weights_B.sum()))

    return Kept(
        samples=counts(torch.ones_like(is_kept_B)),
        tokens=counts(samples.num_tokens_B),
        responses=counts(samples.num_tokens_B > 0),
    )


def is_in_large_group(is_kept_B: torch.Tensor, samples: Samples, smallest_group: int) -> torch.Tensor:
    """Whether enough sessions of each output's prompt are kept, (B,) bool."""
    is_kept_session = [
        kept and row == last
        for row, (kept, last) in enumerate(zip(is_kept_B.tolist(), samples.last_of_session, strict=True))
    ]
    return torch.tensor(num_in_group(is_kept_session, samples.prompts)) >= smallest_group


def check_truncation_is_reported(infos: Sequence[Mapping[str, float]], reward: Any) -> None:
    """``algorithm.mask_truncated`` works; raises ValueError for a reward function that does not say what was cut."""
    if not all("truncated" in info for info in infos):
        raise ValueError(
            "algorithm.mask_truncated=True needs a reward that reports the key truncated (1.0 for an answer that was "
            f"cut by the length limit, else 0.0), and reward.custom_reward_function.path={reward.path} "
            f"(name={reward.name}) does not. Set mask_truncated=False, or return the key."
        )
