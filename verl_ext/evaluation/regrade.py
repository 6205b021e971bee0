"""Grade an existing file again, without sampling, and say which verdicts change."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from verl_ext.evaluation.answer_file import HEADER_KIND, create_lines, drop_cut_line, line_of, read_records
from verl_ext.evaluation.disagreements import DisagreementLog
from verl_ext.grading import grade_async
from verl_ext.grading.verdict import WITHHELD_REASON
from verl_ext.host.files import replacing
from verl_ext.metrics.side_file import plain_path

BATCH = 512
"""Answers graded side by side."""


@dataclass
class Regrade:
    """What grading again has changed."""

    num_answers: int = 0
    num_correct_before: int = 0
    num_correct_now: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often an answer went from one reason to another, the unchanged ones included."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """Of the answers whose label or reason changed: what they are, and both verdicts."""


async def regrade(
    path: Path, task_of: Mapping[str, str] | str, *, disagreements: DisagreementLog | None = None
) -> Regrade:
    """Grade every answer of ``path`` again and put the file with the new verdicts in its place, whole or not at all.

    Fields that are not the grader's stay as they are.

    Args:
        path: A generations file, ours or the paper's, packed or not.
        task_of: The task (``data_source``) by question id, or one for all.
        disagreements: Is shown every answer.

    Raises:
        ValueError: A line cannot be graded; names it.
    """
    result = Regrade()
    if path == plain_path(path):
        drop_cut_line(path)
    lines = read_records(path)
    with replacing(path) as unfinished:
        with create_lines(unfinished, path.suffix) as target:
            while batch := list(islice(lines, BATCH)):
                records = await asyncio.gather(*(_regraded(path, number, line, task_of) for number, line in batch))
                target.write(b"".join(map(line_of, records)))
                for (_, old), new in zip(batch, records, strict=True):
                    if old.get("kind") == HEADER_KIND:
                        continue
                    _count(result, old, new)
                    if disagreements is not None:
                        disagreements.consider(new, _task(task_of, old))
        if not result.num_answers:
            raise ValueError(f"{path} holds no answers.")
    return result


def _task(task_of: Mapping[str, str] | str, record: Mapping[str, Any]) -> str:
    return task_of if isinstance(task_of, str) else task_of[str(record["question_id"])]


async def _regraded(
    path: Path, number: int, record: dict[str, Any], task_of: Mapping[str, str] | str
) -> dict[str, Any]:
    if record.get("kind") == HEADER_KIND:
        return record
    if record.get("reason") == WITHHELD_REASON:
        return record  # there is no answer to grade
    missing = [name for name in ("question_id", "response", "gold_answer", "label") if name not in record]
    if missing:
        raise ValueError(
            f"{path}, line {number}, has no {', '.join(missing)}: it cannot be graded again. Correct or delete the line."
        )
    try:
        task = _task(task_of, record)
    except KeyError:
        raise ValueError(
            f"{path}, line {number}: the side file has no question {record['question_id']!r}, so its task is unknown. "
            "Name it with --task."
        ) from None
    is_truncated = record.get("finish_reason") == "length"
    verdict = await grade_async(str(record["response"]), record["gold_answer"], task, is_truncated=is_truncated)
    return record | {
        "pred_answer": verdict.answer,
        "label": verdict.is_correct,
        "reason": verdict.reason.value,
        "tier": str(verdict.tier),
        "rule": verdict.rule,
    }


def _count(result: Regrade, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    # The paper's files have no reason.
    before = str(old.get("reason") or ("correct" if old["label"] else "not correct"))
    now = new["reason"]
    result.num_answers += 1
    result.num_correct_before += bool(old["label"])
    result.num_correct_now += new["label"]
    result.reasons[before, now] += 1
    if bool(old["label"]) != new["label"] or ("reason" in old and before != now):
        names = ("question_id", "generation_id", "gold_answer")
        change = {name: old.get(name) for name in names}
        result.changes.append(
            change | {"was": before, "is": now, "pred_was": old.get("pred_answer"), "pred_is": new["pred_answer"]}
        )


def diff_table(result: Regrade, shown: int) -> str:
    """The counts by old and new reason, and the first ``shown`` answers that changed."""
    changed = [(pair, count) for pair, count in result.reasons.most_common() if pair[0] != pair[1]]
    lines = [
        f"{result.num_answers:,} answers graded again: {result.num_correct_before:,} were correct, "
        f"{result.num_correct_now:,} are.",
        *(
            f"  {count:>8,}  {before} -> {now}"
            for (before, now), count in changed
            if before != "not correct" or now == "correct"
        ),
    ]
    lines += [_change_line(change) for change in result.changes[:shown]]
    if len(result.changes) > shown:
        lines.append(f"  ... and {len(result.changes) - shown:,} more")
    if not result.changes:
        lines.append("No verdict changed.")
    return "\n".join(lines)


def _change_line(change: Mapping[str, Any]) -> str:
    answers: Sequence[Any] = (
        [change["pred_is"]] if change["pred_was"] == change["pred_is"] else [change["pred_was"], change["pred_is"]]
    )
    return (
        f"  question {change['question_id']}, generation {change['generation_id']}: {change['was']} -> {change['is']}"
        f" | gold {_short(change['gold_answer'])} | answer {' -> '.join(map(_short, answers))}"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
