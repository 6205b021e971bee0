"""Count the lines of a generations file: what is known of each problem, and what is wrong with a line."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verl_ext.metrics.json_lines import ObjectReader

QuestionId = str
"""1 and "1" are one problem: the paper's files have numbers, others have texts."""
STRICT_TIERS = frozenset({"string", "exact", "typed", "value"})
"""Tiers whose "correct" rests on strings, exact numbers and types alone; "value" is exact too, and Countdown's."""

_FIELDS = ("kind", "question_id", "generation_id", "label", "gold_answer", "reason", "pred_answer", "tier")
_LABELS = (True, False)  # equal to 1 and 0
_MAX_DENSE_ID = 1 << 16  # generation ids below this are marked in an array of bytes


class _NoGroup(str):
    """What is wrong with an answer that has no value to group by."""


class AnswerCounter:
    """What is known of each problem after the lines so far."""

    def __init__(self, path: Path, by: Sequence[str], normalise_answer: Callable[[str], str] | None) -> None:
        self.path = path
        self.by = by
        self.normalise_answer = normalise_answer
        self.index_of: dict[QuestionId, int] = {}
        self.num_samples: list[int] = []
        self.num_correct: list[int] = []
        self.num_strict: list[int] = []
        self.references: list[Any] = []
        self.groups: list[list[Any]] = []
        self.answers: list[Counter[str]] = []
        self.correct_answers: list[Counter[str]] = []
        self.reasons: Counter[str] = Counter()
        self.headers: list[dict[str, Any]] = []
        self.num_bad_lines = 0
        self.has_tiers = False
        self.num_correct_without_tier = 0
        self._seen_small: list[bytearray] = []
        self._seen_other: set[tuple[int, int | str]] = set()

    @property
    def has_strict_labels(self) -> bool:
        """Whether every correct answer says which tier decided."""
        return self.has_tiers and not self.num_correct_without_tier

    def add(self, number: int, record: Mapping[str, Any]) -> str | None:
        """Count one answer; what is wrong with the line if it is no answer."""
        given_id = record.get("question_id")
        if type(given_id) is not str and type(given_id) is not int:
            return _expected(record, "question_id", "an integer or a string")
        question_id = str(given_id)
        label = record.get("label")
        if label not in _LABELS:
            return _expected(record, "label", "0, 1, true or false")
        generation_id = record.get("generation_id")
        if generation_id is not None and type(generation_id) is not int and type(generation_id) is not str:
            return _expected(record, "generation_id", "an integer or a string")
        tier = record.get("tier")
        if tier is not None and type(tier) is not str:
            return _expected(record, "tier", "a string")
        values = []
        for name in self.by:
            value = record.get(name)
            if value is None or isinstance(value, (dict, list)):
                return _NoGroup(_expected(record, name, "a number or a string to group by"))
            values.append(value)

        index = self.index_of.get(question_id)
        if index is None:
            index = self._new_problem(question_id, record, values)
        elif values and values != self.groups[index]:
            return f"puts question_id {given_id!r} in {values}, and an earlier line in {self.groups[index]}"
        if generation_id is not None:
            self._check_new(number, index, given_id, generation_id)

        self.num_samples[index] += 1
        if tier is not None:
            self.has_tiers = True
        if label:
            self.num_correct[index] += 1
            if tier is None:
                self.num_correct_without_tier += 1
            elif tier in STRICT_TIERS:
                self.num_strict[index] += 1
        if (reason := record.get("reason")) is not None:
            self.reasons[str(reason)] += 1
        if self.normalise_answer is not None:
            answer = record.get("pred_answer")
            answer = "" if answer is None else self.normalise_answer(str(answer))
            if answer:
                self.answers[index][answer] += 1
                if label:
                    self.correct_answers[index][answer] += 1
        return None

    def absorb(self, later: "AnswerCounter") -> bool:
        """Add what was counted in a later part of the file; False, and useless from then on, where the two conflict."""
        for question_id, theirs in later.index_of.items():
            index = self.index_of.get(question_id)
            if index is None:
                index = self.index_of[question_id] = len(self.num_samples)
                for mine, other in zip(self._by_problem(), later._by_problem(), strict=True):
                    if other:
                        mine.append(other[theirs])
                continue
            if self.by and self.groups[index] != later.groups[theirs]:
                return False
            if _share_an_id(self._seen_small[index], later._seen_small[theirs]):
                return False
            self._seen_small[index] = _either(self._seen_small[index], later._seen_small[theirs])
            self.num_samples[index] += later.num_samples[theirs]
            self.num_correct[index] += later.num_correct[theirs]
            self.num_strict[index] += later.num_strict[theirs]
            if self.answers:
                self.answers[index] += later.answers[theirs]
                self.correct_answers[index] += later.correct_answers[theirs]
        names = list(later.index_of)
        seen_other = {(self.index_of[names[theirs]], generation_id) for theirs, generation_id in later._seen_other}
        if self._seen_other & seen_other:
            return False
        self._seen_other |= seen_other
        self.reasons += later.reasons
        self.headers += later.headers
        self.num_bad_lines += later.num_bad_lines
        self.has_tiers |= later.has_tiers
        self.num_correct_without_tier += later.num_correct_without_tier
        return True

    def _by_problem(self) -> tuple[list[Any], ...]:
        """Every list with an entry per problem, or without any where the field was not asked for."""
        counts = (self.num_samples, self.num_correct, self.num_strict, self.references)
        return (*counts, self.groups, self.answers, self.correct_answers, self._seen_small)

    def _new_problem(self, question_id: QuestionId, record: Mapping[str, Any], values: list[Any]) -> int:
        index = self.index_of[question_id] = len(self.num_samples)
        self.num_samples.append(0)
        self.num_correct.append(0)
        self.num_strict.append(0)
        self.references.append(record.get("gold_answer"))
        self._seen_small.append(bytearray())
        if values:
            self.groups.append(values)
        if self.normalise_answer is not None:
            self.answers.append(Counter())
            self.correct_answers.append(Counter())
        return index

    def _check_new(self, number: int, index: int, question_id: int | str, generation_id: int | str) -> None:
        if type(generation_id) is str and _is_number(generation_id):
            generation_id = int(generation_id)
        if type(generation_id) is int and 0 <= generation_id < _MAX_DENSE_ID:
            seen = self._seen_small[index]
            if generation_id >= len(seen):
                seen.extend(bytes(2 * generation_id + 16 - len(seen)))
            is_new = not seen[generation_id]
            seen[generation_id] = 1
        else:
            is_new = (index, generation_id) not in self._seen_other
            self._seen_other.add((index, generation_id))
        if not is_new:
            raise ValueError(
                f"{self.path}, line {number}, repeats question_id {question_id!r}, generation_id {generation_id!r}. "
                "Counted twice, an answer would weigh twice: delete one of the lines."
            )


