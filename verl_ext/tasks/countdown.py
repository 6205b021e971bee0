"""Countdown problems: made from a seed or read from the hub's format, asked in a long and in a short form.

Training and test problems never meet: a problem is its target and its numbers in any order, and a hash of these alone
decides its split. So two files generated with any seeds, sizes and number ranges are disjoint.
"""

import glob
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations_with_replacement, permutations
from math import comb
from pathlib import Path
from typing import Any, get_args

from verl_ext.grading.arithmetic import PRECEDENCE, Canonical, apply, combine
from verl_ext.host.command_line import typed_path
from verl_ext.tasks.task import SourceRow, Split, Task, split_of

MAX_LISTED_NUMBER_SETS = 1000
"""Up to this many sets of numbers (three of 1 to 17, four of 1 to 9) every problem is listed, which takes 2 s at most;
beyond, problems are drawn."""

MAX_MISSES = 5_000
"""Draws in a row without a new problem after which the search ends. At the start, about one draw in 50 finds one."""


ProblemKey = tuple[tuple[int, ...], int]


@dataclass(frozen=True)
class CountdownProblem:
    """Reach ``target`` with every one of ``nums``, in the order in which they are shown."""

    nums: tuple[int, ...]
    target: int

    @property
    def key(self) -> ProblemKey:
        """What makes two problems the same: the order of the numbers does not count."""
        return tuple(sorted(self.nums)), self.target

    @property
    def split(self) -> Split:
        """The split it belongs to, whatever seed made it."""
        return split_of(repr(self.key))

    @property
    def reference(self) -> str:
        """The ground truth, as JSON text: one column type, so that verl can read several tasks side by side."""
        return json.dumps({"numbers": self.nums, "target": self.target})


def long_prompt(problem: CountdownProblem) -> str:
    """The question for a chat model, which thinks in ``<think>`` and answers in ``<answer>``."""
    return (
        f"Using the numbers {list(problem.nums)}, write an arithmetic expression that equals {problem.target}. "
        "You may use +, -, *, / and parentheses, and you must use every number exactly once. "
        "Show your work in <think> </think> tags. Then give the expression alone, without an equals sign, "
        "in <answer> </answer> tags, for example <answer>(1 + 2) / 3</answer>."
    )


def short_prompt(problem: CountdownProblem) -> str:
    """The question for the byte-level small model, such as ``3 5 7 = 22``; its answer is a bare ``3*5+7``."""
    return f"{' '.join(map(str, problem.nums))} = {problem.target}"


def _problem(row: SourceRow) -> CountdownProblem:
    """The problem of a row with ``nums`` and ``target``; raises KeyError or ValueError for another."""
    nums, target = row["nums"], row["target"]
    if not isinstance(nums, Sequence) or isinstance(nums, str) or not nums:
        raise ValueError(f"has the nums {nums!r:.80}, which is not a list of numbers.")
    return CountdownProblem(tuple(_whole(number, "nums") for number in nums), _whole(target, "target"))


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value % 1 or value < 0:
        raise ValueError(f"has {value!r:.80} in {name}, which is not a whole number >= 0.")
    return int(value)


COUNTDOWN = Task(
    data_source="countdown",
    grader="countdown",
    repo_id="justinphan3110/Countdown-Tasks-3to4",
    revision="main",  # no commit of this set is on record
    num_rows={"train": None, "test": None},  # problems are drawn from it, or made from a seed
    file_stem="countdown",
    question_of=lambda row: long_prompt(_problem(row)),
    answer_of=lambda row: _problem(row).reference,
    asks_for_box=False,
)


def all_expressions(nums: Sequence[int]) -> Iterator[tuple[str, Fraction]]:
    """Every way to use all of ``nums`` once, as its canonical text and value, in the order of the texts.

    Two expressions with the same ``canonical_answer`` come once; those that divide by zero are left out. Three numbers
    take a millisecond, four 0.1 s, five several seconds, six are out of reach.
    """
    yield from sorted((form.text, value) for form, value in _forms(tuple(sorted(nums))).items())


def solutions(problem: CountdownProblem) -> list[str]:
    """Every correct answer, once each, in canonical spelling."""
    return [text for text, value in all_expressions(problem.nums) if value == problem.target]


