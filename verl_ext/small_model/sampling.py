"""Many responses to many prompts in plain torch: a prompt is read once, and its cache serves all its responses.

Shapes: P = prompts, L = prompt tokens, N = samples per prompt, R = P * N responses, T = response tokens, V = tokens
of the vocabulary.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from tqdm import tqdm
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast, Qwen2ForCausalLM

MAX_ROWS = 4096
"""Responses sampled at a time, which bounds the memory."""


class Response(NamedTuple):
    text: str
    """Without the end-of-message token."""
    is_truncated: bool


def sample_responses(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    *,
    num_samples: int,
    max_new_tokens: int,
    seed: int,
) -> list[list[Response]]:
    """Sample ``num_samples`` responses to each prompt at temperature 1, from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    prompt_ids = tokenizer(list(prompts))["input_ids"]
    # Prompts of one length share a batch, so that nothing needs padding on the left.
    by_length: dict[int, list[int]] = {}
    for prompt, ids in enumerate(prompt_ids):
        by_length.setdefault(len(ids), []).append(prompt)
    size = max(1, MAX_ROWS // num_samples)
    chunks = [same[start : start + size] for same in by_length.values() for start in range(0, len(same), size)]
    responses: list[list[Response]] = [[] for _ in prompts]
    for chunk in tqdm(chunks, desc="sample", unit="batch"):
        token_RT = sample_tokens(
            model,
            torch.tensor([prompt_ids[prompt] for prompt in chunk]),
            num_samples,
            max_new_tokens,
            end=tokenizer.eos_token_id,
            pad=tokenizer.pad_token_id,
            generator=generator,
        )
        texts = tokenizer.batch_decode(token_RT, skip_special_tokens=True)
        is_truncated_R = (token_RT != tokenizer.eos_token_id).all(dim=-1).tolist()
        for row, (text, is_truncated) in enumerate(zip(texts, is_truncated_R, strict=True)):
            responses[chunk[row // num_samples]].append(Response(text, is_truncated))
    return responses


@torch.inference_mode()
def sample_tokens(
    model: PreTrainedModel,
    prompt_PL: torch.Tensor,
    num_samples: int,
    max_new_tokens: int,
    *,
    end: int,
    pad: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Sample ``num_samples`` responses to each of P prompts of one length at temperature 1.

    Returns:
        (R, T) tokens, those of a prompt in a row; ``pad`` after ``end``.
    """
    cache = DynamicCache(config=model.config)
    logits_PV = model(input_ids=prompt_PL, past_key_values=cache, logits_to_keep=1).logits[:, -1]
    cache.batch_repeat_interleave(num_samples)
    logits_RV = logits_PV.repeat_interleave(num_samples, dim=0)
    is_done_R = torch.zeros(len(logits_RV), dtype=torch.bool)
    tokens = []
    for _ in range(max_new_tokens):
        token_R = torch.multinomial(logits_RV.softmax(dim=-1), 1, generator=generator).squeeze(-1)
        tokens.append(token_R.masked_fill(is_done_R, pad))
        is_done_R |= token_R == end
        if is_done_R.all():
            break
        logits_RV = model(input_ids=tokens[-1].unsqueeze(-1), past_key_values=cache).logits[:, -1]
    return torch.stack(tokens, dim=-1)
