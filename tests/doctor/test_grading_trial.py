"""The grader says right of a right answer and wrong of a wrong one, or the doctor says that it does not."""

import json
from types import SimpleNamespace

import pytest

from verl_ext.doctor import grading_trial
from verl_ext.doctor.grading_trial import EXAMPLES, graded, grading_of, pair_of, workers
from verl_ext.grading.verdict import Reason
from verl_ext.grading.workers.process import WorkerError
from verl_ext.host.finding import Level

GYM = json.dumps(
    {
        "task": "chain_sum",
        "options": {},
        "entry": {"question": "1 + 1 = ?", "answer": "2", "metadata": {}},
        "threshold": 1.0,
        "answer_form": "tag",
    }
)


@pytest.mark.parametrize("task", EXAMPLES)
def test_examples_are_graded_right(task):
    assert graded(pair_of(task, EXAMPLES[task])).level is Level.OK


@pytest.mark.parametrize("reference", [r"(-\infty, 2) \cup (3, 4]", "1, 2, 3", r"\text{red}", "-9"])
def test_answers_of_mathematics_that_are_no_numbers(reference):
    assert graded(pair_of("math", reference)).level is Level.OK


def test_the_library_s_own_answer_is_the_right_one():
    pair = pair_of("reasoning_gym/chain_sum", GYM)
    assert pair.right == "<answer>2</answer>"


def test_more_numbers_than_can_be_listed_are_tried_on_a_smaller_problem():
    pair = pair_of("countdown", {"numbers": [1, 2, 3, 4, 5, 6], "target": 21})
    assert graded(pair).level is Level.OK


def test_a_problem_without_a_solution_is_named():
    with pytest.raises(ValueError, match="has no solution: every answer to it is wrong"):
        pair_of("countdown", {"numbers": [1, 1], "target": 50})


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match="no grader for the task .*'mathh'.* Did you mean math"):
        pair_of("mathh", "1")


def reward(acc: float, reason: Reason, detail: str = ""):
    return {"acc": acc, "detail": detail} | {one.value: float(one is reason) for one in Reason}


@pytest.mark.parametrize(
    ("of_right", "of_wrong"),
    [
        (reward(0.0, Reason.INCORRECT), reward(0.0, Reason.INCORRECT)),
        (reward(1.0, Reason.CORRECT), reward(1.0, Reason.CORRECT)),
        (reward(1.0, Reason.CORRECT), reward(0.0, Reason.GRADER_ERROR, "no sympy")),
    ],
)
def test_a_grader_that_errs_is_a_fault(monkeypatch, of_right, of_wrong):
    pair = pair_of("math", "4")

    async def compute_score(_task, response, _reference):
        return of_right if response == pair.right else of_wrong

    monkeypatch.setattr(grading_trial, "compute_score", compute_score)
    found = graded(pair)
    assert found.level is Level.FAIL
    assert found.text.startswith("math: of the reference '4', The answer is \\boxed{4}. is ")
    assert "scripts/install.sh" in found.remedy


class Pool:
    num_workers = 2

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)

    def submit(self, _reference, _answer):
        outcome = self.outcomes.pop(0)

        def result():
            if isinstance(outcome, Exception):
                raise outcome
            return SimpleNamespace(is_same=outcome)

        return SimpleNamespace(result=result)


@pytest.mark.parametrize(
    ("outcomes", "level"),
    [
        ((True, False), Level.OK),
        ((False, False), Level.FAIL),
        ((True, True), Level.FAIL),
        ((None, False), Level.FAIL),
        ((WorkerError("a worker of the grader ended with exit code 1"), False), Level.FAIL),
    ],
)
def test_worker_processes_have_to_tell_two_formulas_apart(monkeypatch, outcomes, level):
    monkeypatch.setattr(grading_trial, "shared_decisions", lambda: SimpleNamespace(pool=Pool(*outcomes)))
    assert workers().level is level


def test_a_reward_function_of_the_users_is_not_tried(monkeypatch):
    monkeypatch.setattr(grading_trial, "shared_decisions", lambda: SimpleNamespace(pool=Pool(True, False)))
    custom = SimpleNamespace(custom_reward_function=SimpleNamespace(path="mine.py"))
    first, second = grading_of(SimpleNamespace(reward=custom))
    assert (first.level, second.level) == (Level.OK, Level.WARN)
    assert "reward.custom_reward_function.path=mine.py is yours" in second.text
