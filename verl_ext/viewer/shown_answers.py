"""The answers of one file as the page holds them: columns to filter by, and texts to be read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verl_ext.grading.verdict import UNGRADED, WITHHELD_REASON, Reason
from verl_ext.metrics.generations import Generations, read_generations
from verl_ext.metrics.side_file import read_run, run_path
from verl_ext.viewer.answer_places import AnswerFile

NOT_GRADED = (*UNGRADED, WITHHELD_REASON)
"""Reasons of answers that are neither right nor wrong."""
PROBLEM_FIELDS = ("level", "subject", "type", "task", "data_source")
TOKEN_FIELDS = ("tokens", "rollout_log_probs", "old_log_probs")
"""Texts of the sampled tokens, and their log-probs by the rollout and by the actor before the update."""
_LEARNING_FIELDS = ("advantage", "kept")
_SPECIAL_TOKEN = re.compile(r"<\|[^<>|]*\|>|</?s>")
_LARGEST = 2**53
"""Up to here a browser's numbers are exact."""


@dataclass
class ShownProblem:
    """What a file says of a problem."""

    key: str
    """``question_id``."""
    reference: Any
    prompt: Any
    fields: Mapping[str, str]
    """Those of ``PROBLEM_FIELDS`` that there are."""
    text: str = ""
    """The prompt that the model was given, without special tokens and spaces; empty where it is not known."""


@dataclass
class Answers:
    """One file, by problem."""

    problems: list[ShownProblem] = field(default_factory=list)
    records: list[list[Mapping[str, Any]]] = field(default_factory=list)
    """Of each problem, in the order of the file."""
    num_left_out: int = 0
    """Answers beyond ``most`` of a problem."""
    missing: list[str] = field(default_factory=list)
    """Sentences on what the file does not hold."""


def read_file(file: AnswerFile, *, most: int | None = None, verdict: str | None = None) -> Answers:
    """Read a file, whichever tool wrote it.

    Args:
        file: Where it is.
        most: How many answers of a problem are kept, the first; None for all.
        verdict: Which of several verdicts counts, as in ``read_answers``.

    Raises:
        ValueError: It is damaged, or holds no answer.
    """
    answers = Answers()
    prompts, lack = _prompts(file)

    def note(problem: Any, record: Mapping[str, Any]) -> None:
        if problem.index == len(answers.problems):
            answers.problems.append(_problem(record, prompts))
            answers.records.append([])
        if most is not None and len(answers.records[problem.index]) >= most:
            answers.num_left_out += 1
        else:
            answers.records[problem.index].append(record)

    counted = read_generations(file.path, skip_bad_lines=True, verdict=verdict, on_answer=note)
    _sort(answers)
    answers.missing = _missing(answers, counted, lack)
    return answers


def _sort(answers: Answers) -> None:
    """By number, where problems or the answers to one have numbers; a file has them in the order in which they were ready."""
    for records in answers.records:
        if all(type(record.get("generation_id")) is int for record in records):
            records.sort(key=lambda record: record["generation_id"])
    if all(problem.key.isdecimal() and len(problem.key) < 20 for problem in answers.problems):
        order = sorted(range(len(answers.problems)), key=lambda row: int(answers.problems[row].key))
        answers.problems = [answers.problems[row] for row in order]
        answers.records = [answers.records[row] for row in order]


def _prompts(file: AnswerFile) -> tuple[Mapping[str, Any], str]:
    """What the side file says of each problem; and why it says nothing."""
    path = run_path(file.path)
    try:
        run = read_run(path)
    except ValueError:
        return {}, f"{path.name} beside it is damaged"
    return ({}, f"no {path.name} is beside it") if run is None else (run.get("problems", {}), "")


def _problem(record: Mapping[str, Any], prompts: Mapping[str, Any]) -> ShownProblem:
    entry = prompts.get(str(record["question_id"]), {})
    said = {**entry, **{name: value for name, value in record.items() if value is not None}}
    return ShownProblem(
        key=str(record["question_id"]),
        reference=said.get("gold_answer"),
        prompt=said.get("prompt"),
        fields={name: str(said[name]) for name in PROBLEM_FIELDS if isinstance(said.get(name), str | int | float)},
        text=_given_text(said),
    )


def _given_text(said: Mapping[str, Any]) -> str:
    """verl's logs have prompts decoded, without the special tokens that an evaluation has noted."""
    given = said.get("text", said.get("prompt"))
    return "".join(_SPECIAL_TOKEN.sub("", given).split()) if isinstance(given, str) else ""


