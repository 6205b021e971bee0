"""The reward function of verl.

    reward.custom_reward_function.path=pkg://verl_ext.rewards.reward

It is a coroutine, which verl awaits on the event loop of its reward worker (a plain function it would run in a thread):
an answer that needs the symbolic tier waits for a worker process there, and the loop goes on with other responses.
"""

import logging
from typing import Any

from verl_ext.grading import Reason, Verdict, grade_async
from verl_ext.grading.entrance import grader_error

logger = logging.getLogger(__name__)

Reward = dict[str, float | str]


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any] | None = None,
    **_unused: Any,
) -> Reward:
    """Grade one response.

    Args:
        data_source: The row's task.
        solution_str: The response without prompt and special tokens.
        ground_truth: The row's ``reward_model.ground_truth``.
        extra_info: The row's ``extra_info``; ``is_truncated`` in it is set by ``verl_ext.rewards.manager``.

    Returns:
        ``score`` and ``acc``, 1.0 for a correct response, else 0.0; for every reason a key of its name with 1.0 or 0.0,
        so that means are ratios; and the strings ``answer``, ``detail``, ``tier`` and ``rule``, which verl's metrics leave
        out. The keys are always the same, which verl relies on.

        A response that could not be graded, be it for an unknown data source, a broken ground truth or a fault in the
        grader, has ``grader_error`` 1.0. Its score of 0.0 means nothing: the trainer must drop it.
    """
    try:
        is_truncated = bool((extra_info or {}).get("is_truncated", False))
        verdict = await grade_async(solution_str, ground_truth, data_source, is_truncated=is_truncated)
    except Exception as error:  # raised here, it would fail the whole group in verl, and nobody would count it
        logger.exception("A response of %r could not be graded.", data_source)
        verdict = grader_error(error)
    return _as_reward(verdict)


def _as_reward(verdict: Verdict) -> Reward:
    score = float(verdict.is_correct)
    reasons = {reason.value: float(reason is verdict.reason) for reason in Reason}
    return {"score": score, "acc": score, **reasons, **_texts(verdict)}


def _texts(verdict: Verdict) -> dict[str, str]:
    return {
        "answer": verdict.answer or "",
        "detail": verdict.detail,
        "tier": verdict.tier.value,
        "rule": verdict.rule,
    }