@lru_cache(maxsize=2048)
def _forms(nums: tuple[int, ...]) -> dict[Canonical, Fraction]:
    """Canonical form -> value, for all numbers of ``nums``, which must be sorted."""
    if len(nums) == 1:
        return {Canonical("number", (str(nums[0]),)): Fraction(nums[0])}
    forms: dict[Canonical, Fraction] = {}
    for left_nums, right_nums in _splits(nums):
        for left, left_value in _forms(left_nums).items():
            for right, right_value in _forms(right_nums).items():
                for symbol in PRECEDENCE:
                    if symbol != "/" or right_value != 0:
                        forms[combine(symbol, left, right)] = apply(symbol, left_value, right_value)
    return forms


def _splits(nums: tuple[int, ...]) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every way to deal ``nums`` to a left and a right side, neither empty."""
    deals = [[bool(mask >> place & 1) for place in range(len(nums))] for mask in range(1, 2 ** len(nums) - 1)]
    return {
        (
            tuple(number for number, is_left in zip(nums, deal, strict=True) if is_left),
            tuple(number for number, is_left in zip(nums, deal, strict=True) if not is_left),
        )
        for deal in deals
    }


def generate_problems(
    num_problems: int,
    *,
    seed: int,
    split: Split,
    num_numbers: int = 3,
    low: int = 1,
    high: int = 9,
    max_target: int = 100,
    without: Iterable[CountdownProblem] = (),
) -> list[CountdownProblem]:
    """Make solvable problems, the same ones for the same arguments.

    No two problems have the same target and the same numbers in the same order. Where the numbers are few, all problems
    that differ in more than order come first; only then do they come again with their numbers in another order.

    Args:
        num_problems: How many.
        seed: Seeds a generator of its own; the global one is left alone.
        split: train or test.
        num_numbers: Numbers in a problem, at least 2.
        low: Smallest number, at least 1.
        high: Largest number.
        max_target: Targets are 1 to this.
        without: Problems that are not to come, in whatever order of their numbers.

    Raises:
        ValueError: An argument is out of range, or fewer problems exist.
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be train or test, got {split!r}.")
    if num_numbers < 2 or not 1 <= low <= high or max_target < 1 or num_problems < 0:
        raise ValueError(
            "Countdown needs num_numbers >= 2, 1 <= low <= high, max_target >= 1 and a number of problems >= 0, got "
            f"num_numbers={num_numbers}, low={low}, high={high}, max_target={max_target}, {num_problems} problems."
        )
    rng = random.Random(f"{seed} {split} {num_numbers} {low} {high} {max_target}")
    left_out = {problem.key for problem in without}
    if comb(high - low + num_numbers, num_numbers) <= MAX_LISTED_NUMBER_SETS:
        different = [
            problem
            for nums in combinations_with_replacement(range(low, high + 1), num_numbers)
            for problem in (CountdownProblem(nums, target) for target in _targets(nums, max_target))
            if problem.split == split and problem.key not in left_out
        ]
        problems = _reorder_until(num_problems, different, rng)
    else:
        drawn = _draws(rng, num_numbers, low, high, max_target)
        problems = _different_of(drawn, num_problems, split, left_out)
    if len(problems) < num_problems:
        raise ValueError(
            f"Found only {len(problems)} {split} problems of {num_numbers} numbers from {low} to {high} with targets "
            f"up to {max_target}, not {num_problems}. Ask for fewer, or raise high or max_target."
        )
    return problems


def _targets(nums: tuple[int, ...], max_target: int) -> list[int]:
    """The whole numbers from 1 to ``max_target`` that ``nums`` can reach."""
    reached = {int(value) for value in _values(nums) if value.denominator == 1}
    return sorted(target for target in reached if 1 <= target <= max_target)


@lru_cache(maxsize=4096)
def _values(nums: tuple[int, ...]) -> frozenset[Fraction]:
    """The values of all expressions over ``nums``, which must be sorted; much cheaper than the expressions."""
    if len(nums) == 1:
        return frozenset({Fraction(nums[0])})
    return frozenset(
        apply(symbol, left, right)
        for left_nums, right_nums in _splits(nums)
        for left in _values(left_nums)
        for right in _values(right_nums)
        for symbol in PRECEDENCE
        if symbol != "/" or right != 0
    )


def _reorder_until(
    num_problems: int, different: Sequence[CountdownProblem], rng: random.Random
) -> list[CountdownProblem]:
    """Take ``different`` problems in random order, then again with other orders of their numbers."""
    orders = {problem: sorted(set(permutations(problem.nums))) for problem in different}
    shuffled = rng.sample(different, len(different))
    for choices in orders.values():
        rng.shuffle(choices)
    problems: list[CountdownProblem] = []
    for turn in range(max(map(len, orders.values()), default=0)):
        for problem in shuffled:
            if len(problems) < num_problems and turn < len(orders[problem]):
                problems.append(CountdownProblem(orders[problem][turn], problem.target))
    return problems


