"""Details of lighteval (``details_<task>_<time>.parquet``) as records of generations.

A row is a document with all of its responses and a number per metric (``DetailsLogger.Detail`` of lighteval 0.13):

    doc {query, choices, gold_index, id, specific, ...}, model_response {text: [...], ...}, metric {"exact_match": 1.0, ...}

So it has one verdict, which is that of its response where there is one response. Rows that ``verl_ext.export`` wrote have the
records themselves, in ``doc.specific``.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from verl_ext.metrics.exact_record import unpacked
from verl_ext.metrics.fault import Fault

RECORDS = "verl_ext_records"
"""In ``doc.specific`` of rows that are ours: a text per response."""
MARK = b"PAR1"
_COLUMNS = ("doc", "metric", "model_response")
_ROWS_AT_ONCE = 64


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, a few in memory at once.

    Raises:
        ValueError: It is cut or damaged, or holds something else.
    """
    import pyarrow as pa  # takes longer to load than most files to read
    import pyarrow.parquet

    try:
        with path.open("rb") as opened:
            file = pyarrow.parquet.ParquetFile(opened)
            names = file.schema_arrow.names
            for batch in file.iter_batches(_ROWS_AT_ONCE) if set(_COLUMNS) <= set(names) else ():
                batch.validate(full=True)
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged or still being written ({reason}). Copy it again.") from None
    if not set(_COLUMNS) <= set(names):
        raise ValueError(
            f"{path} has the columns {', '.join(names)}, and so no answers: details of lighteval have {', '.join(_COLUMNS)}."
        )


class DetailsTranslation:
    """From rows to records; the metric is the only one of the first row, unless ``verdict`` names it."""

    def __init__(self, path: Path, verdict: str | None) -> None:
        """``verdict`` is a metric's name."""
        self._path, self._metric = path, verdict

    def __call__(self, number: int, row: dict[str, Any]) -> Iterator[dict[str, Any] | Fault]:
        """The records of row ``number``.

        Raises:
            ValueError: There are several metrics to choose from, or none of the name that was given.
        """
        doc, response = row["doc"], row["model_response"]
        texts = response["text"] or []
        own = (doc.get("specific") or {}).get(RECORDS)
        if own is not None:
            yield from _own_records(own, texts, doc["query"] or None)
            return
        name = self._name_of(row["metric"] or {})
        value = row["metric"][name]
        if len(texts) != 1:
            yield Fault(
                f"has {len(texts)} responses and one number of {name} for all of them",
                "Only documents with one response have a verdict each; --skip_bad_lines leaves the others out.",
            )
        elif not isinstance(value, int | float) or value not in (0, 1):
            yield Fault(f"has {name} {value!r} where 0 or 1 was expected", "Name another metric: --verdict METRIC.")
        else:
            yield _record(doc, response, bool(value))

    def _name_of(self, metrics: Mapping[str, Any]) -> str:
        if self._metric is None and len(metrics) != 1:
            name = next(iter(metrics), "METRIC")
            raise ValueError(
                f"{self._path} has the metrics {', '.join(metrics) or '(none)'}. Name one: --verdict {name}."
            )
        self._metric = self._metric or next(iter(metrics))
        if self._metric not in metrics:
            raise ValueError(
                f"--verdict {self._metric}: {self._path} has the metrics {', '.join(metrics) or '(none)'}."
            )
        return self._metric


def _own_records(own: Sequence[str], texts: Sequence[str], prompt: str | None) -> Iterator[dict[str, Any] | Fault]:
    if len(own) != len(texts):
        yield Fault(f"has {len(texts)} responses and {len(own)} verdicts")
        return
    for record, text in zip(own, texts, strict=True):
        try:
            yield unpacked(record, text, prompt)
        except ValueError as error:
            yield Fault(f"has a record that cannot be read ({error})")


def _record(doc: Mapping[str, Any], response: Mapping[str, Any], label: bool) -> dict[str, Any]:
    index = doc.get("gold_index")
    golds = (
        [doc["choices"][one] for one in (index if isinstance(index, list) else [index])] if doc.get("choices") else []
    )
    processed = response.get("text_post_processed")
    return {
        "question_id": str(doc.get("id")),
        "prompt": doc["query"],
        "response": response["text"][0],
        "pred_answer": processed[0] if processed else None,
        "gold_answer": golds[0] if len(golds) == 1 else golds,
        "label": label,
    }
