"""The answers of a file as records of a generations file, whichever tool wrote it.

Besides this package's own: logs of inspect (``.eval`` and ``.json``), ``samples_*.jsonl`` of lm-evaluation-harness and of Every
Eval Ever, ``details_*.parquet`` of lighteval, and what verl writes into ``trainer.validation_data_dir`` and
``trainer.rollout_data_dir``. What a file is, its content says.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.metrics import every_eval_samples, inspect_log, lighteval_details, lm_eval_samples, verl_dump
from verl_ext.metrics.fault import Fault
from verl_ext.metrics.json_lines import read_objects

VERDICT_OPTION = "--verdict"
Record = dict[str, Any]
Row = tuple[int, Record | Fault | None, bytes]
Translate = Callable[[int, Record], Iterator[Record | Fault]]
"""From the number and the object of a line or a sample to its records."""
_OneOfSeveral = lm_eval_samples.Translation | every_eval_samples.EveryEvalTranslation
"""Lines of several verdicts, of which those of one are taken."""
_ZIP_MARK = b"PK\x03\x04"


def read_answers(path: Path, verdict: str | None = None) -> Iterator[Row]:
    """Yield (number of the line or sample from 1, its record, its text), as ``read_objects`` does.

    A record of another tool has the fields of a generations file, and no text. A ``Fault`` stands for an answer that has
    no verdict.

    Args:
        path: The file.
        verdict: Which of several verdicts counts: a scorer of inspect, METRIC or METRIC,FILTER of lm-eval, a metric of lighteval,
            or a result of Every Eval Ever.

    Raises:
        ValueError: The file is damaged or holds no answers, or has several verdicts and ``verdict`` names none of them.
    """
    whole = _whole_log(path, verdict)
    if whole is not None:
        for number, sample in enumerate(whole.samples, start=1):
            yield from ((number, one, b"") for one in _all(whole.translate(number, sample)))
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
            yield from ((number, translated, b"") for translated in _all(translate(number, record)))
    if isinstance(translate, _OneOfSeveral):
        translate.check_found()


def _all(records: Iterator[Record | Fault]) -> list[Record | Fault]:
    """What a line or a sample became; a ``Fault`` where its fields are not as its tool writes them."""
    try:
        return list(records)
    except (TypeError, AttributeError, LookupError) as error:
        return [Fault(f"is not as its tool writes it ({type(error).__name__}: {error})")]


def _translation(path: Path, first: Mapping[str, Any], verdict: str | None) -> Translate | None:
    """How the lines of a file that begins with ``first`` become records; None where they are."""
    if lm_eval_samples.is_sample(first):
        return lm_eval_samples.Translation(path, verdict)
    if every_eval_samples.is_sample(first):
        return every_eval_samples.EveryEvalTranslation(path, verdict)
    if verdict is not None:
        raise ValueError(
            f"{VERDICT_OPTION} {verdict}: {path} has one verdict per answer. Leave the option out; it is for files of other "
            "tools, which may have several."
        )
    return verl_dump.translate if verl_dump.is_line(first) else None


class _Whole(NamedTuple):
    """A file that is no lines."""

    samples: Iterator[Record]
    translate: Translate


def _whole_log(path: Path, verdict: str | None) -> _Whole | None:
    """The samples of a file that is no lines: a log of inspect, or details of lighteval. None for a file of lines.

    Raises:
        ValueError: It holds results without answers.
    """

    def of_inspect(_number: int, sample: Record) -> Iterator[Record | Fault]:
        return inspect_log.records_of(path, sample, verdict)

    with path.open("rb") as file:
        head = file.read(len(_ZIP_MARK))
    if head == lighteval_details.MARK:
        return _Whole(lighteval_details.rows_of(path), lighteval_details.DetailsTranslation(path, verdict))
    if head == _ZIP_MARK:
        return _Whole(inspect_log.samples_of_archive(path), of_inspect)
    log = _json_log(path)
    return None if log is None else _Whole(inspect_log.samples_of_json(path, log), of_inspect)


def _json_log(path: Path) -> Record | None:
    """A log of inspect that fills a ``.json`` file; None for a file of lines."""
    if path.suffix != ".json":
        return None
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None  # a line each, whatever it is called
    if not isinstance(whole, dict) or "question_id" in whole:
        return None
    if isinstance(whole.get("eval"), dict):
        return whole
    if isinstance(whole.get("results"), dict):
        raise ValueError(
            f"{path} holds results, and no answers. Name the samples_*.jsonl beside it, which lm_eval --log_samples writes, or "
            "the details_*.parquet of lighteval --save-details."
        )
    if isinstance(whole.get("evaluation_results"), list):
        raise ValueError(f"{path} holds results, and no answers. Name the {path.stem}_samples.jsonl beside it.")
    return None
