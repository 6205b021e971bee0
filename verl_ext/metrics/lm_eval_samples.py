"""``samples_*.jsonl`` of lm-evaluation-harness (``lm_eval --log_samples``) as records of generations.

A line is a document under one filter, with a number per metric (``lm_eval/result_schema.py``, ``SampleResult``):

    {"doc_id": 0, "doc": {...}, "target": "4", "resps": [["2 + 2 = 4"]], "filtered_resps": ["4"], "filter": "strict-match",
     "metrics": ["exact_match"], "exact_match": 1.0, ...}

So it has one verdict, on what the filter made of the responses: with repeats a vote or the first one. Lines that
``verl_ext.export`` wrote have one verdict per response, in ``doc``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verl_ext.metrics.answer_fields import ANSWER_FIELDS
from verl_ext.metrics.fault import Fault

ANSWERS = "verl_ext_answers"
"""In ``doc``: a record per response, without its text, of lines that are ours."""
_FIELDS = ("doc_id", "doc", "resps", "filtered_resps")


def is_sample(first: Mapping[str, Any]) -> bool:
    """Whether a file that begins with this object is one of lm-eval's."""
    return "question_id" not in first and all(name in first for name in _FIELDS)


class Translation:
    """From lines to records; the metric and the filter are those of the first line, unless ``verdict`` names them."""

    def __init__(self, path: Path, verdict: str | None) -> None:
        """``verdict`` is METRIC or METRIC,FILTER, as lm-eval's results spell it."""
        self._path = path
        metric, _, name = (verdict or "").partition(",")
        self._metric: str | None = metric or None
        self._filter: str | None = name or None
        self._is_filter_named = bool(name)
        self._filters: dict[str, None] = {}
        """Those of the lines so far, in their order."""

    def __call__(self, number: int, line: dict[str, Any]) -> Iterator[dict[str, Any] | Fault]:
        """The records of line ``number``.

        Raises:
            ValueError: There are several metrics or filters to choose from, or none of the name that was given.
        """
        if not is_sample(line):
            yield Fault(f"has no {', '.join(name for name in _FIELDS if name not in line)}, as samples of lm-eval have")
            return
        if isinstance(line["doc"], dict) and ANSWERS in line["doc"]:
            yield from _own_records(line)
            return
        if not self._is_of_filter(str(line.get("filter"))):
            return
        metric = self._metric_of(number, line)
        value = line.get(metric)
        if not isinstance(value, int | float) or value not in (0, 1):
            yield Fault(
                f"has {metric} {value!r} where 0 or 1 was expected", "Name another metric: --verdict METRIC,FILTER."
            )
            return
        yield _record(line, bool(value))

    def check_found(self) -> None:
        """Raise ValueError where no line so far is of the filter that was named."""
        if self._filters and self._filter not in self._filters:
            raise ValueError(
                f"--verdict {self._metric},{self._filter}: {self._path} has the filters {', '.join(self._filters)}."
            )

    def _is_of_filter(self, name: str) -> bool:
        self._filters[name] = None
        if self._filter is None:
            self._filter = name
        if name != self._filter and not self._is_filter_named:
            raise ValueError(
                f"{self._path} has verdicts after the filters {self._filter} and {name}. Name one: "
                f"--verdict {self._metric},{self._filter}."
            )
        return name == self._filter

    def _metric_of(self, number: int, line: Mapping[str, Any]) -> str:
        metrics = [name for name in line.get("metrics", ()) if name != "bypass"]
        if not metrics:
            raise ValueError(
                f"{self._path}, line {number}, has no metric and so no verdict. Run lm_eval without --predict_only."
            )
        if self._metric is None and len(metrics) > 1:
            raise ValueError(f"{self._path} has the metrics {', '.join(metrics)}. Name one: --verdict {metrics[0]}.")
        if self._metric is not None and self._metric not in metrics:
            raise ValueError(f"--verdict {self._metric}: {self._path} has the metrics {', '.join(metrics)}.")
        self._metric = self._metric or metrics[0]
        return self._metric


def _record(line: Mapping[str, Any], label: bool) -> dict[str, Any]:
    doc = line["doc"] if isinstance(line["doc"], dict) else {}
    kept = {
        name: value
        for name, value in doc.items()
        if name not in ANSWER_FIELDS and isinstance(value, str | int | float | bool)
    }
    response = _text_in(line["resps"][0] if line["resps"] else None)
    return kept | {
        "question_id": line["doc_id"],
        "prompt": _prompt(line.get("arguments")),
        **({} if response is None else {"response": response, "pred_answer": _text_in(line["filtered_resps"])}),
        "gold_answer": line.get("target"),
        "label": label,
    }


def _own_records(line: Mapping[str, Any]) -> Iterator[dict[str, Any] | Fault]:
    owns, texts = line["doc"][ANSWERS], line["resps"][0]
    if len(owns) != len(texts):
        yield Fault(f"has {len(texts)} responses and {len(owns)} verdicts")
        return
    prompt = _prompt(line.get("arguments"))
    for own, text in zip(owns, texts, strict=True):
        has_text = not own.get("has_no_response")
        fields = {name: value for name, value in own.items() if name != "has_no_response"}
        yield fields | {"prompt": prompt} | ({"response": text} if has_text else {})


def _text_in(values: Any) -> str | None:
    """The first of some texts; None for choices, which have log probabilities instead."""
    first = values[0] if isinstance(values, list) and values else None
    return first if isinstance(first, str) else None


def _prompt(arguments: Any) -> str | None:
    if isinstance(arguments, dict) and isinstance(first := arguments.get("gen_args_0"), dict):
        return first.get("arg_0")
    return None
