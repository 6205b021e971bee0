"""What each side's log says of a step, and that different work is not compared."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from step_work import StepWork, our_work, require_same, trl_work

WORK = [StepWork(16, 376, 8, 8, 1), StepWork(16, 380, 8, 8, 1)]


def ours(*, kept=16, updates=1, prompt=15.5):
    return {
        "train/samples": 16,
        "train/kept_samples": kept,
        "train/num_updates": updates,
        "prompt_length/mean": prompt,
        "response_length/mean": 8.0,
        "response_length/min": 8,
        "response_length/max": 8,
    }


def theirs(total, *, samples=16, shortest=8.0):
    return {
        "num_tokens": total,
        "num_samples": samples,
        "completions/min_length": shortest,
        "completions/max_length": 8.0,
    }


def test_trls_tokens_are_counted_over_all_steps():
    assert trl_work([theirs(376.0), theirs(756.0)]) == WORK


def test_ours_are_means_of_samples():
    assert our_work([ours(), ours(prompt=15.75)]) == WORK


def test_same_work_is_compared():
    require_same(our_work([ours(), ours(prompt=15.75)]), trl_work([theirs(376.0), theirs(756.0)]))


def test_tokens_of_a_filtered_step_are_not_known():
    """What the filter removed is in no length that verl logs; the rest of the work is."""
    filtered = our_work([ours(kept=7, prompt=15.0)])
    assert filtered[0].tokens is None
    require_same(filtered, trl_work([theirs(376.0)]))
    with pytest.raises(ValueError, match="Step 1"):
        require_same(filtered, trl_work([theirs(376.0, samples=8)]))


def test_a_step_that_kept_nothing_is_not_compared():
    """verl logs no lengths of it."""
    nothing = {name: value for name, value in ours(kept=0, updates=0).items() if not name.startswith("response_length")}
    with pytest.raises(ValueError, match="Step 2 of ours kept no sample"):
        our_work([ours(), nothing])


@pytest.mark.parametrize(
    "other",
    [theirs(377.0), theirs(376.0, samples=8), theirs(376.0, shortest=7.0)],
    ids=["tokens", "samples", "answers of another length"],
)
def test_other_work_is_refused(other):
    with pytest.raises(ValueError, match="Step 1 is not the same work"):
        require_same(our_work([ours()]), trl_work([other]))


def test_several_updates_are_refused():
    with pytest.raises(ValueError, match="updates=2"):
        require_same(our_work([ours(updates=2)]), trl_work([theirs(376.0)]))


def test_another_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="2 steps and TRL 1"):
        require_same(our_work([ours(), ours()]), trl_work([theirs(376.0)]))
