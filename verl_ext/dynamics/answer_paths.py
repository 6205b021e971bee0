"""The true probabilities of the answers to one problem, over the checkpoints of training runs.

Which answers: those that the first and the last checkpoints give when they are sampled. Each is a text with its end, so that its
probability is exact; spellings of one expression are added up, as far as they were seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import torch

from verl_ext.dynamics.checkpoint_list import CheckpointRun
from verl_ext.dynamics.checkpoint_measures import spelling_of
from verl_ext.dynamics.policy import Policy, response_probabilities
from verl_ext.evaluation.problems import Problem
from verl_ext.grading import UNGRADED, grade
from verl_ext.plots.answer_bars import AnswerPath

_AT_ONCE = 256
"""Texts whose probabilities are computed together."""


@dataclass(frozen=True)
class SeenAnswer:
    """An answer and the texts that gave it."""

    answer: str
    texts: tuple[str, ...]
    is_right: bool


def seen_answers(
    problem: Problem, policies: Sequence[Policy], *, num_samples: int, max_tokens: int, seed: int
) -> list[SeenAnswer]:
    """All answers that the policies give to the problem.

    Raises:
        ValueError: The grader failed on one.
    """
    generator = torch.Generator().manual_seed(seed)
    texts: dict[str, None] = {}
    for policy in policies:
        responses = policy.sample(policy.prompt_ids(problem.prompt), num_samples, max_tokens, generator)
        ended = [text for text, is_cut in zip(responses.texts, responses.is_truncated, strict=True) if not is_cut]
        texts |= dict.fromkeys(ended)
    spelled = spelling_of(problem)
    found: dict[tuple[str, bool], list[str]] = {}
    for text in texts:
        verdict = grade(text, problem.reference, problem.task)
        if verdict.reason in UNGRADED:
            raise ValueError(f"The grader failed on {text!r}: {verdict.reason}.")
        found.setdefault((spelled(verdict.answer or text), verdict.is_correct), []).append(text)
    return [SeenAnswer(answer, tuple(spellings), is_right) for (answer, is_right), spellings in found.items()]


def answer_probabilities(policy: Policy, problem: Problem, answers: Sequence[SeenAnswer]) -> list[float]:
    """The probability of each answer: the sum over its texts."""
    prompt_ids = policy.prompt_ids(problem.prompt)
    texts = [text for answer in answers for text in answer.texts]
    values: list[float] = []
    for start in range(0, len(texts), _AT_ONCE):
        values += response_probabilities(policy, policy.encoded(prompt_ids, texts[start : start + _AT_ONCE]))
    rest = iter(values)
    return [fsum(next(rest) for _ in answer.texts) for answer in answers]


def answer_paths(
    runs: Sequence[CheckpointRun],
    problem: Problem,
    *,
    num_answers: int,
    num_samples: int = 512,
    max_tokens: int = 64,
    seed: int = 0,
) -> list[AnswerPath]:
    """For each run, the probabilities of the answers that are ever the most probable, right ones first.

    Args:
        runs: With the same first checkpoint, or none of them the same.
        problem: One that the graders know.
        num_answers: How many answers are told apart; the others are in no bar.
        num_samples: Drawn from the first and the last checkpoint of every run, to see which answers there are.
        max_tokens: Of an answer.
        seed: Of the samples.

    Raises:
        ValueError: No answer was right, or none wrong.
    """
    ends = {checkpoint.path: None for run in runs for checkpoint in (run.checkpoints[0], run.checkpoints[-1])}
    answers = seen_answers(
        problem, [Policy(path) for path in ends], num_samples=num_samples, max_tokens=max_tokens, seed=seed
    )
    if len({answer.is_right for answer in answers}) < 2:
        kind = "right" if answers and answers[0].is_right else "wrong"
        raise ValueError(f"All answers to problem {problem.question_id} are {kind}. Choose another one with --problem.")
    table = [[answer_probabilities(Policy(each.path), problem, answers) for each in run.checkpoints] for run in runs]
    highest = [max(row[index] for rows in table for row in rows) for index in range(len(answers))]
    kept = sorted(range(len(answers)), key=lambda index: -highest[index])[:num_answers]
    kept.sort(key=lambda index: (not answers[index].is_right, -table[0][0][index]))
    return [
        AnswerPath(
            name=run.name,
            answers=tuple(answers[index].answer for index in kept),
            is_right=tuple(answers[index].is_right for index in kept),
            steps=tuple(each.step for each in run.checkpoints),
            probabilities=tuple(tuple(row[index] for index in kept) for row in rows),
            right=tuple(fsum(row[at] for at, answer in enumerate(answers) if answer.is_right) for row in rows),
            num_right_in_use=tuple(
                effective_number([row[at] for at, answer in enumerate(answers) if answer.is_right]) for row in rows
            ),
        )
        for run, rows in zip(runs, table, strict=True)
    ]


def effective_number(weights: Sequence[float]) -> float:
    """e to the entropy of the weights' shares: how many equal ones would be as many; 0 where all are 0."""
    total = fsum(weights)
    shares = torch.tensor([weight / total for weight in weights if weight > 0.0], dtype=torch.float64)
    return float((-(shares * shares.log()).sum()).exp()) if total else 0.0
