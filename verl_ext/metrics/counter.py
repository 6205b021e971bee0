"""Count the lines of a generations file: what is known of each problem, and what is wrong with a line."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_ext.metrics.fault import Fault
from verl_ext.metrics.foreign_files import read_answers
from verl_ext.metrics.json_lines import decode_exactly

STRICT_TIERS = frozenset({"string", "exact", "typed", "value", "score"})
"""Tiers whose "correct" rests on strings, exact numbers and types alone; "value" is exact too, and Countdown's."""

_LABELS = (True, False)  # equal to 1 and 0
_MAX_MARKED = 1 << 16  # generation ids below this are bits of one number
_EXPECTED = {
    "question_id": "an integer or a string",
    "label": "0, 1, true or false",
    "generation_id": "an integer or a string",
    "tier": "a string",
}


@dataclass(slots=True)
class ProblemCounts:
    """What the lines so far say about one problem."""

    index: int
    """Its place in the order of the problems' first lines."""
    reference: Any
    """``gold_answer`` of its first line."""
    groups: list[Any]
    """Its value of each field to group by."""
    num_samples: int = 0
    num_correct: int = 0
    num_strict: int = 0
    """Correct by one of ``STRICT_TIERS``."""
    answers: Counter[str] = field(default_factory=Counter)
    """How often each ``pred_answer`` was given, where they are counted."""
    correct_answers: Counter[str] = field(default_factory=Counter)
    marked_ids: int = 0
    """The generation ids from 0 and below ``_MAX_MARKED``: a bit for each, since a file may have millions of answers."""
    other_ids: set[int | str] = field(default_factory=set)

    def add_id(self, generation_id: int | str) -> bool:
        """Note a generation id; False where it was noted before."""
        if type(generation_id) is int and 0 <= generation_id < _MAX_MARKED:
            before, self.marked_ids = self.marked_ids, self.marked_ids | 1 << generation_id
            return self.marked_ids != before
        num_before = len(self.other_ids)
        self.other_ids.add(generation_id)
        return len(self.other_ids) > num_before


class AnswerCounter:
    """What is known after the lines so far."""

    def __init__(
        self,
        path: Path,
        by: Sequence[str] = (),
        *,
        with_answers: bool = False,
        on_answer: Callable[[ProblemCounts, Mapping[str, Any]], None] | None = None,
    ) -> None:
        """Count the lines of ``path``, grouped by the fields ``by``; ``on_answer`` is called after each answer."""
        self.problems: dict[str, ProblemCounts] = {}
        """By question id as text: 1 and "1" are one problem, since some files have numbers and others texts."""
        self.reasons: Counter[str] = Counter()
        self.headers: list[dict[str, Any]] = []
        self.num_bad_lines = 0
        self._path = path
        self._by = by
        self._with_answers = with_answers
        self._on_answer = on_answer
        self._has_tiers = False
        self._num_correct_without_tier = 0

    @property
    def has_strict_labels(self) -> bool:
        """Whether every correct answer says which tier decided."""
        return self._has_tiers and not self._num_correct_without_tier

    def add(self, number: int, record: dict[str, Any] | Fault | None) -> Fault | None:
        """Count line ``number``; what is wrong with it if it is not an answer.

        Raises:
            ValueError: The answer was counted before.
        """
        if isinstance(record, Fault):
            return record
        if record is None:
            return Fault('is not a JSON object like {"question_id": 0, "label": 1}')
        if record.get("kind") == "header":
            self.headers.append(record)
            return None
        fault = _fault_in(record)
        if fault is None and self._by:
            fault = self._fault_in_groups(record)
        if fault is not None:
            return fault
        question_id = str(record["question_id"])
        answer = answer_in(record) if self._with_answers else ""
        reason = None if record.get("reason") is None else str(record["reason"])
        problem = self.problems.get(question_id)
        if problem is None:
            groups = [record[name] for name in self._by]
            problem = ProblemCounts(len(self.problems), record.get("gold_answer"), groups)
            self.problems[question_id] = problem
        self._check_is_new(number, problem, record)
        self._count(problem, record, answer, reason)
        if self._on_answer is not None:
            self._on_answer(problem, record)
        return None

    def _fault_in_groups(self, record: Mapping[str, Any]) -> Fault | None:
        for name in self._by:
            if record.get(name) is None or isinstance(record[name], (dict, list)):
                fault = _unexpected(record, name, "a number or a string to group by")
                if self.problems:
                    return fault
                # No line before had it either, so not the line is wrong but what was asked for.
                advice = f"Leave it out of --by {','.join(self._by)}, or name a field that the answers have."
                return Fault(fault.text, advice)
        problem = self.problems.get(str(record["question_id"]))
        groups = [record[name] for name in self._by]
        if problem is not None and groups != problem.groups:
            return Fault(
                f"puts question_id {record['question_id']!r} in {groups}, and an earlier line in {problem.groups}"
            )
        return None

    def _check_is_new(self, number: int, problem: ProblemCounts, record: Mapping[str, Any]) -> None:
        generation_id = record.get("generation_id")
        if generation_id is None:
            return
        if type(generation_id) is str and _is_integer(generation_id):
            generation_id = int(generation_id)
        if not problem.add_id(generation_id):
            raise ValueError(
                f"{self._path}, line {number}, repeats question_id {record['question_id']!r}, generation_id {generation_id!r}. "
                "Counted twice, an answer would weigh twice: delete one of the lines."
            )

    def _count(self, problem: ProblemCounts, record: Mapping[str, Any], answer: str, reason: str | None) -> None:
        is_correct = bool(record["label"])
        tier = record.get("tier")
        problem.num_samples += 1
        problem.num_correct += is_correct
        problem.num_strict += is_correct and tier in STRICT_TIERS
        self._has_tiers |= tier is not None
        self._num_correct_without_tier += is_correct and tier is None
        if reason is not None:
            self.reasons[reason] += 1
        if answer:
            problem.answers[answer] += 1
            if is_correct:
                problem.correct_answers[answer] += 1


