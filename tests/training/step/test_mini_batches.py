from itertools import pairwise
from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.training.step.mini_batches import (
    MiniBatch,
    Update,
    cut_for_several,
    equal_cut,
    num_updates,
    paper_cut,
    row_multiple,
    rows_of_ranks,
    rows_of_update,
    updates_of,
)

RANKS = 8
WHOLE = 256 * RANKS


@pytest.mark.parametrize(
    ("per_rank", "updates", "rest"),
    [(528, 3, 16), (329, 2, 73), (257, 2, 1), (256, 1, 256), (235, 1, 235), (150, 1, 150)],
)
def test_updates_of_the_papers_runs(per_rank, updates, rest):
    """Samples per GPU at steps 1, 10, 20 and 120 of the paper's NSR run on Qwen2.5-Math-7B, in mini-batches of 256."""
    cut = paper_cut(per_rank * RANKS, WHOLE, RANKS)
    assert len(cut) == num_updates(per_rank * RANKS, WHOLE) == updates
    assert cut[-1].size == rest * RANKS
    assert all(part == MiniBatch(i * WHOLE, (i + 1) * WHOLE, WHOLE) for i, part in enumerate(cut[:-1]))


def test_nothing_left_is_no_update():
    assert num_updates(0, 256) == 0


def test_padding_is_spread_over_equal_mini_batches():
    """10 samples in two updates on 4 ranks: 5 and 3 rows of padding each, not 8 and 2."""
    assert equal_cut(10, 8, 4) == [MiniBatch(0, 5, 8), MiniBatch(5, 10, 8)]


def test_a_mini_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="mini-batch of 10 samples .* cannot be split into shares of 4"):
        paper_cut(100, 10, 4)


def test_actor_and_critic_can_both_put_theirs_together():
    """32 updates of the critic and 4 of the actor of whole 2,048-sample mini-batches, as in the paper's PPO."""
    cut = cut_for_several(8000, [256, 2048], lcm(RANKS, 256, 2048))
    assert len(cut) == 32
    assert {part.size for part in cut} == {256}
    assert {part.num_padding for part in cut} == {6}


@given(st.integers(1, 5_000), st.integers(1, 40), st.integers(1, 8))
def test_every_sample_is_in_one_mini_batch_in_order(num_samples, per_rank, num_ranks):
    size = per_rank * num_ranks
    for cut in (
        equal_cut(num_samples, size, num_ranks),
        paper_cut(num_samples, size, num_ranks),
        cut_for_several(num_samples, [size, 2 * size], 2 * size),
    ):
        assert [cut[0].start, cut[-1].stop] == [0, num_samples]
        assert all(before.stop == after.start for before, after in pairwise(cut))
        assert all(part.num_padding >= 0 and part.size % num_ranks == 0 for part in cut)
    equal = equal_cut(num_samples, size, num_ranks)
    assert {part.size for part in equal} == {equal[0].size}
    assert len(equal) == num_updates(num_samples, size)
    paddings = [part.num_padding for part in equal]
    assert max(paddings) - min(paddings) <= 1


# ---------------------------------------------------------------------- ranks and updates


def test_fixed_micro_batches_come_out_even():
    assert row_multiple(4, []) == 4
    assert row_multiple(4, [2, 3, None]) == 24


def halves(rows: list[int]) -> list[list[int]]:
    """Every other row to each of two ranks."""
    return [list(range(0, len(rows), 2)), list(range(1, len(rows), 2))]


def test_each_rank_has_its_share_of_every_mini_batch():
    """Samples 0 to 6, in mini-batches of 4 and 3; row 7 is the padding of the second."""
    cut = paper_cut(7, 4, 2)
    assert rows_of_ranks(cut, 2, halves) == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_every_mini_batch_gets_its_own_padding():
    """5 samples in two mini-batches of 4 rows: 2 and 3 of them, padded by rows 5, 6 and by row 7."""
    cut = equal_cut(5, 4, 4)
    assert [(part.start, part.stop) for part in cut] == [(0, 2), (2, 5)]
    assert rows_of_ranks(cut, 2, halves) == [[0, 5, 2, 4], [1, 6, 3, 7]]


def test_mini_batches_of_one_size_are_one_call():
    cut = equal_cut(22, 8, 2)
    assert updates_of(cut, num_ranks=2, epochs=3, seed=7) == [Update(0, 12, 8, 3, 7, is_last=True)]


def test_a_smaller_last_one_goes_by_itself_in_every_epoch():
    """22 samples in two mini-batches of 8 rows and one of 6, on two ranks, twice."""
    updates = updates_of(paper_cut(22, 8, 2), num_ranks=2, epochs=2, seed=7)
    assert updates == [
        Update(0, 8, 8, 1, 7, is_last=False),
        Update(8, 11, 6, 1, 7, is_last=False),
        Update(0, 8, 8, 1, 9, is_last=False),
        Update(8, 11, 6, 1, 9, is_last=True),
    ]
    assert rows_of_update(updates[1], 22, 2) == [8, 9, 10, 19, 20, 21]


def test_the_first_mini_batch_may_go_by_itself():
    """22 samples on two ranks in three mini-batches of 8 rows, and in two of 8 and one of 6."""
    options = {"num_ranks": 2, "epochs": 1, "seed": 7, "is_first_apart": True}
    equal = updates_of(equal_cut(22, 8, 2), **options)
    assert equal == [Update(0, 4, 8, 1, 7, is_last=False), Update(4, 12, 8, 1, 7, is_last=True)]
    assert [(one.start, one.stop) for one in updates_of(paper_cut(22, 8, 2), **options)] == [(0, 4), (4, 8), (8, 11)]
    assert updates_of(equal_cut(8, 8, 2), **options) == [Update(0, 4, 8, 1, 7, is_last=True)]


@given(st.integers(1, 500), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_every_row_is_trained_on_once_an_epoch(num_samples, per_rank, num_ranks, epochs, is_first_apart):
    cut = paper_cut(num_samples, per_rank * num_ranks, num_ranks)
    num_rows = sum(part.size for part in cut)
    updates = updates_of(cut, num_ranks=num_ranks, epochs=epochs, seed=0, is_first_apart=is_first_apart)
    rows = [row for update in updates for row in rows_of_update(update, num_rows, num_ranks) * update.epochs]
    assert sorted(rows) == sorted([*range(num_rows)] * epochs)
    assert [update.is_last for update in updates] == [False] * (len(updates) - 1) + [True]
