"""Seeds, and what is left to draw."""

from hypothesis import given
from hypothesis import strategies as st

from verl_ext.evaluation.drawing import Output, chunks_to_draw
from verl_ext.evaluation.sampler import MOST_SAMPLES, missing_runs, problem_seed


def test_a_seed_is_the_same_for_ever():
    """Files that were drawn with it can be topped up by any later version."""
    assert problem_seed(0, "0") == 1642773414
    assert problem_seed(1, "0") != problem_seed(0, "0") != problem_seed(0, "1")


@given(seed=st.integers(0, 2**64), question_id=st.text())
def test_every_seed_fits_into_31_bits(seed, question_id):
    """A server that clamps longer ones gave the same answer to every sample."""
    assert 0 <= problem_seed(seed, question_id) < 2**31 - MOST_SAMPLES


def test_worked_example():
    assert list(missing_runs({0, 1, 5}, num_samples=9, chunk_size=3)) == [(2, 3), (6, 3)]
    assert list(missing_runs(set(), num_samples=5, chunk_size=2)) == [(0, 2), (2, 2), (4, 1)]
    assert list(missing_runs(set(range(9)), num_samples=5, chunk_size=2)) == []


@given(done=st.sets(st.integers(0, 40)), num_samples=st.integers(1, 40), chunk_size=st.integers(1, 9))
def test_the_runs_and_what_is_done_make_every_sample_once(done, num_samples, chunk_size):
    runs = list(missing_runs(done, num_samples, chunk_size))
    drawn = [sample for first, count in runs for sample in range(first, first + count)]
    assert sorted(drawn) == sorted(set(range(num_samples)) - done)
    assert all(1 <= count <= chunk_size for _, count in runs)


def test_the_seed_of_a_sample_does_not_depend_on_its_chunk(problems, tmp_path):
    def seeds(chunk_size, order):
        output = Output(name="t", problems=order, path=tmp_path / "a.jsonl")
        chunks = chunks_to_draw([output], num_samples=7, seed=3, chunk_size=chunk_size)
        return {
            (order[chunk.problem].question_id, chunk.first + index): chunk.seed + index
            for chunk in chunks
            for index in range(chunk.count)
        }

    assert seeds(1, problems) == seeds(3, problems[::-1]) == seeds(100, problems)


def test_problems_are_numbered_through_all_outputs(problems, tmp_path):
    outputs = [Output(name=n, problems=problems[i : i + 2], path=tmp_path / n) for n, i in (("a", 0), ("b", 2))]
    outputs[0].done.add("1", 0, True, "correct")
    chunks = chunks_to_draw(outputs, num_samples=1, seed=0, chunk_size=1)
    assert [chunk.problem for chunk in chunks] == [0, 2, 3]
