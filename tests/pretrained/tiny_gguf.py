"""A llama of two layers in a ``.gguf`` file, written with llama.cpp's own package."""

from pathlib import Path

import gguf
import numpy as np

HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, LAYERS, CONTEXT = 64, 96, 4, 2, 2, 128
SPECIAL = ("<|unknown|>", "<|begin|>", "<|end|>")
CHAT_TEMPLATE = "{% for message in messages %}<|begin|>{{ message['content'] }}<|end|>{% endfor %}"
MERGES = ("Ġ Ġ", "1 2")
"""With a piece of two digits, which a tokenizer that takes each digit alone never uses."""


def tokens() -> list[str]:
    """Special tokens, a token for each byte as byte-level BPE writes it, and the merged ones."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [*SPECIAL, *bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES)]


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """Name in the file -> float32 weights."""
    rng = np.random.default_rng(seed)
    head = HIDDEN // HEADS
    shapes = {"token_embd.weight": (len(tokens()), HIDDEN), "output_norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        shapes |= {
            f"{block}.attn_norm.weight": (HIDDEN,),
            f"{block}.ffn_norm.weight": (HIDDEN,),
            f"{block}.attn_q.weight": (HIDDEN, HIDDEN),
            f"{block}.attn_k.weight": (head * KV_HEADS, HIDDEN),
            f"{block}.attn_v.weight": (head * KV_HEADS, HIDDEN),
            f"{block}.attn_output.weight": (HIDDEN, HIDDEN),
            f"{block}.ffn_gate.weight": (INTERMEDIATE, HIDDEN),
            f"{block}.ffn_up.weight": (INTERMEDIATE, HIDDEN),
            f"{block}.ffn_down.weight": (HIDDEN, INTERMEDIATE),
        }
    return {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def write(
    path: Path,
    *,
    architecture: str = "llama",
    pre: str = "smollm",
    chat_template: str | None = CHAT_TEMPLATE,
    without: tuple[str, ...] = (),
    is_quantized: bool = False,
    num_parts: int = 1,
    feed_forward: int = INTERMEDIATE,
    merges: tuple[str, ...] = MERGES,
    seed: int = 0,
) -> Path:
    """``feed_forward`` is what the metadata say; the tensors are of INTERMEDIATE, and the tokens of MERGES."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(tokens()))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens())
    writer.add_token_types(
        [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (len(tokens()) - len(SPECIAL))
    )
    writer.add_token_merges(list(merges))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    if num_parts > 1:
        writer.add_uint16("split.count", num_parts)
    for name, weights in tensors(seed).items():
        if name in without:
            continue
        if is_quantized and weights.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(name, gguf.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