def count_answers(path: Path, counter: AnswerCounter, *, skip_bad_lines: bool = False) -> None:
    """Add every answer of a file to ``counter``.

    Raises:
        ValueError: A line that is no answer, an answer twice, or no answer at all; names the file and the line.
    """
    first_fault = count_lines(path, counter, skip_bad_lines=skip_bad_lines)
    if not counter.num_samples:
        bad = f"only {counter.num_bad_lines} bad lines: {first_fault}" if counter.num_bad_lines else ""
        found = bad or ("only a header" if counter.headers else "it is empty")
        raise ValueError(
            f"{path} holds no answers ({found}). Expected a JSON object per line, with question_id and label."
        )


def count_lines(
    path: Path, counter: AnswerCounter, *, skip_bad_lines: bool, start: int = 0, stop: int | None = None
) -> str:
    """As ``count_answers``, the part from byte ``start`` to ``stop``, which may hold no answer.

    Returns:
        What is wrong with the first of the lines left out; "" without one.
    """
    first_fault = ""
    reader = ObjectReader(path, {*_FIELDS, *counter.by}, start, stop)
    for number, record in reader:
        fault = None
        if record is None:
            fault = 'is not a JSON object like {"question_id": 0, "label": 1}'
        elif record.get("kind") == "header":
            counter.headers.append(record)
        else:
            fault = counter.add(number, record)
            if fault is not None and (exact := reader.decode_exactly()) is not None:
                fault = counter.add(number, exact)
        if fault is not None and skip_bad_lines:
            counter.num_bad_lines += 1
            first_fault = first_fault or f"line {number} {fault}"
        elif fault is not None:
            # Where no line before had a group either, not the line is wrong but what was asked for.
            is_asked_wrongly = isinstance(fault, _NoGroup) and not counter.num_samples
            remedy = (
                f"Leave it out of --by {','.join(counter.by)}, or name a field that the answers have."
                if is_asked_wrongly
                else "Correct or delete the line; --skip_bad_lines leaves such lines out and counts them."
            )
            raise ValueError(f"{path}, line {number}, {fault}. {remedy}")
    return first_fault


def _expected(record: Mapping[str, Any], name: str, expected: str) -> str:
    if name not in record:
        return f"has no {name} (expected {expected}); its fields are {', '.join(record) or 'none'}"
    return f"has {name} {_short(record[name])} where {expected} was expected"


def _is_number(text: str) -> bool:
    """Whether it is the text of a whole number from 0, as an integer would be written."""
    return text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0") and len(text) < 20


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _share_an_id(ours: bytearray, theirs: bytearray) -> bool:
    return bool(int.from_bytes(ours, "little") & int.from_bytes(theirs, "little"))


def _either(ours: bytearray, theirs: bytearray) -> bytearray:
    either = int.from_bytes(ours, "little") | int.from_bytes(theirs, "little")
    return bytearray(either.to_bytes(max(len(ours), len(theirs)), "little"))