def _missing(answers: Answers, counted: Generations, lack: str) -> list[str]:
    """What a reader would look for and not find."""
    records = [record for of_problem in answers.records for record in of_problem]
    num_texts = sum(isinstance(record.get("response"), str) for record in records)
    found = []
    if num_texts < len(records):
        found.append(f"{_share(len(records) - num_texts, len(records))} no text, only a verdict")
    if not all(problem.prompt for problem in answers.problems):
        found.append(f"No prompts: {lack or 'it does not name them'}")
    if not any(record.get("reason") for record in records):
        found.append("No reasons of verdicts")
    if not any(name in record for record in records for name in _LEARNING_FIELDS):
        found.append("No advantage, and not what the update kept: these are in the rollout log of a training run")
    if not any(record.get("rollout_log_probs") for record in records):
        found.append("No log-probs of tokens: trainer.rollout_data_log_probs=True puts them into the rollout log")
    if counted.num_bad_lines:
        found.append(f"{counted.num_bad_lines:,} lines cannot be read as an answer")
    if answers.num_left_out:
        found.append(f"{answers.num_left_out:,} more answers are left out of this page")
    found += _not_logged(records)
    return found


def _not_logged(records: Sequence[Mapping[str, Any]]) -> list[str]:
    num_sampled = records[0].get("step_samples") if records else None
    if not isinstance(num_sampled, int) or num_sampled <= len(records):
        return []
    return [
        f"{num_sampled - len(records):,} of the step's {num_sampled:,} samples are not in the log: trainer.rollout_data_max_mb"
    ]


def _share(count: int, total: int) -> str:
    return "The answers have" if count == total else f"{count:,} of {total:,} answers have"


# ---------------------------------------------------------------------- columns


class Names:
    """Texts that come often, as numbers."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        """The number of a text; -1 for None."""
        if value is None or value == "":
            return -1
        text = str(value)
        if text not in self._numbers:
            self._numbers[text] = len(self.names)
            self.names.append(text)
        return self._numbers[text]


class Columns:
    """What the page filters by, a list for each field."""

    def __init__(self) -> None:
        self._reasons, self._tiers, self._rules, self._ends = Names(), Names(), Names(), Names()
        self._columns: dict[str, list[Any]] = {
            name: []
            for name in ("id", "verdict", "reason", "tier", "rule", "end", "tokens", "chars", "advantage", "kept")
        }

    def add(self, place: int, record: Mapping[str, Any]) -> None:
        """Add an answer, the one in this place among those of its problem."""
        response = record.get("response")
        ident = record.get("generation_id")
        values = {
            "id": place if ident is None else ident if _number(ident) is not None else str(ident),
            "verdict": verdict_of(record),
            "reason": self._reasons.number(reason_of(record)),
            "tier": self._tiers.number(record.get("tier")),
            "rule": self._rules.number(record.get("rule")),
            "end": self._ends.number(record.get("finish_reason")),
            "tokens": _number(record.get("num_tokens")),
            "chars": len(response) if isinstance(response, str) else None,
            "advantage": _number(record.get("advantage")),
            "kept": None if record.get("kept") is None else int(bool(record["kept"])),
        }
        for name, value in values.items():
            self._columns[name].append(value)

    def as_json(self) -> dict[str, Any]:
        names = {"reason": self._reasons, "tier": self._tiers, "rule": self._rules, "end": self._ends}
        return {"columns": self._columns, "names": {name: each.names for name, each in names.items()}}


def verdict_of(record: Mapping[str, Any]) -> int:
    """1 right, 0 wrong, -1 not graded."""
    return -1 if record.get("reason") in NOT_GRADED else int(bool(record["label"]))


def reason_of(record: Mapping[str, Any]) -> str:
    reason = record.get("reason")
    return str(reason) if reason else str(Reason.CORRECT if record["label"] else Reason.INCORRECT)


def text_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is only read: the response, what was extracted from it, and its tokens."""
    response, answer = record.get("response"), record.get("pred_answer")
    kept = {
        "text": response if isinstance(response, str) else None,
        "answer": None if answer is None else str(answer),
        "detail": record.get("detail") or None,
        "reasoning": record.get("reasoning") if isinstance(record.get("reasoning"), str) else None,
        **(_tokens(record) or {}),
    }
    return {name: value for name, value in kept.items() if value is not None}


def _tokens(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Tokens and their log-probs; None where the lists are not of one length."""
    tokens, rollout, actor = (record.get(name) for name in TOKEN_FIELDS)
    if not isinstance(tokens, list) or not isinstance(rollout, list) or len(tokens) != len(rollout):
        return None
    is_whole = isinstance(actor, list) and len(actor) == len(tokens)
    return {
        "tokens": [str(token) for token in tokens],
        "rollout": [_number(value) for value in rollout],
        **({"actor": [_number(value) for value in actor]} if is_whole and actor else {}),
    }


def _number(value: Any) -> float | None:
    """A number that JSON can hold."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) < _LARGEST else None
