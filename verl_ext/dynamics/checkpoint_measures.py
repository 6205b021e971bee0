"""What is measured of one checkpoint, on problems that training did not see.

Shapes as in ``verl_ext.dynamics.policy``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import torch

from verl_ext.dynamics.policy import Policy, Responses, response_logits
from verl_ext.dynamics.sign_gradients import sign_gradients
from verl_ext.evaluation.problems import Problem
from verl_ext.grading import UNGRADED, grade
from verl_ext.grading.arithmetic import canonical_answer
from verl_ext.learner.token_statistics import token_entropy
from verl_ext.tasks.countdown import COUNTDOWN

LogitsOf = Callable[[Responses], torch.Tensor]
"""(B, T, V) the logits of the tokens of responses."""


@dataclass(frozen=True)
class Asked:
    """The answers of a policy to each problem, graded."""

    batch: list[Responses]
    is_correct: list[list[bool]]
    answers: list[list[str]]
    """What the grader found, equal spellings of an expression made one; nothing for a response without an answer."""


@dataclass(frozen=True)
class CheckpointMeasures:
    """Of one checkpoint."""

    step: int
    correct_ratio: float
    """Share of the sampled answers."""
    entropy: float
    """Nats, the mean over the tokens of the policy's own responses."""
    distinct: float
    """Different answers to a problem among its samples, the mean over problems."""
    moved: float
    """Share of the next token's probability that is elsewhere than in the first checkpoint (total variation), the mean over
    the tokens of the first checkpoint's responses."""
    psr_norm: float
    nsr_norm: float
    cosine: float
    response_length: float
    """Tokens, the end included."""

    def as_values(self) -> Mapping[str, float]:
        return {name: value for name, value in asdict(self).items() if name != "step"}


def spelling_of(problem: Problem) -> Callable[[str], str]:
    """What makes equal answers to the problem the same text."""
    return canonical_answer if problem.task == COUNTDOWN.data_source else str


def ask(policy: Policy, problems: Sequence[Problem], *, num_samples: int, max_tokens: int, seed: int) -> Asked:
    """Sample and grade; a model asked twice with one seed answers alike.

    Raises:
        ValueError: The grader failed on an answer, which is neither right nor wrong then.
    """
    generator = torch.Generator().manual_seed(seed)
    batch, outcomes, found = [], [], []
    for problem in problems:
        responses = policy.sample(policy.prompt_ids(problem.prompt), num_samples, max_tokens, generator)
        verdicts = [
            grade(text, problem.reference, problem.task, is_truncated=is_truncated)
            for text, is_truncated in zip(responses.texts, responses.is_truncated, strict=True)
        ]
        if broken := [verdict for verdict in verdicts if verdict.reason in UNGRADED]:
            raise ValueError(f"The grader failed on an answer to problem {problem.question_id}: {broken[0].reason}.")
        spelled = spelling_of(problem)
        batch.append(responses)
        outcomes.append([verdict.is_correct for verdict in verdicts])
        found.append([spelled(verdict.answer) for verdict in verdicts if verdict.answer is not None])
    return Asked(batch, outcomes, found)


def measure(policy: Policy, step: int, own: Asked, first: Asked, first_logits: LogitsOf) -> CheckpointMeasures:
    """Measure a policy.

    Args:
        policy: The checkpoint.
        step: Its number.
        own: Its answers.
        first: Those of the first checkpoint to the same problems.
        first_logits: The first checkpoint's logits of its responses.
    """
    logits = logits_of(policy)
    gradients = sign_gradients(policy.model, own.batch, own.is_correct)
    outcomes = [correct for group in own.is_correct for correct in group]
    lengths = torch.cat([responses.mask_BT.sum(dim=1) for responses in own.batch])
    return CheckpointMeasures(
        step=step,
        correct_ratio=sum(outcomes) / len(outcomes),
        entropy=_mean_over_tokens(own.batch, lambda responses: token_entropy(logits(responses))),
        distinct=sum(len(set(answers)) for answers in own.answers) / len(own.answers),
        moved=_mean_over_tokens(
            first.batch, lambda responses: _total_variation(logits(responses), first_logits(responses))
        ),
        psr_norm=gradients.psr_norm,
        nsr_norm=gradients.nsr_norm,
        cosine=gradients.cosine,
        response_length=float(lengths.double().mean()),
    )


def logits_of(policy: Policy) -> LogitsOf:
    """A policy's (B, T, V) logits of responses, without a gradient."""
    return partial(_logits_without_gradient, policy)


@torch.inference_mode()
def _logits_without_gradient(policy: Policy, responses: Responses) -> torch.Tensor:
    return response_logits(policy.model, responses.prompt_ids, responses.token_BT)


def _total_variation(logits_BTV: torch.Tensor, other_BTV: torch.Tensor) -> torch.Tensor:
    return (logits_BTV.softmax(dim=-1) - other_BTV.softmax(dim=-1)).abs().sum(dim=-1) / 2


def _mean_over_tokens(batch: Sequence[Responses], values_of: Callable[[Responses], torch.Tensor]) -> float:
    """The mean over the generated tokens of all responses; ``values_of`` gives (B, T)."""
    total, num_tokens = 0.0, 0
    for responses in batch:
        total += float(values_of(responses)[responses.mask_BT].double().sum())
        num_tokens += int(responses.mask_BT.sum())
    return total / num_tokens
