"""Which models' logits are a product of hidden states and one matrix, so that they can be computed in chunks.

Free of torch and verl: the launcher asks it of a model's ``config.json``.
"""

from collections.abc import Mapping
from typing import Any

PLAIN_HEADS = (
    *("llama", "mistral", "mixtral", "olmo2", "olmo3", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"),
    *("smollm3", "starcoder2"),
)
"""Families whose forward pass in transformers is hidden states, a linear layer without bias, and nothing behind it."""

CHANGES_LOGITS = {
    "final_logit_softcapping": "caps its logits",
    "logits_scaling": "divides its logits",
    "logit_scale": "multiplies its logits",
    "lm_head_multiplier": "multiplies its logits",
    "mup_width_multiplier": "scales its logits",
}
"""Keys of a configuration by which other families change their logits behind the matrix."""


def reason_for_whole_logits(model_config: Mapping[str, Any]) -> str | None:
    """Why the logits of a model with this configuration have to be computed whole: a clause; None where they need not."""
    family = model_config.get("model_type")
    for key, what in CHANGES_LOGITS.items():
        if model_config.get(key) not in (None, 1, 1.0):
            return f"{family} {what} ({key}={model_config[key]})"
    if family not in PLAIN_HEADS:
        return f"{family} is not a family whose logits are known to be a plain product ({', '.join(PLAIN_HEADS)})"
    if "auto_map" in model_config:
        return "the model brings code of its own (auto_map in its config.json)"
    return None
