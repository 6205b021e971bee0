"""Micro-batches that keep the samples of a prompt together, so that it is computed once (``verl_ext.learner.shared_prompts``)."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

MOST_KEYS = 4
"""Attention holds each response's keys side by side with its prompt's; at most this many for each token of the budget."""


@dataclass(frozen=True)
class RowSize:
    """What packing has to know of one sample of a batch."""

    prompt: Hashable
    """Equal for the samples whose prompt is the same."""
    num_prompt: int
    num_response: int

    @property
    def num_tokens(self) -> int:
        return self.num_prompt + self.num_response


def _cost(rows: Sequence[RowSize]) -> int:
    """Tokens that are computed of these rows together."""
    prompts = {row.prompt: row.num_prompt for row in rows}
    return sum(prompts.values()) + sum(max(row.num_response - 1, 0) for row in rows)


def _fits(rows: Sequence[RowSize], budget: int) -> bool:
    return _cost(rows) <= budget and sum(row.num_tokens for row in rows) <= MOST_KEYS * budget


def pack(rows: Sequence[RowSize], budget: int, *, num_batches: int = 1) -> list[list[int]]:
    """Micro-batches of at most ``budget`` computed tokens, as the numbers of their rows.

    Samples of a prompt stay together as far as they fit; then each lot goes into the first micro-batch with room for it,
    the largest first.

    Args:
        num_batches: Make at least so many, none of them empty.

    Raises:
        ValueError: A row alone is longer than ``budget``, or there are fewer rows than ``num_batches``.
    """
    longest = max((row.num_tokens for row in rows), default=0)
    if longest > budget:
        raise ValueError(f"A sample has {longest} tokens, and a micro-batch holds {budget}.")
    if len(rows) < num_batches:
        raise ValueError(f"{len(rows)} rows cannot be {num_batches} micro-batches.")
    of_prompt: dict[Hashable, list[list[int]]] = {}
    for number, row in enumerate(rows):
        lots = of_prompt.setdefault(row.prompt, [[]])
        if not _fits([rows[other] for other in lots[-1]] + [row], budget):
            lots.append([])
        lots[-1].append(number)
    lots = [lot for lots in of_prompt.values() for lot in lots]
    batches: list[list[int]] = []
    for lot in sorted(lots, key=lambda lot: -_cost([rows[number] for number in lot])):
        for batch in batches:
            if _fits([rows[number] for number in batch + lot], budget):
                batch += lot
                break
        else:
            batches.append(list(lot))
    while len(batches) < num_batches:
        largest = max(batches, key=len)
        batches.append([largest.pop() for _ in range(len(largest) // 2)])
    return batches


def rows_of(batch: Any) -> list[RowSize]:
    """Of a batch of verl's with jagged ``input_ids``, ``position_ids`` and ``responses``."""
    input_ids, positions = (batch[name].values().cpu().numpy() for name in ("input_ids", "position_ids"))
    borders = batch["input_ids"].offsets().tolist()
    rows = []
    for start, end, num_response in zip(
        borders, borders[1:], batch["responses"].offsets().diff().tolist(), strict=False
    ):
        of_prompt = slice(start, end - num_response)
        prompt = input_ids[of_prompt].tobytes(), positions[of_prompt].tobytes()
        rows.append(RowSize(prompt, end - num_response - start, num_response))
    return rows


def micro_batches(data: Any, dp_group: Any = None, **_of_verl: Any) -> tuple[list[Any], list[list[int]]]:
    """verl's ``prepare_micro_batches`` for budgets in tokens, by ``pack``: the same number on every rank of ``dp_group``."""
    from verl.utils import tensordict_utils as tu

    rows, budget = rows_of(data), int(data["max_token_len_per_gpu"])
    batches = pack(rows, budget)
    num_batches = torch.tensor(len(batches))
    torch.distributed.all_reduce(num_batches, op=torch.distributed.ReduceOp.MAX, group=dp_group)
    if num_batches > len(batches):  # another rank has more
        batches = pack(rows, budget, num_batches=int(num_batches))
    return [tu.index_select_tensor_dict(data, batch) for batch in batches], batches
