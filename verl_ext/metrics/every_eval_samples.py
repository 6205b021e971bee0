"""Samples of Every Eval Ever (arXiv:2606.14516, https://github.com/evaleval/every_eval_ever) as records of generations.

A line of ``<uuid>_samples.jsonl`` is one answer under one aggregate result (``instance_level_eval.schema.json``, 0.3.0):

    {"evaluation_id": ..., "evaluation_name": "gsm8k", "evaluation_result_id": "exact_match", "sample_id": "12",
     "interaction_type": "single_turn", "input": {"raw": ..., "reference": ["4"]}, "output": {"raw": ["2 + 2 = 4"]},
     "answer_attribution": [{"extracted_value": "4", ...}], "evaluation": {"score": 1.0, "is_correct": true}}

Lines that ``verl_ext.export`` wrote hold the record itself, in ``metadata``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verl_ext.metrics.exact_record import unpacked
from verl_ext.metrics.fault import Fault

RECORD = "verl_ext_record"
"""In ``metadata`` of lines that are ours."""
_FIELDS = ("evaluation_id", "sample_id", "interaction_type", "evaluation")


def is_sample(first: Mapping[str, Any]) -> bool:
    """Whether a file that begins with this object is one of these."""
    return "question_id" not in first and all(name in first for name in _FIELDS)


class EveryEvalTranslation:
    """From lines to records; an answer that counts for several results has a line for each, of which one is taken."""

    def __init__(self, path: Path, verdict: str | None) -> None:
        """``verdict`` is an ``evaluation_result_id``, or the ``evaluation_name`` of lines without one."""
        self._path, self._verdict, self._is_named = path, verdict, verdict is not None
        self._results: dict[str, None] = {}
        """Those of the lines so far, in their order."""

    def __call__(self, number: int, line: dict[str, Any]) -> Iterator[dict[str, Any] | Fault]:
        """The records of line ``number``.

        Raises:
            ValueError: There are several results to choose from.
        """
        if not is_sample(line):
            yield Fault(
                f"has no {', '.join(name for name in _FIELDS if name not in line)}, as samples of Every Eval Ever have"
            )
            return
        result = str(line.get("evaluation_result_id") or line.get("evaluation_name"))
        self._results[result] = None
        if self._verdict is None:
            self._verdict = result
        if result != self._verdict:
            if not self._is_named:
                raise ValueError(
                    f"{self._path} has the verdicts of {self._verdict} and {result}. Name one: --verdict {self._verdict}."
                )
            return
        label = line["evaluation"]["is_correct"]
        if type(label) is not bool:
            yield Fault(f"has is_correct {label!r} where true or false was expected")
            return
        yield _record(line, label)

    def check_found(self) -> None:
        """Raise ValueError where no line so far is of the result that was named."""
        if self._results and self._verdict not in self._results:
            raise ValueError(f"--verdict {self._verdict}: {self._path} has the verdicts of {', '.join(self._results)}.")


def _record(line: Mapping[str, Any], label: bool) -> dict[str, Any] | Fault:
    given, metadata = line["input"], line.get("metadata") or {}
    texts = (line.get("output") or {}).get("raw") or [""]
    if RECORD in metadata:
        try:
            return unpacked(metadata[RECORD], texts[0], given.get("raw") or None)
        except ValueError as error:
            return Fault(f"has a {RECORD} that cannot be read ({error})")
    attributions = line.get("answer_attribution") or []
    references = given.get("reference") or []
    return {
        **{name: value for name, value in metadata.items() if name in ("level", "subject")},
        "question_id": line["sample_id"],
        "prompt": given.get("raw"),
        "response": texts[0],
        "pred_answer": attributions[-1].get("extracted_value") if attributions else None,
        "gold_answer": references[0] if len(references) == 1 else references,
        "label": label,
    }
