import asyncio
import json

import pytest

pytest.importorskip("reasoning_gym", reason="reasoning_gym is not installed: its dependency pycosat needs a C compiler")

from verl_ext.grading import Reason, check_reference, grade, grade_async
from verl_ext.grading.gym import scorer
from verl_ext.grading.gym.gym_grader import MAX_ANSWER_CHARS
from verl_ext.grading.verdict import Tier
from verl_ext.grading.workers.pool import GraderPool
from verl_ext.grading.workers.process import Comparison, TimedOutError, WorkerError

CHAIN_SUM = {"question": "4 + 3 =", "answer": "7", "metadata": {"expression": "4 + 3"}}


def reference(task="chain_sum", entry=CHAIN_SUM, **fields):
    return json.dumps({"task": task, "options": {}, "entry": entry, "threshold": 1.0, "answer_form": "tag"} | fields)


def graded(response, given=None, *, is_truncated=False):
    return grade(response, given or reference(), "reasoning_gym/chain_sum", is_truncated=is_truncated)


@pytest.mark.parametrize(
    ("response", "reason", "rule"),
    [
        ("4 + 3 is 7, so <answer>7</answer>", Reason.CORRECT, "answer_tag"),
        ("<answer> 7\n</answer>", Reason.CORRECT, "answer_tag"),
        ("<answer>8</answer> no, <answer>7</answer>.", Reason.CORRECT, "answer_tag"),
        ("<answer>7</answer> no, <answer>8</answer>.", Reason.INCORRECT, "answer_tag"),
        ("<answer>+07.0</answer>", Reason.CORRECT, "answer_tag"),  # chain_sum's own leniency
        ("<answer>7 apples</answer>", Reason.INCORRECT, "answer_tag"),
        ("<answer></answer>", Reason.NO_ANSWER, "answer_tag"),
        ("7", Reason.NO_ANSWER, ""),
        ("<answer>7", Reason.NO_ANSWER, ""),
        ("", Reason.NO_ANSWER, ""),
    ],
)
def test_the_answer_is_in_the_last_closed_tag(response, reason, rule):
    verdict = graded(response)
    assert (verdict.reason, verdict.rule) == (reason, rule)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (" 7 \n", Reason.CORRECT),
        ("<answer>7</answer>", Reason.CORRECT),
        ("8", Reason.INCORRECT),
        ("It is 7.", Reason.INCORRECT),
        ("<answer>7", Reason.NO_ANSWER),
        (" \n", Reason.NO_ANSWER),
    ],
)
def test_a_bare_response_is_the_answer(response, reason):
    assert graded(response, reference(answer_form="bare")).reason is reason


def test_a_cut_response_counts_with_a_closed_tag_only():
    assert graded("<answer>7</answer> because", is_truncated=True).is_correct
    assert graded("<answer>7", is_truncated=True).reason is Reason.TRUNCATED
    assert graded("7", reference(answer_form="bare"), is_truncated=True).reason is Reason.TRUNCATED


def test_partial_credit_counts_from_the_threshold_of_the_row():
    """chain_sum gives a text that holds the answer its share of the text: "7 is" scores 1/4."""
    verdict = graded("<answer>7 is</answer>")
    assert (verdict.reason, verdict.tier, verdict.detail) == (Reason.INCORRECT, Tier.SCORE, "scored 0.25, wanted 1")
    assert graded("<answer>7 is</answer>", reference(threshold=0.25)).is_correct
    assert graded("<answer>7 is</answer>", reference(threshold=0.26)).reason is Reason.INCORRECT


def test_an_event_loop_gets_the_same_verdict():
    async def verdicts():
        names = [reference(), reference(answer_form="bare")]
        return await asyncio.gather(
            *(grade_async("<answer>7</answer>", name, "reasoning_gym/chain_sum") for name in names)
        )

    assert [verdict.reason for verdict in asyncio.run(verdicts())] == [Reason.CORRECT] * 2


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("7", "it has no task"),
        ("{", "it is no JSON"),
        (7, "it is no text"),
        (reference(threshold=0), "its threshold is 0, not above 0 and at most 1"),
        (reference(threshold=1.5), "its threshold is 1.5"),
        (reference(threshold=True), "its threshold is True"),
        (reference(answer_form="box"), "its answer_form is 'box', not tag or bare"),
        (reference(entry={"answer": "7"}), "its entry has no question, answer and metadata"),
    ],
)
def test_a_broken_reference_is_refused(broken, why):
    with pytest.raises(ValueError, match=f"ground truth of a reasoning_gym row .* but {why}"):
        check_reference(broken, "reasoning_gym/chain_sum")


