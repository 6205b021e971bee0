"""The files that each rank of a run has of its own in a checkpoint: its shards of the model and of the optimizer, and its state."""

import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

MODEL = "model"
STEMS = {MODEL: "model", "optimizer": "optim", "extra": "extra_state"}
"""What verl's ``checkpoint.save_contents`` calls it -> what the names of its files begin with."""
_NAME = re.compile(r"(\w+)_world_size_(\d+)_rank_(\d+)\.pt")


def files_of_ranks(folder: Path, content: str = MODEL) -> list[Path]:
    """The files with a content, in the order of the ranks; none where there is no folder."""
    files = folder.iterdir() if folder.is_dir() else ()
    found = [(match, file) for file in files if (match := _NAME.fullmatch(file.name))]
    return [
        file for _rank, file in sorted((int(match[3]), file) for match, file in found if match[1] == STEMS[content])
    ]


def fault_of_ranks(files: Sequence[Path]) -> str | None:
    """Why these are not the files of all ranks of one run, and the way out, after "the folder has"; None where they are."""
    matches = [match for file in files if (match := _NAME.fullmatch(file.name))]
    kind = "" if matches[0][1] == STEMS[MODEL] else f"{matches[0][1]} "
    found = {(int(match[2]), int(match[3])) for match in matches}
    sizes = sorted({size for size, _ in found})
    if len(sizes) > 1:
        return f"{kind}shards of runs on {' and '.join(map(str, sizes))} ranks. Remove those of one."
    missing = sorted(set(range(sizes[0])) - {rank for _, rank in found})
    if missing:
        return (
            f"the {kind}shards of {len(found)} of {sizes[0]} ranks; those of {', '.join(map(str, missing))} are missing. Copy all "
            "of them into one folder."
        )
    return None


def fault_of_contents(folder: Path, contents: Iterable[str]) -> str | None:
    """Why a folder does not hold the files of all ranks, in a sentence; None where it does, each of them to its end.

    What has no files of ranks, like ``hf_model``, is not looked for.
    """
    for content in [content for content in STEMS if content in contents]:
        files = files_of_ranks(folder, content)
        if not files:
            return f"it has no {folder.name}/{STEMS[content]}_world_size_*_rank_*.pt."
        if fault := fault_of_ranks(files):
            return f"it has in {folder.name} {fault}"
        cut = [file.name for file in files if not is_written(file)]
        if cut:
            return f"its {folder.name}/{cut[0]} is cut."
    return None


def is_written(file: Path) -> bool:
    """Whether torch.save has written a file to its end."""
    return zipfile.is_zipfile(file)
