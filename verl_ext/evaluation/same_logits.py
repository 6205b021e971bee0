"""Whether the model that was written computes what the weights it came from compute: logits of both on random tokens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_ext.cpu.precision import stored_dtype
from verl_ext.evaluation.shards import LORA_FACTS, PEFT_PREFIX
from verl_ext.host.files import read_object

NUM_PROMPTS, PROMPT_TOKENS, SEED = 4, 32, 0
"""The check's prompts: random tokens, which reach more of the embedding than a text does."""
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.01}
"""Largest difference of two logits, as a share of the largest logit, by the precision in which the merged weights are kept.

The sum W + alpha / r * B @ A is rounded to it once. SmolLM2-135M with adapters on all linear layers: 8e-6 and 0.014.
"""


def logit_difference(before: Any, merged: Path) -> float:
    """The largest difference of two logits of the model ``before`` and of the one in ``merged``, as a share of the largest.

    Raises:
        ValueError: It is beyond the tolerance.
    """
    import torch
    from transformers import AutoModelForCausalLM

    precision = stored_dtype(merged) or "float32"
    after = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32, attn_implementation="sdpa")
    generator = torch.Generator().manual_seed(SEED)
    tokens = torch.randint(after.config.get_text_config().vocab_size, (NUM_PROMPTS, PROMPT_TOKENS), generator=generator)
    with torch.no_grad():
        logits, others = before.eval()(input_ids=tokens).logits, after.eval()(input_ids=tokens).logits
    difference = float((logits - others).abs().max() / logits.abs().max())
    tolerance = TOLERANCE[precision]
    if not difference <= tolerance:
        raise ValueError(
            f"The merged model's logits differ from those of the model that was trained by {difference:.2g} of the largest, "
            f"more than {tolerance} in {precision}. Nothing is put in place; what was trained stays as it is."
        )
    return difference


def trained_model(actor: Path, state: Mapping[str, Any], merged: Path) -> Any:
    """The model of ``merged``'s architecture with the weights of ``state``, its adapter beside them and not in them.

    Args:
        actor: The folder of the shards, which says how large the adapter is.
        state: ``joined_state(actor)``.
        merged: What was made of it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(merged, attn_implementation="sdpa")
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    stems = {name.partition(".lora_")[0].removeprefix(PEFT_PREFIX) for name in state if ".lora_" in name}
    if stems:
        from peft import LoraConfig, get_peft_model

        facts = read_object(actor / LORA_FACTS)
        lora = LoraConfig(r=facts["r"], lora_alpha=facts["lora_alpha"], target_modules=sorted(stems))
        model = get_peft_model(model, lora)
    # Tied embeddings are one tensor, under either name.
    missing, unexpected = model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)
    missing = [name for name in missing if not name.endswith("lm_head.weight")]
    if missing or unexpected:
        raise ValueError(f"The checkpoint's tensors are not the model's: {[*missing, *unexpected][:3]}.")
    return model
