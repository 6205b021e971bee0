"""Objectives that compare the responses to one prompt: a group, known by its prompt id.

With a right-or-wrong outcome a group has two kinds of responses, so its advantages follow from two counts: n samples, of
which c are correct. A formula of these two is exact in Python's integers and can be checked by enumeration.

Free of torch and verl, so that the launcher can refuse an option before anything loads.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from verl_ext.objectives.algorithm_options import AlgorithmOptions


class OutcomeAdvantages(NamedTuple):
    """What each correct and each incorrect response of a group gets."""

    correct: float
    incorrect: float


NOTHING_TO_LEARN = OutcomeAdvantages(0.0, 0.0)

GroupFormula = Callable[[int, int], OutcomeAdvantages]
"""(n samples, c correct) -> advantages."""


def num_in_group(is_counted: Sequence[bool], prompts: Sequence[Hashable]) -> list[int]:
    """For each response, how many responses to its prompt are counted, itself included if it is."""
    counts = Counter(prompt for prompt, counted in zip(prompts, is_counted, strict=True) if counted)
    return [counts[prompt] for prompt in prompts]


def last_of_session(keys: Sequence[str]) -> list[int]:
    """For each output, the position of the last output of its session, itself where an agent loop gives only one.

    Args:
        keys: verl's keys, ``{prompt id}_{session}_{output}``: a session is one of a prompt's samples, and its outputs,
            of an agent with several turns or branches, share its reward.
    """
    last: dict[str, tuple[int, int]] = {}
    sessions = []
    for position, key in enumerate(keys):
        session, _, output = key.rpartition("_")
        sessions.append(session)
        last[session] = max(last.get(session, (-1, -1)), (int(output), position))
    return [last[session][1] for session in sessions]


def group_advantages(
    is_correct: Sequence[bool], prompts: Sequence[Hashable], is_trained: Sequence[bool], formula: GroupFormula
) -> list[float]:
    """Each response's advantage among the responses to its prompt.

    Args:
        is_correct: Outcome of each response.
        prompts: Prompt id of each response, in any order.
        is_trained: Whether a response has a token to learn from. One that has none still counts in its group, but a
            group of nothing else gets 0 and is not held to the formula's conditions: verl's padding rows make one.
        formula: Advantages for n samples, of which c are correct.

    Raises:
        ValueError: The formula refuses a group.
    """
    num_samples = num_in_group([True] * len(prompts), prompts)
    num_correct = num_in_group(is_correct, prompts)
    num_trained = num_in_group(is_trained, prompts)
    advantages = []
    for correct, n, c, trained in zip(is_correct, num_samples, num_correct, num_trained, strict=True):
        of_group = formula(n, c) if trained else NOTHING_TO_LEARN
        advantages.append(of_group.correct if correct else of_group.incorrect)
    return advantages


def pass_at_k_of(options: AlgorithmOptions) -> int:
    """k of an objective that trains pass@k; raises ValueError when ``algorithm.pass_at_k`` is null."""
    if options.pass_at_k is None:
        raise ValueError(
            f"algorithm.adv_estimator={options.adv_estimator} needs algorithm.pass_at_k, the k of the pass@k that it "
            "trains: set it to a whole number from 1 to actor_rollout_ref.rollout.n."
        )
    return options.pass_at_k


def check_group_size(name: str, num_samples: int, num_correct: int, k: int) -> None:
    """Refuse a group that pass@k cannot be estimated from."""
    assert 0 <= num_correct <= num_samples
    if not 1 <= k <= num_samples:
        raise ValueError(
            f"{name} with algorithm.pass_at_k={k} needs at least {k} responses to each prompt, got {num_samples}. Raise "
            "actor_rollout_ref.rollout.n or lower algorithm.pass_at_k. A prompt whose samples failed in the rollout has "
            "fewer than rollout.n; trainer.v1.trainer_mode=sign_filter_sync leaves it out."
        )
