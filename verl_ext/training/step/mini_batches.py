"""How a step's samples, in the order of the data, are cut into mini-batches, and these given to ranks and updates.

A mini-batch holds consecutive samples, and is padded so that every rank gets as many rows of it as every other. Free of
torch and verl.
"""

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from math import ceil, gcd, lcm
from typing import NamedTuple


class MiniBatch(NamedTuple):
    start: int
    """Its first sample, in the order of the data."""
    stop: int
    """One past its last sample."""
    size: int
    """Its rows over all ranks: its samples and padding."""

    @property
    def num_padding(self) -> int:
        return self.size - (self.stop - self.start)


class Update(NamedTuple):
    """A call of the workers, which cut what they get into mini-batches of one size."""

    start: int
    stop: int
    """Its rows, within each rank's share of the batch."""
    size: int
    """Rows of a mini-batch over all ranks."""
    epochs: int
    seed: int
    is_last: bool
    """Whether it ends the step, so that the learning rate moves after it."""


def num_updates(num_samples: int, mini_batch_size: int) -> int:
    """Optimizer steps for ``num_samples`` responses in mini-batches of at most ``mini_batch_size``; 0 when none is left."""
    return ceil(num_samples / mini_batch_size)


def row_multiple(num_ranks: int, micro_batch_sizes: Sequence[int | None]) -> int:
    """What the rows of a mini-batch over all ranks must be a multiple of.

    verl cuts a rank's share of a mini-batch into micro-batches of a fixed size, and asks that it comes out even; one that
    is not given asks nothing.
    """
    return num_ranks * lcm(*(size for size in micro_batch_sizes if size))


def equal_cut(num_samples: int, mini_batch_size: int, multiple: int) -> list[MiniBatch]:
    """As few mini-batches as ``mini_batch_size`` allows, all of one size; padding is spread over them evenly.

    Args:
        num_samples: Samples to cut, at least 1.
        mini_batch_size: Samples of a whole mini-batch over all ranks.
        multiple: What the rows of a mini-batch must be a multiple of, such as the number of ranks.
    """
    return _spread(num_samples, num_updates(num_samples, mini_batch_size), multiple)


def paper_cut(num_samples: int, mini_batch_size: int, multiple: int) -> list[MiniBatch]:
    """Whole mini-batches, then one of what is left, as the released code of arXiv:2506.01347 cuts.

    That code divides every mini-batch's loss by the whole size, so that the last one weighs its share of it: with 2,048
    samples a mini-batch, 4,224 kept samples make updates of weight 1, 1 and 128/2,048.

    Raises:
        ValueError: A whole mini-batch is no multiple of ``multiple``.
    """
    if mini_batch_size % multiple:
        raise ValueError(
            f"A mini-batch of {mini_batch_size} samples (actor_rollout_ref.actor.ppo_mini_batch_size x "
            f"actor_rollout_ref.rollout.n) cannot be split into shares of {multiple} rows (ranks x micro-batch)."
        )
    num_whole, rest = divmod(num_samples, mini_batch_size)
    cut = [MiniBatch(i * mini_batch_size, (i + 1) * mini_batch_size, mini_batch_size) for i in range(num_whole)]
    if rest:
        cut.append(MiniBatch(num_whole * mini_batch_size, num_samples, ceil(rest / multiple) * multiple))
    return cut


def cut_for_several(num_samples: int, mini_batch_sizes: Sequence[int], multiple: int) -> list[MiniBatch]:
    """Mini-batches that two models of different mini-batch sizes can both put together: actor and critic.

    The rows come to a whole number of each model's mini-batches, as verl asks for.

    Args:
        num_samples: Samples to cut, at least 1.
        mini_batch_sizes: Rows of a mini-batch of each model.
        multiple: What the rows must be a multiple of: verl's least common multiple of those sizes and the ranks.
    """
    num_rows = ceil(num_samples / multiple) * multiple
    return _spread(num_samples, num_rows // gcd(*mini_batch_sizes), gcd(*mini_batch_sizes))


def _spread(num_samples: int, num_parts: int, multiple: int) -> list[MiniBatch]:
    bounds = [num_samples * part // num_parts for part in range(num_parts + 1)]
    largest = max(stop - start for start, stop in pairwise(bounds))
    size = ceil(largest / multiple) * multiple
    return [MiniBatch(start, stop, size) for start, stop in pairwise(bounds)]


def rows_of_ranks(
    cut: Sequence[MiniBatch], num_ranks: int, shares_of: Callable[[list[int]], Sequence[Sequence[int]]]
) -> list[list[int]]:
    """The rows of each rank, mini-batch after mini-batch; the padding of all of them follows the samples.

    Args:
        cut: The mini-batches.
        num_ranks: How many ranks there are.
        shares_of: Rows of a mini-batch -> the positions among them that each rank gets.
    """
    of_rank: list[list[int]] = [[] for _ in range(num_ranks)]
    first_padding = cut[-1].stop
    for part in cut:
        padding = range(first_padding, first_padding + part.num_padding)
        first_padding = padding.stop
        rows = [*range(part.start, part.stop), *padding]
        for rank, share in enumerate(shares_of(rows)):
            of_rank[rank] += [rows[position] for position in share]
    return of_rank


def updates_of(
    cut: Sequence[MiniBatch], *, num_ranks: int, epochs: int, seed: int, is_first_apart: bool = False
) -> list[Update]:
    """The calls of the workers that train on ``cut``, ``epochs`` times.

    A worker cuts what it gets into mini-batches of one size. So the last one of the paper's cut, which is smaller, goes
    to the workers by itself, once in every epoch. With ``is_first_apart`` the first one does too.
    """
    pieces = (cut[:1], cut[1:]) if is_first_apart else (cut,)
    rows_of_size = [
        (size, sum(part.size for part in parts) // num_ranks)
        for piece in pieces
        for size, parts in groupby(piece, lambda part: part.size)
    ]
    if len(rows_of_size) == 1:
        ((size, num_rows),) = rows_of_size
        return [Update(0, num_rows, size, epochs, seed, is_last=True)]
    updates = []
    for epoch in range(epochs):
        start = 0
        for size, num_rows in rows_of_size:
            # A worker adds its rank to the seed.
            updates.append(Update(start, start + num_rows, size, 1, seed + epoch * num_ranks, is_last=False))
            start += num_rows
    updates[-1] = updates[-1]._replace(is_last=True)
    return updates


def rows_of_update(update: Update, num_rows: int, num_ranks: int) -> list[int]:
    """The rows of every rank's share of a batch of ``num_rows`` that ``update`` trains on."""
    per_rank = num_rows // num_ranks
    return [
        row for rank in range(num_ranks) for row in range(rank * per_rank + update.start, rank * per_rank + update.stop)
    ]
