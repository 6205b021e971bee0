"""Read ``validation.jsonl`` of a run: of every validation, how many samples of each problem were drawn and were correct.

    {"step": 50, "data_source": "countdown", "num_correct": [3, 0, ...], "num_samples": [64, 64, ...]}

A line per validation and data source, problems in the order of the validation file. Those of ``python -m verl_ext.study
evaluate`` also have ``"drawn": {"by": "evaluate", "temperature": 1.0, "top_p": 1.0, "max_tokens": 256}``; those without were drawn
by a validation while training, as the run's ``val_kwargs`` say. Shapes: P = problems.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from verl_ext.metrics.json_lines import read_objects
from verl_ext.metrics.pass_at_k import IntArray

NAME = "validation.jsonl"
DRAWN, BY = "drawn", "by"
TRAINING, EVALUATE = "training", "evaluate"
"""Who draws."""


class ValidationCounts(NamedTuple):
    """Of one validation."""

    num_samples_P: IntArray
    num_correct_P: IntArray

    @property
    def num_problems(self) -> int:
        return len(self.num_samples_P)

    @property
    def fewest(self) -> int:
        """Samples that every problem has."""
        return int(self.num_samples_P.min())

    def is_same_as(self, other: "ValidationCounts") -> bool:
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self, other, strict=True))


def pooled(counts: Sequence[ValidationCounts]) -> ValidationCounts:
    """The samples of several validations of the same problems."""
    return ValidationCounts(*(np.sum([each[part] for each in counts], axis=0) for part in (0, 1)))


Validations = dict[int, ValidationCounts]
"""Step -> counts; 0 is before training."""


class Series(NamedTuple):
    """Validations whose answers were drawn in the same way: those of two series are not compared."""

    drawn: Mapping[str, Any]
    """By whom and how, as the rows say; empty where they do not."""
    steps: Validations


class ValidationRow(NamedTuple):
    """A line of the file."""

    where: str
    """The file and the number of the line, for errors."""
    step: int
    data_source: str
    counts: ValidationCounts
    by: str
    """Who drew the answers."""
    drawn: Mapping[str, Any]
    """By whom and how, as it says; empty where it does not."""
    text: str


def drawn_by(row: Mapping[str, Any]) -> str:
    """Who drew the answers of a row."""
    drawn = row.get(DRAWN)
    return str(drawn.get(BY, TRAINING)) if isinstance(drawn, dict) else TRAINING


def read_validations(path: Path, *, told: Callable[[str], None]) -> dict[str, Validations]:
    """The validations of a run, by data source: of ``read_series`` those of evaluate, once it has drawn from what was trained."""
    return {source: _shown(of_source).steps for source, of_source in read_series(path, told=told).items()}


def _shown(of_source: Mapping[str, Series]) -> Series:
    return max(of_source.values(), key=lambda series: (max(series.steps) > 0, of_source.get(EVALUATE) is series))


def read_series(path: Path, *, told: Callable[[str], None]) -> dict[str, dict[str, Series]]:
    """The validations of a run, by data source and by who drew, in the order of their steps.

    Where one has drawn in several ways, as with another temperature, the last one counts.

    A step that was made again after a resume has several lines: the last one counts. A last line that is cut, as when a run is
    killed while it writes, is left out, and ``told`` gets a sentence.

    Raises:
        ValueError: The file is missing or empty, has a line that is no validation, or not the same number of problems in
            every line of a data source; names the line.
    """
    if not path.is_file():
        raise ValueError(
            f"There is no {path}. A run writes it when it validates: set trainer.test_freq to a number of steps, and "
            "trainer.val_before_train=True for the base. python -m verl_ext.study evaluate draws from checkpoints."
        )
    found: dict[str, dict[str, Series]] = {}
    for row in read_rows(path, told=told):
        of_source = found.setdefault(row.data_source, {})
        _check_problems(of_source, row)
        if row.by not in of_source or of_source[row.by].drawn != row.drawn:
            of_source[row.by] = Series(row.drawn, {})
        of_source[row.by].steps[row.step] = row.counts
    if not found:
        raise ValueError(f"{path} holds no validation yet.")
    return {
        source: {by: Series(series.drawn, dict(sorted(series.steps.items()))) for by, series in of_source.items()}
        for source, of_source in found.items()
    }


def read_rows(path: Path, *, told: Callable[[str], None]) -> list[ValidationRow]:
    """The lines of the file as they are, without a last one that is cut, of which ``told`` gets a sentence.

    Raises:
        ValueError: A line is no validation; names it.
    """
    rows = []
    lines = list(read_objects(path))
    for number, record, text in lines:
        if record is None and number == lines[-1][0] and not text.endswith(b"\n"):
            told(f"{path}, line {number}, is cut and left out.")
            continue
        where = f"{path}, line {number},"
        record = record or {}
        step, source, counts = _validation(record, where)
        rows.append(ValidationRow(where, step, source, counts, drawn_by(record), record.get(DRAWN, {}), text.decode()))
    return rows


def _check_problems(of_source: Mapping[str, Series], row: ValidationRow) -> None:
    where, source, counts = row.where, row.data_source, row.counts
    for known in (each for series in of_source.values() for each in series.steps.values()):
        if known.num_problems != counts.num_problems:
            raise ValueError(
                f"{where} has {counts.num_problems:,} problems of {source} and a line before it {known.num_problems:,}: the "
                "run's validation file was changed. Make the run again."
            )


def _validation(record: Mapping[str, Any], where: str) -> tuple[int, str, ValidationCounts]:
    example = '{"step": 50, "data_source": "countdown", "num_correct": [3, 0], "num_samples": [64, 64]}. Correct or delete it.'
    step, source, *lists = (record.get(key) for key in ("step", "data_source", "num_samples", "num_correct"))
    is_said = isinstance(record.get(DRAWN, {}), dict)
    if (
        type(step) is not int
        or step < 0
        or not isinstance(source, str)
        or not all(map(_are_numbers, lists))
        or not is_said
    ):
        raise ValueError(f"{where} is no validation like {example}")
    counts = ValidationCounts(*(np.array(values, dtype=np.int64) for values in lists))
    if len(counts.num_samples_P) != len(counts.num_correct_P):
        raise ValueError(
            f"{where} has num_correct of {len(counts.num_correct_P)} problems and num_samples of "
            f"{len(counts.num_samples_P)}. Correct or delete it."
        )
    is_bad_P = (counts.num_correct_P < 0) | (counts.num_correct_P > counts.num_samples_P)
    if is_bad_P.any():
        first = int(np.argmax(is_bad_P))
        raise ValueError(
            f"{where} has {counts.num_correct_P[first]} correct of {counts.num_samples_P[first]} samples of problem {first}. "
            "Correct or delete it."
        )
    return step, source, counts


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(type(value) is int for value in values)
