import random
from fractions import Fraction
from itertools import permutations, product

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_ext.grading import grade
from verl_ext.grading.arithmetic import canonical_answer
from verl_ext.tasks.countdown import (
    CountdownProblem,
    all_expressions,
    generate_problems,
    load_problems,
    long_prompt,
    short_prompt,
    solutions,
)

LISTED = {"num_numbers": 3, "low": 1, "high": 9}
DRAWN = {"num_numbers": 3, "low": 1, "high": 40}
FOUR = {"num_numbers": 4, "low": 1, "high": 60}
spaces = st.sampled_from([LISTED, DRAWN, FOUR])
small_numbers = st.lists(st.integers(1, 9), min_size=2, max_size=3)


def every_spelling(nums):
    """All fully parenthesised expressions over two or three numbers, found the long way."""
    shapes = ["(a)%s(b)"] if len(nums) == 2 else ["((a)%s(b))%s(c)", "(a)%s((b)%s(c))"]
    for order, shape in product(permutations(nums), shapes):
        for symbols in product("+-*/", repeat=len(nums) - 1):
            text = shape % symbols
            for name, number in zip("abc", order, strict=False):
                text = text.replace(name, str(number))
            yield text


@settings(max_examples=30)
@given(small_numbers)
def test_all_expressions_are_all_canonical_answers(nums):
    def divides_by_zero(text):
        return grade(text, {"numbers": nums, "target": 0}, "countdown").detail == "division by zero"

    expected = {canonical_answer(text) for text in every_spelling(nums) if not divides_by_zero(text)}
    assert [text for text, _ in all_expressions(nums)] == sorted(expected)


@given(small_numbers)
def test_values_are_what_the_grader_computes(nums):
    for text, value in all_expressions(nums):
        is_correct = grade(text, {"numbers": nums, "target": int(value)}, "countdown").is_correct
        assert is_correct == (value.denominator == 1)


def test_solutions_by_hand():
    assert solutions(CountdownProblem((5, 3, 7), 22)) == ["7+3*5"]
    assert solutions(CountdownProblem((8, 3, 3, 8), 24)) == ["8/(3-8/3)"]
    assert solutions(CountdownProblem((1, 1), 7)) == []
    assert list(all_expressions((2, 2))) == [("2*2", 4), ("2+2", 4), ("2-2", 0), ("2/2", 1)]
    assert ("(1+2)/3", Fraction(1)) in all_expressions((3, 2, 1))


seeds = st.integers(0, 2**40)
sizes = st.integers(0, 60)


@settings(max_examples=20)
@given(seeds, seeds, sizes, sizes, spaces, spaces)
def test_training_and_test_problems_never_meet(seed, other_seed, num_train, num_test, space, other_space):
    train = generate_problems(num_train, seed=seed, split="train", **space)
    test = generate_problems(num_test, seed=other_seed, split="test", **other_space)
    assert not {problem.key for problem in train} & {problem.key for problem in test}


def test_order_does_not_move_a_problem_to_the_other_side():
    for problem in generate_problems(100, seed=0, split="test"):
        assert {CountdownProblem(nums, problem.target).split for nums in permutations(problem.nums)} == {"test"}


@settings(max_examples=12)
@given(seed=st.integers(0, 2**40), space=spaces, split=st.sampled_from(["train", "test"]))
def test_problems_are_solvable_distinct_and_in_range(seed, space, split):
    problems = generate_problems(8, seed=seed, split=split, max_target=50, **space)
    assert len({problem.key for problem in problems}) == len(problems) == 8
    for problem in problems:
        assert solutions(problem)
        assert len(problem.nums) == space["num_numbers"]
        assert all(space["low"] <= number <= space["high"] for number in problem.nums)
        assert 1 <= problem.target <= 50
        assert problem.split == split


def test_same_seed_same_problems_whatever_the_global_generator():
    random.seed(1)
    first = generate_problems(50, seed=7, split="train")
    random.seed(2)
    state = random.getstate()
    assert generate_problems(50, seed=7, split="train") == first
    assert generate_problems(50, seed=8, split="train") != first
    assert random.getstate() == state
    # Pinned: a change here makes every generated file and every result on it a different one.
    assert first[:2] == PINNED
    assert generate_problems(2, seed=7, split="test", **FOUR) == PINNED_FOUR


PINNED = [CountdownProblem((6, 4, 6), 32), CountdownProblem((9, 1, 8), 71)]
PINNED_FOUR = [CountdownProblem((5, 10, 9, 15), 11), CountdownProblem((41, 3, 59, 51), 45)]