def _draws(
    rng: random.Random, num_numbers: int, low: int, high: int, max_target: int
) -> Iterator[CountdownProblem | None]:
    """Numbers put together at random, for ever; None where that is no problem."""
    while True:
        nums = tuple(rng.randint(low, high) for _ in range(num_numbers))
        value = _random_value(nums, rng)
        if value is None or value.denominator != 1 or not 1 <= value <= max_target:
            yield None
        else:
            yield CountdownProblem(nums, int(value))


def _different_of(
    drawn: Iterator[CountdownProblem | None], num_problems: int, split: Split, left_out: set[ProblemKey]
) -> list[CountdownProblem]:
    """The first ``num_problems`` of the split, until no new one has come for long."""
    problems: dict[ProblemKey, CountdownProblem] = {}
    num_misses = 0
    while len(problems) < num_problems and num_misses < MAX_MISSES:
        problem = next(drawn)
        if problem is None or problem.split != split or problem.key in left_out or problem.key in problems:
            num_misses += 1
        else:
            problems[problem.key] = problem
            num_misses = 0
    return list(problems.values())


def _random_value(nums: Sequence[int], rng: random.Random) -> Fraction | None:
    """The value of a random expression over all of ``nums``; None if it divides by zero."""
    values = [Fraction(number) for number in nums]
    while len(values) > 1:
        right = values.pop(rng.randrange(len(values)))
        left = values.pop(rng.randrange(len(values)))
        symbol = rng.choice("+-*/")
        if symbol == "/" and right == 0:
            return None
        values.append(apply(symbol, left, right))
    return values[0]


def _problem_at(where: str, nums: Any, target: Any) -> CountdownProblem:
    try:
        return _problem({"nums": nums, "target": target})
    except ValueError as error:
        raise ValueError(f"{where} {error} Fix the row.") from None


def load_problems(source: str) -> dict[Split, list[CountdownProblem]]:
    """Read problems in the hub's format (columns ``nums`` and ``target``) and make the two splits disjoint.

    A set with a test split keeps it whole and loses those training problems that are also test problems, in any order
    of their numbers. A set without one is divided as generated problems are.

    Args:
        source: "hub", or a folder of parquet files that have "train" or "test" in their names. Of a folder with more in
            it than Countdown, ``countdown_train.parquet`` and ``countdown_test.parquet`` are read.
    """
    data_files = None
    if source == "hub":
        repository, revision = COUNTDOWN.repo_id, COUNTDOWN.revision
    elif source.strip() and typed_path(source).is_dir():
        repository, revision = str(typed_path(source)), None
        if glob.has_magic(repository):
            raise ValueError(
                f"{source} has one of * ? [ in its name, which datasets reads as a pattern. Rename the folder."
            )
        names = {split: f"countdown_{split}.parquet" for split in get_args(Split)}
        data_files = {split: name for split, name in names.items() if (Path(repository) / name).is_file()} or None
    else:
        raise FileNotFoundError(
            f"{source or 'An empty name'} is not a folder. Name a folder of parquet files, or hub for the hub's set."
        )

    from datasets import load_dataset  # takes a second; only needed here

    by_split = {}
    for split, rows in load_dataset(repository, revision=revision, data_files=data_files).items():
        missing = {"nums", "target"} - set(rows.column_names)
        if missing:
            raise ValueError(f"{source} ({split}) has no column {', '.join(sorted(missing))}.")
        pairs = enumerate(zip(rows["nums"], rows["target"], strict=True))
        by_split[split] = [_problem_at(f"{source} ({split}), row {index},", *pair) for index, pair in pairs]
    if "train" not in by_split:
        raise ValueError(f"{source} has no split train, only {', '.join(by_split)}.")
    if "test" not in by_split:
        divided: dict[Split, list[CountdownProblem]] = {"train": [], "test": []}
        for problem in by_split["train"]:
            divided[problem.split].append(problem)
        return divided
    test_keys = {problem.key for problem in by_split["test"]}
    train = [problem for problem in by_split["train"] if problem.key not in test_keys]
    return {"train": train, "test": by_split["test"]}
