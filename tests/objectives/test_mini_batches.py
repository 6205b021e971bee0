from itertools import pairwise
from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.objectives.mini_batches import MiniBatch, cut_for_several, equal_cut, num_updates, paper_cut

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