def test_other_orders_come_only_after_all_different_problems():
    problems = generate_problems(2000, seed=1, split="train")
    num_different = len({problem.key for problem in problems})
    assert num_different < 2000
    assert len({problem.key for problem in problems[:num_different]}) == num_different
    assert len(set(problems)) == 2000


def test_about_a_fifth_is_for_testing():
    num_test, num_train = (
        len({problem.key for problem in generate_problems(num, seed=0, split=split)})
        for split, num in (("test", 1500), ("train", 7000))
    )
    assert 0.15 < num_test / (num_test + num_train) < 0.25


def test_more_problems_than_exist():
    with pytest.raises(ValueError, match=r"Found only 8254 train problems of 3 numbers from 1 to 9 .* not 8255\."):
        generate_problems(8255, seed=1, split="train")
    with pytest.raises(
        ValueError, match=r"Found only \d+ test problems of 2 numbers from 1 to 60 with targets up to 1,"
    ):
        generate_problems(10**6, seed=1, split="test", num_numbers=2, low=1, high=60, max_target=1)


@pytest.mark.parametrize(
    "arguments",
    [{"split": "val"}, {"num_numbers": 1}, {"low": 0}, {"low": 9, "high": 3}, {"max_target": 0}, {"num_problems": -1}],
)
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=r"split must be|Countdown needs"):
        generate_problems(**{"num_problems": 1, "seed": 0, "split": "train"} | arguments)


def test_prompts():
    problem = CountdownProblem((7, 3, 5), 22)
    assert short_prompt(problem) == "7 3 5 = 22"
    for part in (
        "[7, 3, 5]",
        "equals 22",
        "<think> </think>",
        "<answer> </answer>",
        "exactly once",
        "without an equals",
    ):
        assert part in long_prompt(problem)
    example = long_prompt(problem)
    assert grade(example, {"numbers": [1, 2, 3], "target": 1}, "countdown").is_correct  # the example obeys the rules


def write_hub_files(folder, **splits):
    for split, problems in splits.items():
        table = pa.table({"target": [target for _, target in problems], "nums": [nums for nums, _ in problems]})
        pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def hub_cache(tmp_path_factory, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub_cache"))


@pytest.mark.usefixtures("hub_cache")
def test_hub_format_with_a_test_split_loses_training_problems_that_are_tested(tmp_path):
    write_hub_files(tmp_path, train=[([44, 19, 35], 98), ([9, 7], 63)], test=[([7, 9], 63), ([95, 63, 96], 64)])
    problems = load_problems(str(tmp_path))
    assert problems["train"] == [CountdownProblem((44, 19, 35), 98)]
    assert problems["test"] == [CountdownProblem((7, 9), 63), CountdownProblem((95, 63, 96), 64)]


@pytest.mark.usefixtures("hub_cache")
def test_hub_format_without_a_test_split_is_divided(tmp_path):
    rows = [([a, b, 50], target) for a in range(1, 11) for b in range(1, 11) for target in (10, 20)]
    write_hub_files(tmp_path, train=rows)
    problems = load_problems(str(tmp_path))
    assert len(problems["train"]) + len(problems["test"]) == len(rows)
    assert not {problem.key for problem in problems["train"]} & {problem.key for problem in problems["test"]}
    assert len(problems["test"]) > 10


@pytest.mark.usefixtures("hub_cache")
def test_hub_format_lacks_a_column(tmp_path):
    pyarrow.parquet.write_table(pa.table({"nums": [[1, 2]]}), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"\(train\) has no column target"):
        load_problems(str(tmp_path))


@pytest.mark.usefixtures("hub_cache")
def test_shared_tinyzero_problems_are_read(data_dir):
    problems = load_problems(str(data_dir))
    assert problems["train"][0] == CountdownProblem((44, 19, 35), 98)
    assert len(problems["test"]) == 2001
    assert not {problem.key for problem in problems["train"]} & {problem.key for problem in problems["test"]}
    assert all(solutions(problem) for problem in problems["test"][:20])


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a folder\. Name a folder of parquet files, or hub"):
        load_problems(str(tmp_path / "missing"))


@settings(max_examples=20, deadline=None)
@given(spaces, st.integers(0, 3), st.integers(0, 30))
def test_problems_that_are_known_do_not_come(space, seed, num_known):
    """Whatever the order of their numbers, and whether problems are listed or drawn."""
    known = [
        CountdownProblem(problem.nums[::-1], problem.target)
        for problem in generate_problems(num_known, seed=seed, split="train", **space)
    ]
    others = generate_problems(30, seed=seed, split="train", without=known, **space)
    assert len(others) == 30
    assert not {problem.key for problem in known} & {problem.key for problem in others}
    assert generate_problems(30, seed=seed, split="train", without=[], **space) == generate_problems(
        30, seed=seed, split="train", **space
    )
