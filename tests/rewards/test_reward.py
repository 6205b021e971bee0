import asyncio
import re
import runpy
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from verl_ext.grading import Reason, mathematics
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.rewards import reward


def compute_score(*arguments, **options):
    return asyncio.run(reward.compute_score(*arguments, **options))


REFERENCE = {"numbers": [3, 5, 7], "target": 22}
RESPONSES = {
    Reason.CORRECT: "<answer>3*5+7</answer>",
    Reason.INCORRECT: "3*5-7",
    Reason.NO_ANSWER: "I do not know.",
    Reason.UNPARSABLE: "3**5",
}


@pytest.mark.parametrize("reason", RESPONSES)
def test_one_reason_is_one_and_the_score_follows(reason):
    result = compute_score("countdown", RESPONSES[reason], REFERENCE, {"index": 3}, reward_router_address="unused")
    assert {key for key in Reason if result[key.value]} == {reason}
    assert result["score"] == result["acc"] == float(reason is Reason.CORRECT)


def test_keys_and_types_never_change():
    expected = {
        "score": float,
        "acc": float,
        **{reason.value: float for reason in Reason},
        "answer": str,
        "detail": str,
        "tier": str,
        "rule": str,
    }
    for response in [*RESPONSES.values(), "", None, 3]:
        assert {key: type(value) for key, value in compute_score("countdown", response, REFERENCE).items()} == expected


def test_truncation_is_told_by_extra_info():
    assert compute_score("countdown", "3*5+7", REFERENCE, {"is_truncated": True})["truncated"] == 1.0
    assert compute_score("countdown", "3*5+7", REFERENCE, {"is_truncated": False})["correct"] == 1.0
    assert compute_score("countdown", "<answer>3*5+7</answer>", REFERENCE, {"is_truncated": True})["correct"] == 1.0


@pytest.mark.parametrize(
    ("data_source", "ground_truth", "detail"),
    [
        ("countdwn", REFERENCE, "Did you mean countdown?"),
        ("countdown", {"numbers": None, "target": None}, "ground truth of a countdown row must look like"),
        ("countdown", None, "ground truth of a countdown row must look like"),
    ],
)
def test_what_cannot_be_graded_is_a_grader_error_not_a_wrong_answer(data_source, ground_truth, detail, caplog):
    result = compute_score(data_source, "3*5+7", ground_truth)
    assert result["grader_error"] == 1.0
    assert result["incorrect"] == result["score"] == 0.0
    assert detail in result["detail"]
    assert detail in caplog.text


def test_a_fault_in_grading_is_counted(monkeypatch):
    def broken(*_arguments, **_options):
        raise KeyError("oops")

    monkeypatch.setattr(reward, "grade_async", broken)
    result = compute_score("countdown", "3*5+7", REFERENCE)
    assert (result["grader_error"], result["incorrect"], result["detail"]) == (1.0, 0.0, "KeyError: 'oops'")


def test_works_from_threads():
    with ThreadPoolExecutor(4) as threads:
        results = list(
            threads.map(lambda response: compute_score("countdown", response, REFERENCE), RESPONSES.values())
        )
    assert [result["score"] for result in results] == [1.0, 0.0, 0.0, 0.0]


def test_the_reward_loads_neither_torch_nor_verl():
    program = (
        "import sys, verl_ext.rewards.reward; sys.exit(str({'torch', 'verl', 'ray'} & set(sys.modules) or '') or None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


ONLY_SYMBOLIC = [rf"\boxed{{x^2+{n}x+{n}}}" for n in range(12)]
"""Answers that only a worker can compare with x(x+5)+5."""


async def grade_at_once():
    return await asyncio.gather(*(reward.compute_score("math", text, "x(x+5)+5") for text in ONLY_SYMBOLIC))


def test_many_answers_are_graded_on_one_loop():
    assert [result["score"] for result in asyncio.run(grade_at_once())] == [float(n == 5) for n in range(12)]


def test_many_answers_wait_for_the_workers_at_once_and_the_loop_stays_free(monkeypatch):
    """The loop itself answers for the workers, once all are asked: it could not if it waited for one of them."""

    class NotWaitedFor(Future):
        def result(self, timeout=None):
            assert self.done(), "the loop stands still until a worker is done"
            return super().result(timeout)

    asked = []

    def submit(_pending):
        asked.append(NotWaitedFor())
        return asked[-1]

    async def answer_when_all_are_asked():
        grading = asyncio.create_task(grade_at_once())
        while len(asked) < len(ONLY_SYMBOLIC) and not grading.done():
            await asyncio.sleep(0)
        for future in asked:
            future.set_result(Decision(True, Tier.SYMBOLIC, ""))
        return await grading

    monkeypatch.setattr(mathematics, "submit", submit)
    results = asyncio.run(answer_when_all_are_asked())
    assert [(result["score"], result["detail"]) for result in results] == [(1.0, "")] * len(ONLY_SYMBOLIC)


def test_the_example_of_the_page_about_own_rewards(tmp_path):
    page = (Path(__file__).parents[2] / "docs/grading.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(# rewards.py.*?)^```", page, flags=re.M | re.S)
    (tmp_path / "rewards.py").write_text(example)
    mine = runpy.run_path(str(tmp_path / "rewards.py"))
    responses = {
        Reason.CORRECT: ("So it is 12.\nAnswer: 12", None),
        Reason.INCORRECT: ("Answer: 13", {}),
        Reason.NO_ANSWER: ("It is 12.", {"is_truncated": False}),
        Reason.TRUNCATED: ("Answer: 1", {"is_truncated": True}),
    }
    for reason, (response, extra_info) in responses.items():
        result = mine["score"]("mine", response, "12", extra_info, reward_router_address="unused")
        assert [key for key in Reason if result.get(key.value)] == [reason]
        assert result["score"] == result["acc"] == float(reason is Reason.CORRECT)
