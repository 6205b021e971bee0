"""A model's next-token distribution behind one prompt, cut to its most probable tokens, as a text file.

{"model": "...", "prompt": "...", "covered": 0.999, "tokens": [{"text": "5", "probability": 0.19, "is_right": true}, ...]}
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verl_ext.host.files import read_object, write_whole


@dataclass(frozen=True)
class TokenChance:
    """A token that may come next."""

    text: str
    probability: float
    """Of the whole vocabulary's softmax."""
    is_right: bool


@dataclass(frozen=True)
class NextToken:
    """The most probable next tokens behind a prompt."""

    model: str
    prompt: str
    """What the reader is shown of it: the question, and how the answer begins."""
    tokens: tuple[TokenChance, ...]
    """Right ones first, each kind from the most probable down."""

    def __post_init__(self) -> None:
        kinds = {token.is_right for token in self.tokens}
        if kinds != {True, False}:
            raise ValueError("Both signs of the reward are needed: at least one right token and one wrong one.")
        if not all(token.probability > 0 for token in self.tokens) or not self.covered <= 1 + 1e-9:
            raise ValueError("The probabilities must be above 0 and sum to at most 1.")

    @property
    def covered(self) -> float:
        """The probability of all of them together."""
        return sum(token.probability for token in self.tokens)

    @property
    def probabilities(self) -> list[float]:
        """A softmax over these tokens alone: they sum to 1."""
        return [token.probability / self.covered for token in self.tokens]

    @property
    def is_right(self) -> list[bool]:
        return [token.is_right for token in self.tokens]


def in_order(tokens: list[TokenChance]) -> tuple[TokenChance, ...]:
    """Right ones first, each kind from the most probable down."""
    return tuple(sorted(tokens, key=lambda token: (not token.is_right, -token.probability)))


def write_next_token(path: Path, found: NextToken) -> None:
    content = {
        "model": found.model,
        "prompt": found.prompt,
        "covered": found.covered,
        "tokens": [asdict(token) for token in found.tokens],
    }
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_next_token(path: Path) -> NextToken:
    """Read what ``write_next_token`` wrote; raises ValueError where the file is something else."""
    remedy = (
        "scripts/animate_objectives.py with --model, --question, --start and --right writes such a file into its --out."
    )
    content: dict[str, Any] = read_object(path, remedy)
    try:
        tokens = [
            TokenChance(str(one["text"]), float(one["probability"]), one["is_right"] is True)
            for one in content["tokens"]
        ]
        return NextToken(str(content["model"]), str(content["prompt"]), in_order(tokens))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no next-token distribution ({error}). {remedy}") from None