class ConstantFields:
    """Fields that every answer has and that are the same throughout a problem, with their value per problem."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.values: dict[str, list[Any]] = {field: [] for field in fields}
        """A field that is not constant is taken out."""

    def note(self, row: int, record: Mapping[str, Any]) -> None:
        """Look at an answer to the problem in place ``row``."""
        for name, values in list(self.values.items()):
            value = record.get(name)
            if value is None or isinstance(value, (dict, list)):
                del self.values[name]
            elif row == len(values):
                values.append(value)
            elif value != values[row]:
                del self.values[name]


def count_answers(
    path: Path, counter: AnswerCounter, *, skip_bad_lines: bool = False, verdict: str | None = None
) -> None:
    """Add every answer of a file to ``counter``; ``verdict`` as in ``read_answers``.

    Raises:
        ValueError: A line that is not an answer, an answer twice, or no answer at all; names the file and the line.
    """
    first_fault = ""
    for number, record, line in read_answers(path, verdict):
        fault = _fault_after_adding(counter, number, record, line)
        if fault is None:
            continue
        if not skip_bad_lines:
            raise ValueError(f"{path}, line {number}, {fault.text}. {fault.remedy}")
        counter.num_bad_lines += 1
        first_fault = first_fault or f"line {number} {fault.text}"
    if not counter.problems:
        bad = f"only {counter.num_bad_lines} bad lines: {first_fault}" if counter.num_bad_lines else ""
        found = bad or ("only a header" if counter.headers else "it is empty")
        raise ValueError(
            f"{path} holds no answers ({found}). Expected a JSON object per line, with question_id and label."
        )


def _fault_after_adding(
    counter: AnswerCounter, number: int, record: dict[str, Any] | Fault | None, line: bytes
) -> Fault | None:
    try:
        fault = counter.add(number, record)
        if fault is not None and (exact := decode_exactly(line)) is not None:
            fault = counter.add(number, exact)
    except RecursionError:  # orjson reads what Python cannot print
        return Fault("has lists or objects that are nested too deep")
    return fault


def answer_in(record: Mapping[str, Any]) -> str:
    """``pred_answer`` of a line; "" where the response had no answer."""
    answer = record.get("pred_answer")
    return "" if answer is None else str(answer).strip()


def _fault_in(record: Mapping[str, Any]) -> Fault | None:
    """What is wrong with the fields that every answer has, or may have."""
    if type(record.get("question_id")) not in (int, str):
        wrong = "question_id"
    elif record.get("label") not in _LABELS:
        wrong = "label"
    elif type(record.get("generation_id")) not in (int, str, type(None)):
        wrong = "generation_id"
    elif type(record.get("tier")) not in (str, type(None)):
        wrong = "tier"
    else:
        return None
    return _unexpected(record, wrong, _EXPECTED[wrong])


def _unexpected(record: Mapping[str, Any], name: str, expected: str) -> Fault:
    if name not in record:
        return Fault(f"has no {name} (expected {expected}); its fields are {', '.join(record) or 'none'}")
    return Fault(f"has {name} {_short(record[name])} where {expected} was expected")


def _is_integer(text: str) -> bool:
    """Whether it is the text of a whole number from 0, as an integer would be written."""
    return text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0") and len(text) < 20


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
