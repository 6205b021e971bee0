"""A model folder in plain torch, and the probabilities that it gives to text.

Shapes: V = tokens of the vocabulary, B = responses, T = response tokens, right-padded.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from verl_ext.evaluation.checkpoint import find_model, merge


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

    def prompt_ids(self, question: str, start: str = "") -> list[int]:
        """The tokens of one user message in the model's own chat template, and of how the answer begins."""
        message = [{"role": "user", "content": question}]
        text = self.tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self.tokenizer(text + start, add_special_tokens=False)["input_ids"]
        return ids

    @torch.inference_mode()
    def next_token(self, prompt_ids: list[int]) -> torch.Tensor:
        """(V,) float64 the probability of each token behind the prompt."""
        logits_V: torch.Tensor = self.model(input_ids=torch.tensor([prompt_ids]), logits_to_keep=1).logits[0, -1]
        return logits_V.double().softmax(dim=-1)
