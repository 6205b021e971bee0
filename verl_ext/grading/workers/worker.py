"""The worker process of the symbolic tier: pairs in, decisions out, one line of JSON each, on stdin and stdout.

It imports neither torch nor verl. Its memory is bounded for good and its processor time afresh for each task
(``budget``), so that a worker whose parent is gone ends by itself; the wall clock is the parent's, who kills.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TextIO

from verl_ext.grading.answers.conventions import Conventions, read_conventions
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.budget import end_after, slowness

MEMORY_BYTES = 2 * 1024**3
RECURSION_LIMIT = 20_000
SELF_TEST = (
    (r"\sqrt{8}", r"2\sqrt{2}", True),
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", False),
    (r"(x+1)^2", "x^2+2x+1", True),
    (r"\sum_{k=1}^{3} k", "6", True),
)
"""Pairs whose verdict depends on the libraries, the last on Math-Verify and its parser."""


def main() -> None:
    sys.setrecursionlimit(RECURSION_LIMIT)
    sys.set_int_max_str_digits(4300)
    # Libraries print; only replies may reach the parent.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from verl_ext.grading.formulas.symbolic import compare_symbolically

    failed = [
        (left, right) for left, right, is_same in SELF_TEST if compare_symbolically(left, right).is_same is not is_same
    ]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    slowness()
    _send(replies, {"self_test_failures": failed})
    for line in sys.stdin:
        _send(replies, _reply(**json.loads(line)))


@cache
def _function(comparison: str, conventions: Conventions) -> Callable[[str, str], Decision]:
    """The function for a comparison, with all that it imports."""
    from verl_ext.grading.formulas.math_verify import compare_with_math_verify
    from verl_ext.grading.formulas.symbolic import compare_symbolically

    if comparison == "paper":  # most runs never ask
        from verl_ext.grading.paper.paper_formulas import compare_in_child, warm_up

        warm_up()
        return compare_in_child
    if comparison == "reasoning_gym":
        from verl_ext.grading.gym.scorer import load, score_answer

        load()
        return score_answer
    if comparison == "math_verify":
        return compare_with_math_verify
    assert comparison == "symbolic"
    return partial(compare_symbolically, conventions=conventions)


def _reply(comparison: str, reference: str, answer: str, seconds: float, conventions: str = "") -> dict[str, Any]:
    try:
        compare = _function(
            comparison, read_conventions(conventions)
        )  # before the clock runs: the first task is no more costly than the next
        end_after(seconds * slowness())
        try:
            return compare(reference, answer)._asdict()
        finally:
            end_after(0)
    except (MemoryError, RecursionError) as error:
        return Decision(None, Tier.SYMBOLIC, f"too complex ({type(error).__name__})")._asdict()
    except TimeoutError as error:
        return {"overran": str(error)}
    except Exception as error:  # noqa: BLE001  the parent counts it as a fault of the grader, never as a wrong answer
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def _send(replies: TextIO, message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
