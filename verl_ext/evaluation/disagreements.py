"""A log of the answers on which Math-Verify would decide differently from our cascade: where either may have a bug.

Asked are the answers that the cascade found wrong or unparsable, and those that it found right by its typed or symbolic
tier; strings and numbers that are the same need no second opinion. Each distinct (reference, answer) is asked once, in
the grader's worker processes, beside the sampling.
"""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from verl_ext.evaluation.answer_file import drop_cut_line, line_of, read_records
from verl_ext.grading import Reason, mathematics
from verl_ext.grading.entrance import grader_of
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.decisions import shared_decisions
from verl_ext.grading.workers.process import Comparison, TimedOutError, WorkerError

SURE_TIERS = (Tier.STRING, Tier.EXACT)
ASKED = (Reason.INCORRECT, Reason.UNPARSABLE, Reason.CORRECT)


class DisagreementLog:
    """Appends to ``path`` a line per (reference, answer) on which Math-Verify differs. Lives on one asyncio loop."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.num_rows = 0
        """Found now or before."""
        self._seen: set[tuple[str, str]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        if path.exists():
            drop_cut_line(path)
            for _, row in read_records(path):
                self._seen.add((json.dumps(row["gold_answer"]), row["pred_answer"]))
                self.num_rows += 1
        self._file = path.open("ab", buffering=0)

    def consider(self, record: Mapping[str, Any], task: str) -> None:
        """Ask about the answer of a line, if it is one to ask about and was not asked about before."""
        answer, reason, tier = record.get("pred_answer"), record.get("reason"), record.get("tier")
        if answer is None or reason not in ASKED or (reason == Reason.CORRECT and tier in SURE_TIERS):
            return
        if grader_of(task).grade_async is None:  # no mathematics
            return
        pair = json.dumps(record["gold_answer"]), answer
        if pair in self._seen:
            return
        self._seen.add(pair)
        reference = mathematics.parse_reference(record["gold_answer"])
        asked = shared_decisions().submit(reference, answer, Comparison.MATH_VERIFY)
        asking = asyncio.create_task(self._compare(dict(record), asked))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    def summary(self) -> str:
        return f"{self.num_rows:,} distinct answers that Math-Verify grades differently: {self.path}"

    async def close(self) -> None:
        """Wait for what is being asked."""
        while self._asking:
            await asyncio.gather(*self._asking)
        self._file.close()

    async def _compare(self, record: Mapping[str, Any], asked: "Future[Decision]") -> None:
        theirs, detail = await _opinion(asked)
        if (record["reason"] == Reason.CORRECT) == (theirs is True):
            return
        self.num_rows += 1
        names = ("question_id", "generation_id", "gold_answer", "pred_answer", "reason", "tier")
        row = {name: record.get(name) for name in names} | {"math_verify": theirs, "math_verify_detail": detail}
        self._file.write(line_of(row))


async def _opinion(asked: "Future[Decision]") -> tuple[bool | None, str]:
    """Whether Math-Verify takes them for the same (None: it does not say), and why not."""
    try:
        # Shielded: to cancel this would cancel the comparison for all who wait for it.
        decision = await asyncio.shield(asyncio.wrap_future(asked))
    except (TimedOutError, WorkerError) as error:
        return None, str(error)
    return decision.is_same, decision.detail
