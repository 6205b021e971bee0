"""How a step's samples, in the order of the data, are cut into mini-batches.

A mini-batch holds consecutive samples, and is padded so that every rank gets as many rows of it as every other. Free of
torch and verl.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, gcd
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


def num_updates(num_samples: int, mini_batch_size: int) -> int:
    """Optimiser steps for ``num_samples`` responses in mini-batches of at most ``mini_batch_size``; 0 when none is left."""
    return ceil(num_samples / mini_batch_size)


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
