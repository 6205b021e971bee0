"""Lines that verl writes into ``trainer.validation_data_dir`` and ``trainer.rollout_data_dir`` as records of generations.

    {"input": ..., "output": ..., "gts": ..., "score": 1.0, "step": 50, "acc": 1.0, ..., "uid": "<prompt>_<sample>_<output>"}

verl names no problem, so a problem is its prompt and its ground truth: the same in every run on the same data.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from verl_ext.grading.verdict import Reason
from verl_ext.metrics.fault import Fault

_FIELDS = ("input", "output", "gts", "score", "step")
_LABELS = {0.0: False, 1.0: True, -1.0: False}
"""Of a score: 1 is correct, and 0 and -1 are the two ways to say that it is not."""


def is_line(first: Mapping[str, Any]) -> bool:
    """Whether a file that begins with this object is such a dump."""
    return "question_id" not in first and all(name in first for name in _FIELDS)


def translate(_number: int, line: dict[str, Any]) -> Iterator[dict[str, Any] | Fault]:
    """The record of a line; a ``Fault`` where it has no verdict."""
    missing = [name for name in _FIELDS if name not in line]
    if missing:
        yield Fault(f"has no {', '.join(missing)}, as the lines of a dump of verl have")
        return
    name = "acc" if line.get("acc") is not None else "score"
    label = _label(line[name])
    if label is None:
        yield Fault(
            f"has {name} {line[name]!r} and no verdict: 0, 1 or -1",
            "Let the reward function return acc, 0 or 1, beside its score; --skip_bad_lines leaves such lines out.",
        )
        return
    uid = line.get("uid")
    if isinstance(uid, str) and _number_of_output(uid):
        yield Fault(f"has uid {uid!r}, a later output of its sample, and verl has one verdict for all of them")
        return
    own = (*_FIELDS, "uid", "acc", "reward", "answer")
    yield {
        **{key: value for key, value in line.items() if key not in own and key not in _REASONS},
        "question_id": _problem(line["input"], line["gts"]),
        "generation_id": uid,
        "prompt": line["input"],
        "response": line["output"],
        "pred_answer": line.get("answer"),
        "gold_answer": line["gts"],
        "label": label,
        "reason": next((reason for reason in _REASONS if line.get(reason) == 1), None),
        "step": line["step"],
    }


def _label(score: Any) -> bool | None:
    """Whether the answer is correct; None where the score does not say."""
    if isinstance(score, str):  # verl writes numpy's numbers and truth values as text
        score = {"True": 1, "False": 0}.get(score, score)
    try:
        return _LABELS.get(float(score))
    except (TypeError, ValueError):
        return None


_REASONS = tuple(reason.value for reason in Reason)


def _number_of_output(uid: str) -> int:
    """Which output of a sample it is; 0 for the first, and where the id does not say."""
    parts = uid.rsplit("_", 2)
    return int(parts[2][-9:]) if len(parts) == 3 and parts[2].isdecimal() else 0


def _problem(prompt: Any, reference: Any) -> str:
    text = json.dumps([prompt, reference], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
