"""The families of models that the paper trained (arXiv:2506.01347): a row says all that we know of one.

A row and the file of its preset (``training/config/preset``) are what its recipes, prompts, evaluation and tables need.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SYSTEM = "You are a helpful assistant."
_QWEN_TURN = (
    f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n<|im_start|>user\n",
    "<|im_end|>\n<|im_start|>assistant\n",
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the paper did with one family of models."""

    name: str
    """As people write it."""
    preset: str
    """``preset=`` of the model that it trained, and how the names of its recipes begin."""
    hub_id: str
    """That model."""
    spelling: re.Pattern[str]
    """Found in those names of models, in lower case, that belong to the family."""
    model_type: str
    """Of a model's configuration: a checkpoint may have any name."""
    template: str
    """The name of the raw prompt template."""
    prompt: tuple[str, str]
    """What stands before the question, and what follows it and the instruction."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """How evaluation draws answers, where that differs from ``verl_ext.evaluation.sampling_settings.Sampling``."""
    chat_options: Mapping[str, Any] = field(default_factory=dict)
    """Given to the model's own chat template, where that is used."""
    in_other_prompts: str = ""
    """A sentence about what the model does in prompts of another template."""


FAMILIES = (
    Family(
        name="Qwen2.5",
        preset="qwen2.5-math-7b",
        hub_id="Qwen/Qwen2.5-Math-7B",
        # A name with both is a Qwen3
        spelling=re.compile(r"^(?!.*qwen-?_?3(?![.\d])).*qwen-?_?(1\.5|2(\.5)?)(?!\d)"),
        model_type="qwen2",
        template="qwen",
        prompt=_QWEN_TURN,
    ),
    Family(
        name="Qwen3",
        preset="qwen3-4b",
        hub_id="Qwen/Qwen3-4B",
        # Qwen3.5 and later think in another way than Qwen3 does.
        spelling=re.compile(r"qwen-?_?3(?![.\d])"),
        model_type="qwen3",
        template="qwen3_no_thinking",
        # One newline after </think>, as the paper trained and evaluated; Qwen3's own chat template has two.
        prompt=(_QWEN_TURN[0], _QWEN_TURN[1] + "<think>\n\n</think>\n"),
        sampling={"num_samples": 64, "temperature": 0.7, "top_p": 0.8, "top_k": 20},
        chat_options={"enable_thinking": False},
        in_other_prompts="Qwen3 would think in these.",
    ),
    Family(
        name="Llama-3.1",
        preset="llama3.1-8b",
        hub_id="meta-llama/Llama-3.1-8B-Instruct",
        spelling=re.compile(r"llama-?_?3(?!\d)"),
        model_type="llama",
        template="llama",
        prompt=(
            f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{_SYSTEM}<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\n",
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
    ),
)


def named_in(model_name: str) -> Family | None:
    """The family that a hub id or a path names: its last part that names one decides. None where it names none."""
    for part in reversed(model_name.lower().split("/")):
        # Named after the model they were distilled into, with DeepSeek's chat template.
        if "deepseek" in part:
            return None
        for family in FAMILIES:
            if family.spelling.search(part):
                return family
    return None


def with_template(template: str) -> Family | None:
    """The family whose prompt template this is."""
    return next((family for family in FAMILIES if family.template == template), None)


def with_preset(preset: str) -> Family:
    """The family whose model a preset is for.

    Raises:
        ValueError: There is none; says which presets there are.
    """
    for family in FAMILIES:
        if family.preset == preset:
            return family
    raise ValueError(f"There is no model {preset!r}. There are {', '.join(family.preset for family in FAMILIES)}.")


if __name__ == "__main__":  # for recipes/common.sh
    try:
        chosen = with_preset(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
    print(chosen.hub_id, chosen.template)
