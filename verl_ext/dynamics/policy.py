"""A model folder in plain torch, and the probabilities that it gives to text.

Shapes: L = prompt tokens, B = responses to one prompt, T = response tokens, right-padded, V = tokens of the vocabulary.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from verl_ext.evaluation.model_path import find_model, merge
from verl_ext.learner.token_statistics import token_log_probs
from verl_ext.small_model.sampling import sample_tokens


class Responses(NamedTuple):
    """Responses to one prompt."""

    prompt_ids: list[int]
    token_BT: torch.Tensor
    mask_BT: torch.Tensor
    """True on generated tokens, the end included."""
    texts: list[str]
    is_truncated: list[bool]
    """The limit came before the end."""


class Policy:
    """A model in float32 on the CPU, and its tokenizer.

    Args:
        path: What ``eval.py`` takes: a model folder, a run's output, a step of it, or an adapter.

    Raises:
        ValueError: There is no model.
    """

    def __init__(self, path: str | Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        found = find_model(str(path))
        if found.to_merge is not None:
            merge(found, sys.stderr)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(found.folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(found.folder, dtype=torch.float32)
        self.model.eval()

    def prompt_ids(self, prompt: str | Sequence[Mapping[str, str]], start: str = "") -> list[int]:
        """The tokens of a prompt as it is, or of messages in the model's own chat template, and of an answer's beginning."""
        if isinstance(prompt, str):
            text = prompt
        else:
            messages = [dict(message) for message in prompt]
            text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self.tokenizer(text + start, add_special_tokens=False)["input_ids"]
        return ids

    @torch.inference_mode()
    def next_token(self, prompt_ids: list[int]) -> torch.Tensor:
        """(V,) float64 the probability of each token behind the prompt."""
        logits_V: torch.Tensor = self.model(input_ids=torch.tensor([prompt_ids]), logits_to_keep=1).logits[0, -1]
        return logits_V.double().softmax(dim=-1)

    def sample(
        self, prompt_ids: list[int], num_samples: int, max_new_tokens: int, generator: torch.Generator
    ) -> Responses:
        """Responses at temperature 1."""
        end = int(self.tokenizer.eos_token_id)
        token_BT = sample_tokens(
            self.model,
            torch.tensor([prompt_ids]),
            num_samples,
            max_new_tokens,
            end=end,
            pad=end,
            generator=generator,
        ).clone()  # what inference mode made cannot take part in a gradient
        ended_BT = (token_BT == end).cumsum(dim=-1)
        mask_BT = ended_BT - (token_BT == end).long() == 0
        texts = self.tokenizer.batch_decode(
            [row[mask].tolist() for row, mask in zip(token_BT, mask_BT, strict=True)], skip_special_tokens=True
        )
        return Responses(prompt_ids, token_BT, mask_BT, texts, (ended_BT[:, -1] == 0).tolist())

    def encoded(self, prompt_ids: list[int], texts: Sequence[str]) -> Responses:
        """Texts as whole responses to the prompt: each with the end behind it."""
        end = int(self.tokenizer.eos_token_id)
        rows = [[*self.tokenizer(text, add_special_tokens=False)["input_ids"], end] for text in texts]
        longest = max(map(len, rows))
        token_BT = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
        mask_BT = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows])
        return Responses(prompt_ids, token_BT, mask_BT, list(texts), [False] * len(rows))


def response_logits(model: Any, prompt_ids: Sequence[int], token_BT: torch.Tensor) -> torch.Tensor:
    """(B, T, V) the logits that each response token was drawn from. A row does not depend on the others."""
    prompt_BL = torch.tensor([list(prompt_ids)]).expand(len(token_BT), -1)
    num_tokens = token_BT.shape[1]
    logits: torch.Tensor = model(
        input_ids=torch.cat([prompt_BL, token_BT], dim=1), logits_to_keep=num_tokens + 1
    ).logits[:, :-1]
    return logits


@torch.inference_mode()
def response_probabilities(policy: Policy, responses: Responses) -> list[float]:
    """The probability of each response as a whole, its end included."""
    logits_BTV = response_logits(policy.model, responses.prompt_ids, responses.token_BT)
    log_prob_BT = token_log_probs(logits_BTV, responses.token_BT) * responses.mask_BT
    probabilities: list[float] = log_prob_BT.double().sum(dim=-1).exp().tolist()
    return probabilities
