"""The log of the answers that Math-Verify grades otherwise."""

import asyncio
import json
from concurrent.futures import Future

import pytest

from verl_ext.evaluation import disagreements
from verl_ext.evaluation.disagreements import DisagreementLog
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.process import Comparison, TimedOutError


@pytest.fixture
def asked(monkeypatch):
    """What Math-Verify is asked; it takes 1/2 and 0.5 for the same, times out on x, and knows nothing else."""
    asked = []

    class Cache:
        def submit(self, reference, answer, comparison):
            assert comparison is Comparison.MATH_VERIFY
            asked.append((reference, answer))
            future = Future()
            if answer == "x":
                future.set_exception(TimedOutError("no decision within 2 s"))
            else:
                future.set_result(Decision({"1/2": True, "2": False}.get(answer), Tier.SYMBOLIC, "because"))
            return future

    monkeypatch.setattr(disagreements, "shared_decisions", Cache)
    return asked


def record(answer, reason, tier="symbolic", gold="0.5"):
    return {
        "question_id": "0",
        "generation_id": 4,
        "response": "long",
        "gold_answer": gold,
        "pred_answer": answer,
        "reason": reason,
        "tier": tier,
    }


def log_of(path, *records, task="math"):
    async def run():
        log = DisagreementLog(path)
        for one in records:
            log.consider(one, task)
        await log.close()
        return log.num_rows

    count = asyncio.run(run())
    return count, [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_where_they_differ(tmp_path, asked):
    count, rows = log_of(
        tmp_path / "d.jsonl",
        record("1/2", "incorrect"),  # they: the same
        record("2", "correct"),  # they: not the same
        record("3", "incorrect"),  # they: cannot say
        record("x", "correct"),  # they: time out
    )
    assert count == 3
    assert {(row["pred_answer"], row["reason"], row["math_verify"]) for row in rows} == {
        ("1/2", "incorrect", True),
        ("2", "correct", False),
        ("x", "correct", None),
    }
    assert set(rows[0]) == {
        *("question_id", "generation_id", "gold_answer", "pred_answer", "reason", "tier"),
        *("math_verify", "math_verify_detail"),
    }


def test_only_what_may_be_wrong_is_asked_and_once(tmp_path, asked):
    log_of(
        tmp_path / "d.jsonl",
        record("0.5", "correct", "string"),
        record("0.50", "correct", "exact"),
        record(None, "no_answer"),
        record("y", "timed_out"),
        record("1/2", "incorrect"),
        record("1/2", "incorrect"),
        record("(1,2)", "correct", "typed"),
        record("??", "unparsable", "limits"),
    )
    assert asked == [("0.5", "1/2"), ("0.5", "(1,2)"), ("0.5", "??")]


def test_countdown_is_not_asked(tmp_path, asked):
    log_of(tmp_path / "d.jsonl", record("1+1", "incorrect", gold='{"numbers": [1], "target": 1}'), task="countdown")
    assert asked == []


def test_a_later_run_adds_to_the_log(tmp_path, asked):
    path = tmp_path / "d.jsonl"
    log_of(path, record("1/2", "incorrect"))
    path.write_bytes(path.read_bytes() + b'{"question_id": "7", "gold')  # killed in the middle of a line
    count, rows = log_of(path, record("1/2", "incorrect"), record("2", "correct"))
    assert count == 2
    assert [row["pred_answer"] for row in rows] == ["1/2", "2"]
    assert asked == [("0.5", "1/2"), ("0.5", "2")]


def test_with_the_real_math_verify(tmp_path):
    """6 decimals are enough for Math-Verify and not for us."""
    _, rows = log_of(
        tmp_path / "d.jsonl",
        record("0.3333333333", "incorrect", "exact", gold=r"\frac{1}{3}"),
        record("7", "incorrect"),
    )
    assert [(row["pred_answer"], row["math_verify"]) for row in rows] == [("0.3333333333", True)]
