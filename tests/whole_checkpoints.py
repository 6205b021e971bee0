"""Checkpoints as verl leaves them, of files that hold nothing, for tests of what a run goes on from."""

import zipfile
from pathlib import Path

from verl_ext.host.rank_files import STEMS
from verl_ext.training.checkpoints import TRACKER


def write_saved(file: Path) -> None:
    """What torch.save writes is a zip file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    zipfile.ZipFile(file, "w").close()


def save_step(checkpoints: Path, step: int, *, num_ranks: int = 1, parts=("actor",)) -> Path:
    """All that a run of the synchronous trainer saves, and the tracker that names it; returns the step's folder."""
    of_step = checkpoints / f"global_step_{step}"
    for part in parts:
        for stem in STEMS.values():
            for rank in range(num_ranks):
                write_saved(of_step / part / f"{stem}_world_size_{num_ranks}_rank_{rank}.pt")
    write_saved(of_step / "data.pt")
    (checkpoints / TRACKER).write_text(str(step))
    return of_step
