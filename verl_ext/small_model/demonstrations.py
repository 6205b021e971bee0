"""What the small model is taught: Countdown problems of the training split, answered rightly or wrongly.

Shapes: D = demonstrations, T = tokens of the longest one (prompt and answer), right-padded.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import torch
from transformers import PreTrainedTokenizerFast

from verl_ext.grading.arithmetic import PRECEDENCE, parse
from verl_ext.tasks.countdown import CountdownProblem, all_expressions, short_prompt

IGNORED = -100
"""Label of a token that is not predicted; torch's cross entropy skips it."""

ATOM = max(PRECEDENCE.values()) + 1
"""Precedence of a number: it never needs parentheses."""


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A problem and an answer that uses its numbers, each once, whether or not it reaches the target."""

    problem: CountdownProblem
    answer: str
    is_correct: bool


@cache
def _right_and_wrong(problem: CountdownProblem) -> tuple[list[str], list[str]]:
    right: list[str] = []
    wrong: list[str] = []
    for expression, value in _expressions(problem.nums):
        (right if value == problem.target else wrong).append(expression)
    return right, wrong


@cache
def _expressions(nums: tuple[int, ...]) -> list[tuple[str, Fraction]]:
    return list(all_expressions(nums))


@cache
def spellings(expression: str) -> list[str]:
    """Spell a canonical expression with the two operands of each + and * in either order, without needless parentheses.

    A canonical text names the smaller number first, so a model that has learned only those must foresee the whole
    expression at its first token. Among other orders it can compute as it goes, and solves more unseen problems.
    """
    stack: list[list[tuple[str, int]]] = []  # of each finished operand: its spellings with their precedence
    for token in parse(expression):
        if isinstance(token, int):
            stack.append([(str(token), ATOM)])
            continue
        right, left = stack.pop(), stack.pop()
        orders = [(left, right), (right, left)] if token in "+*" else [(left, right)]
        stack.append(
            [(_join(token, a, b), PRECEDENCE[token]) for first, second in orders for a in first for b in second]
        )
    return sorted({text for text, _ in stack.pop()})


def _join(symbol: str, left: tuple[str, int], right: tuple[str, int]) -> str:
    precedence = PRECEDENCE[symbol]
    left_text = left[0] if left[1] >= precedence else f"({left[0]})"
    right_text = right[0] if right[1] >= precedence + (symbol in "-/") else f"({right[0]})"
    return left_text + symbol + right_text


def draw_demonstrations(
    problems: Sequence[CountdownProblem], num_demonstrations: int, *, wrong_share: float, seed: int
) -> list[Demonstration]:
    """Draw problems with replacement and answer each with an expression of all its numbers.

    Args:
        problems: Problems to draw from.
        num_demonstrations: Demonstrations to draw.
        wrong_share: Probability of a wrong answer, in [0, 1]. An answer is uniform over the expressions that reach the
            target, or over those that do not, and then spelled at random: the model is to learn every way.
        seed: Same seed, same demonstrations.
    """
    if not 0 <= wrong_share <= 1:
        raise ValueError(f"wrong_share must be in [0, 1], got {wrong_share}.")
    rng = random.Random(seed)
    demonstrations = []
    for problem in rng.choices(problems, k=num_demonstrations):
        right, wrong = _right_and_wrong(problem)
        is_correct = rng.random() >= wrong_share
        answer = rng.choice(spellings(rng.choice(right if is_correct else wrong)))
        demonstrations.append(Demonstration(problem=problem, answer=answer, is_correct=is_correct))
    return demonstrations


def prompt_text(problem: CountdownProblem, tokenizer: PreTrainedTokenizerFast) -> str:
    """Render the problem as verl's rollout will: one user message, then the start of the assistant's."""
    messages = [{"role": "user", "content": short_prompt(problem)}]
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def tokenize(
    demonstrations: Sequence[Demonstration], tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn demonstrations into a prompt, an answer and the end-of-message token.

    Returns:
        ``token_DT`` and ``label_DT``, (D, T) int64: the tokens, and for each the token that follows it, ``IGNORED``
        unless that token is part of the answer or its end.
    """
    # Each text is tokenized once: there are far fewer of them than demonstrations.
    problems = list(dict.fromkeys(demonstration.problem for demonstration in demonstrations))
    answers = list(dict.fromkeys(demonstration.answer for demonstration in demonstrations))
    prompts = [prompt_text(problem, tokenizer) for problem in problems]
    ends = [answer + tokenizer.eos_token for answer in answers]
    prompt_ids = dict(zip(problems, tokenizer(prompts)["input_ids"], strict=True))
    answer_ids = dict(zip(answers, tokenizer(ends)["input_ids"], strict=True))

    rows = [prompt_ids[one.problem] + answer_ids[one.answer] for one in demonstrations]
    num_tokens_D = torch.tensor([len(row) for row in rows])
    num_prompt_tokens_D = torch.tensor([len(prompt_ids[one.problem]) for one in demonstrations])
    length = int(num_tokens_D.max())
    token_DT = torch.tensor([row + [tokenizer.pad_token_id] * (length - len(row)) for row in rows])

    next_T = torch.arange(length) + 1
    is_answer_DT = (next_T >= num_prompt_tokens_D.unsqueeze(-1)) & (next_T < num_tokens_D.unsqueeze(-1))
    return token_DT, token_DT.roll(-1, dims=1).where(is_answer_DT, IGNORED)
