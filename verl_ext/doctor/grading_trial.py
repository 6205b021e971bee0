"""A right and a wrong answer to each task, through what grades in a run: the reward function and the worker processes."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from verl_ext.data.parquet import read_rows
from verl_ext.grading.countdown_grader import parse_reference as parse_countdown
from verl_ext.grading.entrance import grader_of
from verl_ext.grading.verdict import Reason
from verl_ext.grading.workers.decisions import shared_decisions
from verl_ext.grading.workers.process import TimedOutError, WorkerError
from verl_ext.host.finding import Finding, fail, ok, warn
from verl_ext.rewards.reward import compute_score
from verl_ext.tasks.countdown import CountdownProblem, solutions
from verl_ext.tasks.table import DATA_SOURCES
from verl_ext.training.checks.data_files import GRADERS_PATH
from verl_ext.training.checks.machine import check_grader
from verl_ext.training.paths import is_remote, local_files, local_path

GRADING, WORKERS = "grading", "grader's processes"
REMEDY = "bash scripts/install.sh installs the libraries that verdicts were tested with; VERL_EXT_GRADER_SECONDS is a comparison's time."
WRONG = "-9182736455"
"""No task has this answer."""
MOST_NUMBERS = 4
"""Of a Countdown problem whose solutions are listed in a moment."""
SOLVED_COUNTDOWN = {"numbers": [1, 2, 3], "target": 6}
EXAMPLES: Mapping[str, Any] = {"math": r"\frac{3}{4}", "gsm8k": "72", "countdown": json.dumps(SOLVED_COUNTDOWN)}
"""Task -> reference, for a machine without data files."""
FORMULA, SAME, OTHER = r"2\sqrt{2}", r"\sqrt{8}", r"\sqrt{7}"


class Pair(NamedTuple):
    """A task, its reference and two responses."""

    task: str
    reference: Any
    right: str
    wrong: str


def grading_of(config: Any) -> Iterator[Finding]:
    """Every task of the run's files, or the ``EXAMPLES`` without a run; and the worker processes."""
    check_grader()
    yield workers()
    if config is not None and config.reward.custom_reward_function.path != GRADERS_PATH:
        path = config.reward.custom_reward_function.path
        yield warn(GRADING, f"reward.custom_reward_function.path={path} is yours: it is not tried here", "")
        return
    references = EXAMPLES if config is None else references_of(config)
    for task, reference in references.items():
        yield graded(pair_of(task, reference))


def references_of(config: Any) -> dict[str, Any]:
    """Task -> the ground truth of its first row, over all files that can be looked at."""
    found: dict[str, Any] = {}
    for option in ("train_files", "val_files"):
        for file in local_files(config.data[option]):
            for row in [] if is_remote(file) else read_rows(local_path(file)):
                found.setdefault(str(row["data_source"]), row["reward_model"]["ground_truth"])
    return found


def pair_of(task: str, reference: Any) -> Pair:
    """A right and a wrong response to a problem with this ground truth; raises ValueError for an unknown task."""
    grader, kind = grader_of(task), DATA_SOURCES[task].grader
    if kind == "countdown":
        return _countdown_pair(task, reference)
    if kind == "reasoning_gym":
        fields = json.loads(reference) if isinstance(reference, str) else reference
        return Pair(task, reference, _tagged(fields["entry"]["answer"]), _tagged(WRONG))
    return Pair(task, reference, _boxed(str(grader.parse_reference(reference))), _boxed(WRONG))


def _countdown_pair(task: str, reference: Any) -> Pair:
    parsed = parse_countdown(reference)
    if len(parsed.numbers) > MOST_NUMBERS:
        reference, parsed = SOLVED_COUNTDOWN, parse_countdown(SOLVED_COUNTDOWN)
    right = solutions(CountdownProblem(parsed.numbers, parsed.target))
    if not right:
        raise ValueError(
            f"The {task} problem {reference} has no solution: every answer to it is wrong. Make the file again."
        )
    return Pair(task, reference, _tagged(right[0]), _tagged(f"{parsed.target} + 1"))


def _tagged(answer: Any) -> str:
    return f"<answer>{answer}</answer>"


def _boxed(answer: str) -> str:
    return f"The answer is \\boxed{{{answer}}}."


def graded(pair: Pair) -> Finding:
    """What the reward function says of both."""
    right, wrong = (
        asyncio.run(compute_score(pair.task, response, pair.reference)) for response in (pair.right, pair.wrong)
    )
    if (
        right["acc"] == 1.0
        and wrong["acc"] == 0.0
        and not any(wrong[reason] for reason in (Reason.GRADER_ERROR, Reason.TIMED_OUT))
    ):
        return ok(GRADING, f"{pair.task}: {pair.right} is right and {pair.wrong} is wrong")
    said = "; ".join(
        f"{response} is {_reason(reward)}" for response, reward in ((pair.right, right), (pair.wrong, wrong))
    )
    return fail(GRADING, f"{pair.task}: of the reference {pair.reference!r:.80}, {said}", REMEDY)


def _reason(reward: Mapping[str, Any]) -> str:
    reason = next(reason for reason in Reason if reward[reason])
    return f"{reason} ({reward['detail']})" if reward["detail"] else str(reason)


def workers() -> Finding:
    """Two pairs of formulas through a worker process of the pool that the graders share, whatever a file of decisions holds."""
    pool = shared_decisions().pool
    try:
        same, other = (pool.submit(FORMULA, answer) for answer in (SAME, OTHER))
        decisions = same.result(), other.result()
    except (WorkerError, TimedOutError) as error:
        return fail(WORKERS, str(error), REMEDY)
    text = ", ".join(
        f"{answer} is{'' if decision.is_same else ' not'} {FORMULA}"
        for answer, decision in zip((SAME, OTHER), decisions, strict=True)
    )
    if [decision.is_same for decision in decisions] == [True, False]:
        return ok(WORKERS, f"{pool.num_workers} of them: {text}")
    return fail(WORKERS, f"they say that {text}", REMEDY)
