"""Where the rollout and the actor differ: the gap of a step's tokens one by one, and the tokens where it is largest.

Letters in shapes: B responses, T response tokens.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

SHOWN = 3


class TokenGap(NamedTuple):
    """One sampled token."""

    sample: str
    """Its response's key: the prompt's id, and the number of the answer to it."""
    place: int
    """In the response, from 0."""
    token: int
    text: str
    rollout: float
    """Its probability there."""
    actor: float


class StepGaps(NamedTuple):
    """The differences of the two probabilities of a step's sampled tokens."""

    step: int
    num_tokens: int
    mean: float
    max: float
    log_ratio_max: float
    """Of the log-probs, whose differences are large where probabilities are small."""
    largest: Sequence[TokenGap]
    """The tokens with the largest differences, in that order."""


def step_gaps(
    step: int,
    actor_BT: torch.Tensor,
    rollout_BT: torch.Tensor,
    mask_BT: torch.Tensor,
    tokens_BT: torch.Tensor,
    keys: Sequence[str],
    decode: Callable[[list[int]], str],
) -> StepGaps:
    """Compare.

    Args:
        step: Its number.
        actor_BT: (B, T) log-probs of the sampled tokens by the actor.
        rollout_BT: (B, T) the same by the rollout.
        mask_BT: (B, T) 1 on generated tokens; rows of padding have none.
        tokens_BT: (B, T) the tokens.
        keys: B names of the responses.
        decode: Text of tokens.
    """
    is_real_BT = mask_BT.bool()
    actor_BT, rollout_BT = actor_BT.double(), rollout_BT.double()
    gaps_BT = torch.where(is_real_BT, (actor_BT.exp() - rollout_BT.exp()).abs(), -1.0)
    ratios = (actor_BT - rollout_BT)[is_real_BT].abs()
    num_tokens = int(is_real_BT.sum())
    order = gaps_BT.flatten().nan_to_num(nan=torch.inf).argsort(descending=True)[: min(SHOWN, num_tokens)].tolist()
    places = [divmod(index, gaps_BT.shape[1]) for index in order]
    largest = [
        TokenGap(
            sample=keys[row],
            place=place,
            token=int(tokens_BT[row, place]),
            text=decode([int(tokens_BT[row, place])]),
            rollout=float(rollout_BT[row, place].exp()),
            actor=float(actor_BT[row, place].exp()),
        )
        for row, place in places
    ]
    real = gaps_BT[is_real_BT]
    return StepGaps(
        step,
        num_tokens,
        float(real.mean()) if num_tokens else 0.0,
        float(real.max()) if num_tokens else 0.0,
        float(ratios.max()) if num_tokens else 0.0,
        largest,
    )


def write(path: Path, gaps: StepGaps) -> None:
    """Add a line to ``path``."""
    record = gaps._asdict() | {"largest": [token._asdict() for token in gaps.largest]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read(path: Path) -> list[StepGaps]:
    """What ``write`` has written."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [StepGaps(**record | {"largest": [TokenGap(**token) for token in record["largest"]]}) for record in records]
