"""``validation.jsonl``: how many samples of each validation problem were correct, a row for each validation and data source.

``{"step": 50, "data_source": "countdown", "num_correct": [3, 0, 64], "num_samples": [64, 64, 64]}``, the problems in the order
of the data, and ``drawn`` where it was not a validation while training. Means over problems, which ``metrics.jsonl`` has, do not
tell two runs apart as well as the same problems do.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from verl_ext.host.files import write_whole
from verl_ext.metrics.validations import DRAWN, drawn_by, read_rows
from verl_ext.metrics.validations import NAME as NAME  # what reads it is below what writes it


def counts(
    data_sources: Sequence[str],
    uids: Sequence[str],
    scores: Sequence[float | None],
    expected: Mapping[tuple[str, str], int] | None,
) -> dict[str, tuple[list[int], list[int]]]:
    """Data source -> correct and all samples of its problems, in the order of ``expected`` or else of the samples.

    Args:
        data_sources: Of each sample.
        uids: Its prompt.
        scores: 1 or 0; None for a sample that could not be graded, which does not count.
        expected: Samples asked for by (data source, prompt), without those that could not be graded. What is missing of
            them is wrong, as in verl's accuracies.
    """
    correct: dict[tuple[str, str], int] = dict.fromkeys(expected or (), 0)
    graded: dict[tuple[str, str], int] = {}
    for source, uid, score in zip(data_sources, uids, scores, strict=True):
        key = (str(source), str(uid))
        correct[key] = correct.get(key, 0) + (score == 1)
        graded[key] = graded.get(key, 0) + (score is not None)
    by_source: dict[str, tuple[list[int], list[int]]] = {}
    for key, num_correct in correct.items():
        of_source = by_source.setdefault(key[0], ([], []))
        of_source[0].append(num_correct)
        of_source[1].append(graded[key] if expected is None else expected[key])
    return by_source


Rows = Mapping[str, tuple[Sequence[int], Sequence[int]]]


def _lines(step: int, by_source: Rows, drawn: Mapping[str, Any]) -> str:
    said = {DRAWN: dict(drawn)} if drawn else {}
    return "".join(
        json.dumps(
            {"step": step, "data_source": source}
            | said
            | {"num_correct": list(num_correct), "num_samples": list(num_samples)}
        )
        + "\n"
        for source, (num_correct, num_samples) in by_source.items()
    )


def append(path: Path, step: int, by_source: Rows) -> None:
    """Add the rows of one validation to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_lines(step, by_source, {}))


def put(path: Path, step: int, by_source: Rows, drawn: Mapping[str, Any], *, told: Callable[[str], None]) -> None:
    """Let the file have these rows in place of those that it has of the step and its data sources by who drew them.

    Args:
        path: The file; it may be missing.
        step: Of the rows.
        by_source: The rows.
        drawn: By whom and how, see ``verl_ext.metrics.validations``.
        told: Gets a sentence where the last line is cut, which is then left out, as by what reads the file.

    Raises:
        ValueError: A line of the file is no validation; names it.
    """
    rows = read_rows(path, told=told) if path.is_file() else []
    kept = [
        f"{row.text.rstrip()}\n"
        for row in rows
        if row.step != step or row.data_source not in by_source or row.by != drawn_by({DRAWN: drawn})
    ]
    write_whole(path, "".join(kept) + _lines(step, by_source, drawn))
