"""What makes a model's forward pass random in training. Free of torch and verl."""

from collections.abc import Mapping
from typing import Any

HEADS = ("classifier", "summary")
"""Beginnings of the keys of heads that a language model does not have."""


def dropouts(model_config: Mapping[str, Any]) -> dict[str, float]:
    """The keys of a model's (or an adapter's) configuration that say so, with their shares, which are above 0."""
    found: dict[str, float] = {}
    for key, value in model_config.items():
        name = str(key)  # labels are numbered
        if isinstance(value, Mapping):
            found |= dropouts(value)
        elif ("dropout" in name or name.endswith("pdrop")) and not name.startswith(HEADS):
            is_share = isinstance(value, int | float) and not isinstance(value, bool)
            if is_share and value > 0:
                found[name] = float(value)
    return found
