"""Count a generations file: one line per graded answer in, samples and correct samples per problem out.

A line is a JSON object with at least ``question_id`` (an integer or a string) and ``label`` (0, 1, true or false). Read
where present: ``generation_id``, ``pred_answer``, ``gold_answer``, ``reason``, ``tier``, and any field to group by, such
as ``level``. A line with ``"kind": "header"`` holds facts about the run and is no answer. Files of other tools are read as
they are (``foreign_files``). Shapes: P = problems.
"""

import difflib
import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from verl_ext.host.command_line import shown, typed_path
from verl_ext.metrics.counter import AnswerCounter, ConstantFields, ProblemCounts, count_answers
from verl_ext.metrics.pass_at_k import IntArray

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".eval")
"""Of generations files and of inspect's logs: what is taken from a folder."""
LABELS_ENDING = ".labels.npz"
"""What the name of a file's label file has more than that of the file; see ``label_file``."""


@dataclass(frozen=True, kw_only=True)
class Generations:
    """What one file says about each problem; the problems are in the order of their first line."""

    name: str
    """What tables and plots call the file's method."""
    path: str
    question_ids: list[str]
    num_samples_P: IntArray
    num_correct_P: IntArray
    num_strict_P: IntArray | None = None
    """Correct by one of ``STRICT_TIERS``; None where some correct answer does not say which tier decided."""
    references: list[Any]
    """``gold_answer`` of each problem's first line; None where the file has none."""
    groups: Mapping[str, list[str]] = field(default_factory=dict)
    """For each field asked for (and there, if asked ``by_if_constant``), its value per problem."""
    answers: list[dict[str, int]] | None = None
    """How often each answer was given, per problem, if asked for; responses without an answer are in no count."""
    correct_answers: list[dict[str, int]] | None = None
    """How often each answer was given and labeled correct."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Number of answers per verdict reason; empty where the file has none."""
    headers: list[dict[str, Any]] = field(default_factory=list)
    num_bad_lines: int = 0
    """Lines left out by ``skip_bad_lines``."""
    counted_from: str | None = None
    """The label file that these counts come from; None if they come from the lines themselves."""

    @property
    def num_problems(self) -> int:
        return len(self.question_ids)

    @property
    def num_answers(self) -> int:
        return int(self.num_samples_P.sum())

    @property
    def num_correct(self) -> int:
        return int(self.num_correct_P.sum())

    def take(self, rows: Sequence[int]) -> "Generations":
        """The problems in these places, in this order; without ``reasons``, which are of the whole file."""
        picked_P = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            question_ids=[self.question_ids[row] for row in rows],
            num_samples_P=self.num_samples_P[picked_P],
            num_correct_P=self.num_correct_P[picked_P],
            num_strict_P=None if self.num_strict_P is None else self.num_strict_P[picked_P],
            references=[self.references[row] for row in rows],
            groups={name: [values[row] for row in rows] for name, values in self.groups.items()},
            answers=None if self.answers is None else [self.answers[row] for row in rows],
            correct_answers=None if self.correct_answers is None else [self.correct_answers[row] for row in rows],
            reasons={},
        )


def find_files(pattern: str) -> list[Path]:
    """The files that a FILE, a DIR (every generations file in it) or a GLOB stands for, sorted.

    Raises:
        ValueError: There is no such file; suggests the nearest name.
    """
    path = typed_path(pattern)
    if path.is_file():
        if path.name.endswith(LABELS_ENDING):
            generations = path.name.removesuffix(LABELS_ENDING)
            raise ValueError(f"{pattern} holds the labels of {generations}: name that file, and they are used.")
        return [path]
    if path.is_dir():
        found = [file for file in path.iterdir() if file.name.endswith(ENDINGS) and file.is_file()]
        # A file that is compressed is there twice for a while, and the plain one is whole.
        files = sorted(file for file in found if not (file.suffix in (".gz", ".zst") and file.with_suffix("") in found))
        if not files:
            raise ValueError(
                f"{pattern} holds no *{', *'.join(ENDINGS)} file. Name a generations file, or the folder they are in."
            )
        return files
    if glob.has_magic(pattern):
        matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
        files = sorted(match for match in matches if match.is_file() and not match.name.endswith(LABELS_ENDING))
        if not files:
            raise ValueError(f"No file matches {pattern}. Quote the pattern if the shell should not expand it.")
        return files
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    raise ValueError(f"{pattern} does not exist." + (f" Did you mean {path.with_name(near[0])}?" if near else ""))


def stem(path: Path) -> str:
    """The name of a file without the ending of a generations file."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    return path.name.removesuffix(ending)


def read_generations(
    path: Path,
    *,
    name: str | None = None,
    by: Sequence[str] = (),
    by_if_constant: Sequence[str] = (),
    with_answers: bool = False,
    skip_bad_lines: bool = False,
    verdict: str | None = None,
    on_answer: Callable[[ProblemCounts, Mapping[str, Any]], None] | None = None,
) -> Generations:
    """Count the answers of a file in one pass.

    Memory grows with the problems (and, ``with_answers``, with their distinct answers), not with the size of the file.

    Args:
        path: A file of JSON lines, plain or compressed by gzip or zstd.
        name: What to call it; the file's name without its ending if None.
        by: Fields to group problems by; each must have one value per problem.
        by_if_constant: More such fields; one that is missing in a line or changes within a problem is left out.
        with_answers: Also count ``pred_answer`` per problem.
        skip_bad_lines: Count lines that cannot be read as an answer instead of stopping at the first.
        verdict: Which of several verdicts counts, in files of other tools: see ``read_answers``.
        on_answer: Called after each answer.

    Raises:
        ValueError: The file cannot be counted; names it, the line and what was expected. A (question_id, generation_id)
            that comes twice stops the count even with ``skip_bad_lines``.
    """
    constant = ConstantFields(by_if_constant)

    def note(problem: ProblemCounts, record: Mapping[str, Any]) -> None:
        constant.note(problem.index, record)
        if on_answer is not None:
            on_answer(problem, record)

    # Files have millions of lines: nobody is called where nobody listens.
    counter = AnswerCounter(path, by, with_answers=with_answers, on_answer=note if by_if_constant else on_answer)
    count_answers(path, counter, skip_bad_lines=skip_bad_lines, verdict=verdict)
    problems = list(counter.problems.values())
    return Generations(
        name=shown(stem(path) if name is None else name),
        path=shown(path),
        question_ids=list(counter.problems),
        num_samples_P=np.array([problem.num_samples for problem in problems], dtype=np.int64),
        num_correct_P=np.array([problem.num_correct for problem in problems], dtype=np.int64),
        num_strict_P=(
            np.array([problem.num_strict for problem in problems], dtype=np.int64)
            if counter.has_strict_labels
            else None
        ),
        references=[problem.reference for problem in problems],
        groups={
            **{name: [str(problem.groups[column]) for problem in problems] for column, name in enumerate(by)},
            **{name: list(map(str, values)) for name, values in constant.values.items()},
        },
        answers=[dict(problem.answers) for problem in problems] if with_answers else None,
        correct_answers=[dict(problem.correct_answers) for problem in problems] if with_answers else None,
        reasons=dict(counter.reasons),
        headers=counter.headers,
        num_bad_lines=counter.num_bad_lines,
    )
