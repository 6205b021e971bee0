"""``stages.json``: what each finished stage was, why it ended, and the model that it handed on. Written whole, after the reset.

A stage is over when it stands here, and not before: a reset that was interrupted is made again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verl_ext.host.files import read_object, write_whole

NAME = "stages.json"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A stage whose reset is done."""

    name: str
    options: Mapping[str, Any]
    steps: int
    """That it has made."""
    ended: str
    """Why."""
    base: str
    """Digest of the model that it started from."""
    adapter: str | None
    """Digest of the adapter that was merged; None where every weight was trained."""
    model: str
    """Digest of the model that it handed on."""
    folder: str
    """Of that model, below the one of ``stages.json``."""
    logit_difference: float
    """Between the model with the adapter and the merged one: the largest on the check's prompts, as a share of the largest logit."""


def read_history(output: Path) -> list[Finished]:
    """The finished stages, in order; none where there are none yet."""
    if not (output / NAME).is_file():
        return []
    content = read_object(output / NAME, "Restore it, or start over in another trainer.output_dir.")
    return [Finished(**entry) for entry in content["stages"]]


def write_history(output: Path, finished: Sequence[Finished]) -> None:
    """Replace the file."""
    write_whole(output / NAME, json.dumps({"stages": [asdict(stage) for stage in finished]}, indent=2) + "\n")
