"""Words for a precision: those that verl's learner takes, those that vLLM takes, and which of them mean the same."""

from typing import Any

AUTO = "auto"
PRECISIONS = ("float32", "bfloat16")
"""What ``precision`` may be beside auto; on a CPU learner and engine follow it."""
OF_LEARNER = {
    **dict.fromkeys(("bf16", "bfloat16"), "bfloat16"),
    **dict.fromkeys(("fp16", "float16", "16"), "float16"),
    **dict.fromkeys(("fp32", "float32", "32"), "float32"),
}
"""What verl's PrecisionType knows, by its name in torch."""
OF_ENGINE = {
    **{"auto": "auto", "half": "float16", "float": "float32"},
    **{name: name for name in ("float16", "bfloat16", "float32")},
}
"""The same of vLLM's ModelDType; auto is what the model's config.json says."""


def precision_of(word: Any) -> str:
    """The precision that a word of either means, by its name in torch; the word itself where it is none of theirs."""
    return (OF_ENGINE | OF_LEARNER).get(str(word), str(word))
