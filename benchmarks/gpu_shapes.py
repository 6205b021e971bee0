"""Random weights in the shape of a real model, with a tokenizer of as many tokens, made without a network."""

from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-1.5b": {
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "intermediate_size": 8960,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "qwen2.5-math-7b": {
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "smollm2-135m": {
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 128,
        "vocab_size": 1024,
        "tie_word_embeddings": True,
    },
}
MAX_LENGTH = 4096


def write_model(folder: Path, shape: str, *, layers: int | None = None, device: str = "cpu") -> int:
    """Write a Qwen2 with random bfloat16 weights into ``folder``; returns its number of parameters.

    ``layers`` replaces the shape's number of layers, for a GPU that does not hold them all.
    """
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    from verl_ext.small_model.tokenizer import CHAT_TEMPLATE, END_OF_TEXT, MESSAGE_END, MESSAGE_START

    sizes = SHAPES[shape] | ({"num_hidden_layers": layers} if layers else {})
    special = [END_OF_TEXT, MESSAGE_START, MESSAGE_END]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fillers = [f"<{index}>" for index in range(sizes["vocab_size"] - len(alphabet) - len(special))]
    tokenizer = Tokenizer(BPE(vocab={token: i for i, token in enumerate([*alphabet, *fillers])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=MESSAGE_END, pad_token=END_OF_TEXT, chat_template=CHAT_TEMPLATE
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        **sizes, max_position_embeddings=MAX_LENGTH, eos_token_id=fast.eos_token_id, pad_token_id=fast.pad_token_id
    )
    with torch.device(device):
        model = Qwen2ForCausalLM(config).bfloat16()
    model.save_pretrained(folder)
    return int(sum(parameter.numel() for parameter in model.parameters()))
