import json
from importlib.util import find_spec

import pytest

from verl_ext.grading import Reason, grade
from verl_ext.grading.entrance import grader_error
from verl_ext.grading.verdict import Decision, Tier, Verdict, verdict_of

COUNTDOWN = {"numbers": [3, 5, 7], "target": 22}
CHAIN_SUM = json.dumps(
    {
        "task": "chain_sum",
        "options": {},
        "entry": {"question": "4 + 3 =", "answer": "7", "metadata": {"expression": "4 + 3"}},
        "threshold": 1.0,
        "answer_form": "tag",
    }
)
STAGES = [
    (Tier.EXTRACTION, "I do not know.", "1", "math", "default"),
    (Tier.LIMITS, r"\boxed{" + "9" * 300 + "}", "1", "math", "default"),
    (Tier.STRING, r"\boxed{\dfrac12}", r"\frac{1}{2}", "math", "default"),
    (Tier.EXACT, r"\boxed{0.5}", r"\frac{1}{2}", "math", "default"),
    (Tier.TYPED, r"\boxed{(2,1)}", "(1,2)", "math", "default"),
    (Tier.SYMBOLIC, r"\boxed{1+x}", "x+1", "math", "default"),
    (Tier.GRAMMAR, "<answer>3 5</answer>", COUNTDOWN, "countdown", "default"),
    (Tier.NUMBERS, "<answer>3+5</answer>", COUNTDOWN, "countdown", "default"),
    (Tier.VALUE, "<answer>3*5+7</answer>", COUNTDOWN, "countdown", "default"),
    (Tier.PAPER, r"\boxed{1}", "1", "math", "paper"),
    (Tier.SCORE, "<answer>7</answer>", CHAIN_SUM, "reasoning_gym/chain_sum", "default"),
]


@pytest.mark.parametrize(("tier", "response", "reference", "task", "grader"), STAGES)
def test_each_stage_names_itself(tier, response, reference, task, grader):
    if tier is Tier.SCORE and find_spec("reasoning_gym") is None:
        pytest.skip("reasoning_gym is not installed: its dependency pycosat needs a C compiler")
    verdict = grade(response, reference, task, grader=grader)
    assert type(verdict.tier) is Tier
    assert verdict.tier is tier


def test_every_tier_occurs():
    assert {stage[0] for stage in STAGES} | {grader_error(RuntimeError()).tier} == set(Tier)


@pytest.mark.parametrize(
    ("is_same", "reason"), [(True, Reason.CORRECT), (False, Reason.INCORRECT), (None, Reason.UNPARSABLE)]
)
def test_a_decision_becomes_a_verdict(is_same, reason):
    decision = Decision(is_same, Tier.TYPED, "why")
    assert verdict_of(decision, "5", "box") == Verdict(reason, "5", "box", Tier.TYPED, "why")
