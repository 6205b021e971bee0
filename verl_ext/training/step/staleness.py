"""How old the weights are that a step's samples come from, and negative samples from weights that are too old.

A sample's age is the number of weight updates between the weights under which it began and those that it trains: 0 in a
synchronous step. One that was interrupted by an update goes on under the new weights, and its age is that of its first token.
Off the policy a negative sample pushes down what the policy may no longer say: AsymRE (arXiv:2506.20520) and TOPR
(arXiv:2503.14286) find these the ones that hurt, and the positive ones harmless.

Shapes: B = responses of the step, K = some of them, T = response tokens, right-padded.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

import torch

from verl_ext.training.step.samples import Samples


def ages_of(tags: Sequence[Mapping[str, Any]], newest: int) -> list[int]:
    """The age of each sample, >= 0.

    Args:
        tags: verl's, which say after which step's update a sample began (``min_global_steps``). Where the rollout has not said
            it, the step in which the prompt was sent bounds it (``global_steps``).
        newest: The last step whose update the weights that are trained have seen.
    """
    return [max(newest - _began(tag, newest), 0) for tag in tags]


def _began(tag: Mapping[str, Any], newest: int) -> int:
    if tag.get("min_global_steps") is not None:
        return int(tag["min_global_steps"])
    return int(tag.get("global_steps", newest + 1)) - 1


def stale_negatives(
    samples: Samples, is_kept_B: torch.Tensor, advantages_of: Callable[[torch.Tensor], torch.Tensor], most: int
) -> torch.Tensor:
    """Which of the kept samples are older than ``most`` and have a negative advantage, shape (B,), bool.

    Args:
        samples: All of the step.
        is_kept_B: Those to look at.
        advantages_of: (K,) rows -> (K, T) advantages of an objective that does not compare samples.
        most: The largest age that is let through.
    """
    is_stale_B = is_kept_B & (torch.tensor(samples.ages) > most)
    rows_K = is_stale_B.nonzero().squeeze(-1)
    if len(rows_K):
        is_stale_B[rows_K] = ((advantages_of(rows_K) < 0) & (samples.mask_BT[rows_K] != 0)).any(dim=-1)
    return is_stale_B


def describe(samples: Samples) -> dict[str, float]:
    """The ages of a step's sessions, whatever the filter keeps."""
    ages = [samples.ages[row] for row in samples.sessions]
    return {"train/staleness/mean": mean(ages), "train/staleness/max": max(ages)}


def gaps_by_age(
    actor_BT: torch.Tensor, rollout_BT: torch.Tensor, mask_BT: torch.Tensor, ages: Sequence[int]
) -> dict[str, float]:
    """How far the rollout's probabilities are from the actor's, apart for samples of the weights that are trained and of older ones.

    Args:
        actor_BT: (B, T) log-probs of the sampled tokens by the weights that are trained.
        rollout_BT: (B, T) the same by those that sampled.
        mask_BT: (B, T) 1 on generated tokens; rows of padding have none.
        ages: B ages.

    Returns:
        The mean absolute difference of the probabilities over the tokens of each kind; a kind that has none is left out.
    """
    gaps_BT = (actor_BT.double().exp() - rollout_BT.double().exp()).abs()
    is_stale_B1 = (torch.tensor(ages) > 0).unsqueeze(-1)
    metrics = {}
    for name, is_meant_B1 in (("fresh", ~is_stale_B1), ("stale", is_stale_B1)):
        is_meant_BT = mask_BT.bool() & is_meant_B1
        if is_meant_BT.any():
            metrics[f"train/rollout_gap/{name}"] = float(gaps_BT[is_meant_BT].mean())
    return metrics
