"""The answers of a file as records of a generations file, whichever tool wrote it.

Besides this package's own: logs of inspect (``.eval`` and ``.json``), ``samples_*.jsonl`` of lm-evaluation-harness, and
what verl writes into ``trainer.validation_data_dir`` and ``trainer.rollout_data_dir``. What a file is, its content says.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from verl_ext.metrics import inspect_log, lm_eval_samples, verl_dump
from verl_ext.metrics.fault import Fault
from verl_ext.metrics.json_lines import read_objects

VERDICT_OPTION = "--verdict"
Record = dict[str, Any]
Row = tuple[int, Record | Fault | None, bytes]
_ZIP_MARK = b"PK\x03\x04"


def read_answers(path: Path, verdict: str | None = None) -> Iterator[Row]:
    """Yield (number of the line or sample from 1, its record, its text), as ``read_objects`` does.

    A record of another tool has the fields of a generations file, and no text. A ``Fault`` stands for an answer that has
    no verdict.

    Args:
        path: The file.
        verdict: Which of several verdicts counts: a scorer of inspect, or METRIC or METRIC,FILTER of lm-eval.

    Raises:
        ValueError: The file is damaged or holds no answers, or has several verdicts and ``verdict`` names none of them.
    """
    whole = _whole_log(path)
    if whole is not None:
        for number, sample in enumerate(whole, start=1):
            yield from ((number, one, b"") for one in inspect_log.records_of(path, sample, verdict))
        return
    rows = read_objects(path)
    head = []
    first: Record | None = None
    for row in rows:
        head.append(row)
        if row[1] is None or row[1].get("kind") != "header":
            first = row[1]
            break
    translate = _translation(path, first or {}, verdict)
    if translate is None:
        yield from chain(head, rows)
        return
    for number, record, _text in chain(head, rows):
        if record is None:
            yield number, None, b""
        else:
            yield from ((number, translated, b"") for translated in translate(number, record))


def _translation(
    path: Path, first: Mapping[str, Any], verdict: str | None
) -> Callable[[int, Record], Iterator[Record | Fault]] | None:
    """How the lines of a file that begins with ``first`` become records; None where they are."""
    if lm_eval_samples.is_sample(first):
        return lm_eval_samples.Translation(path, verdict)
    if verdict is not None:
        raise ValueError(
            f"{VERDICT_OPTION} {verdict}: {path} has one verdict per answer. Leave the option out; it is for logs of inspect "
            "and samples of lm-eval."
        )
    return verl_dump.translate if verl_dump.is_line(first) else None


def _whole_log(path: Path) -> Iterator[Record] | None:
    """The samples of a log of inspect; None for a file of lines.

    Raises:
        ValueError: It holds results without answers.
    """
    with path.open("rb") as file:
        head = file.read(len(_ZIP_MARK))
    if head == _ZIP_MARK:
        return inspect_log.samples_of_archive(path)
    if path.suffix != ".json":
        return None
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None  # a line each, whatever it is called
    if not isinstance(whole, dict) or "question_id" in whole:
        return None
    if isinstance(whole.get("eval"), dict):
        return inspect_log.samples_of_json(path, whole)
    if isinstance(whole.get("results"), dict):
        raise ValueError(
            f"{path} holds results, and no answers. Name the samples_*.jsonl beside it, which lm_eval --log_samples writes."
        )
    return None
