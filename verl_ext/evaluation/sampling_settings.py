"""How answers are drawn, and what the paper used for each family of models (arXiv:2506.01347)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from verl_ext.families import FAMILIES, named_in

CHAT = "chat"
"""The template that stands for the tokenizer's own chat template."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are drawn; the defaults are the paper's for Qwen2.5 and Llama."""

    num_samples: int = 256
    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = -1
    """-1 keeps all tokens."""
    max_tokens: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_samples", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"--temperature must be 0 or more, got {self.temperature}.")
        if self.temperature == 0 and self.num_samples > 1:
            raise ValueError(
                f"--temperature 0 would give the same answer {self.num_samples} times: set --num_samples 1."
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"--top_p must be above 0 and at most 1, got {self.top_p}.")
        if self.top_k < -1 or self.top_k == 0:
            raise ValueError(f"--top_k must be at least 1, or -1 for all tokens, got {self.top_k}.")

    def facts(self) -> dict[str, Any]:
        """What decides an answer: everything but how many there are."""
        return {name: value for name, value in asdict(self).items() if name != "num_samples"}


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """How a model is asked and its answers drawn, where the caller says nothing."""

    sampling: Sampling
    template: str
    """A name of ``verl_ext.tasks.templates``."""
    chat_options: Mapping[str, Any]
    """Given to the chat template, where that is used."""


OTHER = Defaults(sampling=Sampling(), template=CHAT, chat_options={})
"""Of a model that the paper did not use: its settings for Qwen2.5, and the model's own chat template."""


def defaults_of(name: str, model_type: str | None = None, tokenizer_text: str | None = None) -> Defaults:
    """The paper's settings for a model's family.

    Args:
        name: A hub id, a path or what a server calls it; asked where ``model_type`` is unknown.
        model_type: Of the model's configuration.
        tokenizer_text: The files of its tokenizer. A model that lacks the token that opens a turn of its family's
            template was not made for that template.
    """
    if "deepseek" in name.lower():  # a Qwen or Llama by its configuration, with a template of its own
        return OTHER
    if model_type is None:
        family = named_in(name)
    else:
        family = next((family for family in FAMILIES if family.model_type == model_type), None)
    if family is None:
        return OTHER
    opening = family.prompt[0].partition(">")[0] + ">"
    if tokenizer_text is not None and opening not in tokenizer_text:
        return OTHER
    return Defaults(
        sampling=replace(Sampling(), **family.sampling), template=family.template, chat_options=family.chat_options
    )
