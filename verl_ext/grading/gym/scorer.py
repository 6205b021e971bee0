"""Score an answer as reasoning-gym does. Runs in grading's worker processes only.

The problem comes from the row. A scorer is called in a child without rights (``workers.child``), because four of them
``eval`` an answer and others give it to sympy's ``parse_expr``; the ``eval`` reads literals here, which is what they are
after. What a scorer raises on an answer is that answer's fault only if it takes the library's own answer, so that one is
scored first, once for each problem.
"""

import ast
import json
import struct
import sys
from functools import cache, lru_cache, partial
from typing import Any

from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.budget import seconds_left, slowness
from verl_ext.grading.workers.child import say_without_rights

EVALUATING = ("string_insertion", "spiral_matrix", "binary_matrix", "n_queens")
"""Modules of the library whose scorer calls ``eval`` with the answer."""
SCORE = struct.Struct("d")
MAX_ERROR_CHARS = 80
_SCORED, _FAILED = b"=", b"!"


@cache
def load() -> Any:
    """The library, which takes seconds; its ``eval`` of an answer reads literals only."""
    import reasoning_gym

    for name, module in list(sys.modules.items()):
        if name.startswith("reasoning_gym.") and name.rpartition(".")[2] in EVALUATING:
            module.eval = ast.literal_eval  # type: ignore[attr-defined]
    return reasoning_gym


def score_answer(reference: str, answer: str) -> Decision:
    """Whether the score of ``answer`` reaches the threshold of the row.

    Raises:
        RuntimeError: The scorer fails, or does not take the library's own answer: nothing can be said of any answer.
        TimeoutError: The time was up.
    """
    if answer != json.loads(reference)["entry"]["answer"]:
        _check_own(reference)
    score, error = _scored(reference, answer)
    if error:
        return Decision(None, Tier.SCORE, f"the scorer fails on it: {error}")
    threshold = json.loads(reference)["threshold"]
    return Decision(score >= threshold, Tier.SCORE, "" if score == 1 else f"scored {score:.3g}, wanted {threshold:g}")


@lru_cache(maxsize=256)
def _check_own(reference: str) -> None:
    fields = json.loads(reference)
    score, error = _scored(reference, fields["entry"]["answer"])
    if error or score < fields["threshold"]:
        what = f"fails with {error}" if error else f"scores {score:.3g}"
        raise RuntimeError(f"reasoning_gym's own answer to this problem of {fields['task']} {what}")


def _scored(reference: str, answer: str) -> tuple[float, str]:
    """The score, and what the scorer raised; one of them counts."""
    scorer, entry = _problem(reference)
    seconds = seconds_left() / slowness()
    said = say_without_rights(partial(_say, scorer, entry, answer), max_bytes=1 + MAX_ERROR_CHARS, seconds=seconds)
    if said[:1] == _SCORED and len(said) == 1 + SCORE.size:
        (score,) = SCORE.unpack(said[1:])
        if 0 <= score <= 1:
            return score, ""
        return 0.0, f"a score of {score:.3g}"
    return 0.0, said[1:].decode("ascii", "replace") or "it ended its process"


def _say(scorer: Any, entry: dict[str, Any], answer: str) -> bytes:
    try:
        return _SCORED + SCORE.pack(float(scorer(answer, entry)))
    except BaseException as error:  # noqa: BLE001  an answer may raise SystemExit; the worker says what it means
        text = f"{type(error).__name__}: {error}".encode("ascii", "replace")
        return _FAILED + text[:MAX_ERROR_CHARS]


@lru_cache(maxsize=256)
def _problem(reference: str) -> tuple[Any, dict[str, Any]]:
    fields = json.loads(reference)
    return _scorer(fields["task"], json.dumps(fields["options"], sort_keys=True)), fields["entry"]


@lru_cache(maxsize=64)
def _scorer(task: str, options: str) -> Any:
    return load().create_dataset(task, seed=0, size=1, **json.loads(options)).score_answer