def test_the_longest_answer():
    assert graded(f"<answer>{'7' * MAX_ANSWER_CHARS}</answer>").reason is Reason.INCORRECT
    verdict = graded(f"<answer>{'7' * (MAX_ANSWER_CHARS + 1)}</answer>")
    assert (verdict.reason, verdict.tier, len(verdict.answer)) == (Reason.UNPARSABLE, Tier.LIMITS, MAX_ANSWER_CHARS)


def test_an_answer_that_the_scorer_fails_on_is_unparsable():
    entry = {"question": "Factors of 12?", "answer": "2 × 2 × 3", "metadata": {"factors": [2, 2, 3]}}
    given = reference(task="prime_factorization", entry=entry)
    assert graded("<answer>2 × 2 × 3</answer>", given).is_correct
    verdict = graded("<answer>2 × two × 3</answer>", given)
    assert (verdict.reason, verdict.tier) == (Reason.UNPARSABLE, Tier.SCORE)
    assert "the scorer fails on it: ValueError" in verdict.detail


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (
            reference(entry=CHAIN_SUM | {"answer": ""}),
            "RuntimeError: reasoning_gym's own answer .* of chain_sum scores 0",
        ),
        (reference(task="no_such_task"), "ValueError: Dataset 'no_such_task' not registered"),
        (reference(options={"min_terms": 0}), "AssertionError: min_terms must be positive"),
    ],
)
def test_a_problem_that_cannot_be_scored_is_the_graders_error(given, what):
    """It says nothing about the response, so it is never counted as wrong."""
    verdict = graded("<answer>8</answer>", given)
    assert verdict.reason is Reason.GRADER_ERROR
    with GraderPool(num_workers=1) as pool, pytest.raises(WorkerError, match=what):
        pool.submit(given, "8", Comparison.REASONING_GYM).result()


SPIRAL = {"question": "?", "answer": "1 2 4 3", "metadata": {"matrix": [[1, 2], [3, 4]], "solution": [1, 2, 4, 3]}}
PUZZLE = {"question": "Make 24 of 1 2 3 4.", "answer": "1*2*3*4", "metadata": {"numbers": [1, 2, 3, 4]}}
HOSTILE = (
    "__import__('os').system('touch {file}')",
    "open('{file}', 'w')",
    "[open('{file}', 'w')]",
    "(lambda: exit())()",
    "exit()",
    "1/0",
    "[" * 5000,
    "(" * 3000 + ")" * 3000,
    "9**9**9**9",
    "[0] * 10**12",
    "'7' * 10**12",
    "\x00\x01\ud800",
    "🙂" * 2000,
    "-" * 9999,
    "٣ + ٤",
    "None",
    "nan",
    "1e999999999",
)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_is_graded_and_does_nothing(number, tmp_path):
    file = tmp_path / "was_here"
    text = HOSTILE[number].replace("{file}", str(file))
    for task, entry in (("chain_sum", CHAIN_SUM), ("spiral_matrix", SPIRAL), ("puzzle24", PUZZLE)):
        given = reference(task=task, entry=entry)
        reason = graded(f"<answer>{text}</answer>", given).reason
        assert reason in (Reason.INCORRECT, Reason.UNPARSABLE, Reason.TIMED_OUT), (task, reason)
        assert graded(f"<answer>{entry['answer']}</answer>", given).is_correct
    assert not file.exists()


def test_where_the_library_evaluates_an_answer_only_literals_are_read():
    """A list is partial credit in spiral_matrix, and what makes a list is none."""
    given = reference(task="spiral_matrix", entry=SPIRAL, threshold=0.1)
    assert graded("<answer>[1, 2, 4, 3]</answer>", given).is_correct
    assert graded("<answer>list((1, 2, 4, 3))</answer>", given).reason is Reason.INCORRECT
    assert scorer.load()  # in this process, to look at the modules
    from reasoning_gym.algorithmic import spiral_matrix

    assert spiral_matrix.eval is scorer.ast.literal_eval


def test_a_scorer_that_does_not_end_is_a_time_out():
    slow = reference(task="puzzle24", entry=PUZZLE)
    with GraderPool(num_workers=1, timeout_seconds=0.3) as pool:
        pool.start(wait=True)
        with pytest.raises(TimedOutError, match="of processor time"):
            pool.submit(slow, "9**9**9", Comparison.REASONING_GYM).result()
        assert pool.submit(slow, PUZZLE["answer"], Comparison.REASONING_GYM).result().is_same
