"""Which weights of a run are meant, and whether they are all there: of this package's runs and of verl's own."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from verl_ext.evaluation.model_path import ADAPTER
from verl_ext.evaluation.shards import LORA_FACTS
from verl_ext.host.rank_files import MODEL, fault_of_contents, files_of_ranks
from verl_ext.host.tensor_files import pieces_of, tensors_in
from verl_ext.pretrained.weights import weight_files
from verl_ext.training.checkpoints import STEP_FOLDER, TRACKER, saved_steps
from verl_ext.training.kept_checkpoints import read_best

LATEST, BEST = "latest", "best"
HF = "huggingface"
Kind = Literal["shards", "model", "adapter"]


@dataclass(frozen=True, kw_only=True)
class SavedWeights:
    """What an export is made from."""

    folder: Path
    """Of the shards with their ``huggingface``, of the whole model, or of peft's adapter."""
    kind: Kind
    step: int | None
    """None where no name tells."""
    run: Path | None
    """The folder with the run's ``run.json``; None where there is none."""

    @property
    def files(self) -> list[Path]:
        """The files of the weights, in order."""
        if self.kind == "shards":
            return files_of_ranks(self.folder)
        if self.kind == "adapter":
            return sorted(self.folder.glob("adapter_model.*"))
        return weight_files(self.folder)

    def digest(self) -> str:
        """Of pieces of the weights' files and of what is merged into them: a moment, also for large models."""
        digest = sha256()
        for file in self.files:
            for piece in pieces_of(file):
                digest.update(piece)
        for name in (LORA_FACTS, ADAPTER):
            if (self.folder / name).is_file():
                digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()[:32]


def find_weights(run: Path, step: str = LATEST) -> SavedWeights:
    """The weights of a step of ``run``.

    Args:
        run: The output folder of a run, its checkpoints, one step of them or the ``actor`` in it; or an adapter of peft.
        step: A number, ``latest``, or ``best``: the step that ``trainer.best_checkpoint`` has kept.

    Raises:
        ValueError: There is no such step, or not all of it; says which there are.
    """
    if not run.is_dir():
        raise ValueError(f"There is no folder {run}. Name the output folder of a run, or its checkpoints.")
    folder = run / "checkpoints" if (run / "checkpoints").is_dir() else run
    steps = saved_steps(folder)
    if not steps:
        return _single(run, step)
    number = _step_number(folder, steps, step)
    return _whole(folder / f"{STEP_FOLDER}{number}")


def _step_number(folder: Path, steps: list[int], step: str) -> int:
    if step == LATEST:
        tracker = folder / TRACKER
        text = tracker.read_text(encoding="utf-8", errors="replace").strip() if tracker.is_file() else ""
        # A checkpoint that is being written, or was cut, is not in the tracker. Without one, an incomplete step is refused.
        return int(text) if text.isdecimal() and int(text) in steps else steps[-1]
    if step == BEST:
        best = read_best(folder)
        if best is None:
            raise ValueError(
                f"--step {BEST}: {folder} says of no step that it is the best. A run with trainer.best_checkpoint.metric does. "
                f"There are {', '.join(map(str, steps))}."
            )
        step = str(best.step)
    if not step.isdecimal():
        raise ValueError(f"--step must be a number, {LATEST} or {BEST}, got {step!r}.")
    if int(step) not in steps:
        raise ValueError(
            f"--step {step}: {folder} has no checkpoint of that step. There are {', '.join(map(str, steps))}."
        )
    return int(step)


def _single(folder: Path, step: str) -> SavedWeights:
    """Those in a folder that holds one checkpoint, or none."""
    if (folder / ADAPTER).is_file():
        if step != LATEST:
            raise ValueError(f"--step {step}: {folder} is an adapter, which has no steps. Leave --step out.")
        return SavedWeights(folder=folder, kind="adapter", step=None, run=None)
    of_step = folder.parent if folder.name == "actor" else folder
    is_step = of_step.name.startswith(STEP_FOLDER)
    if not is_step and not _has_weights(folder):
        raise ValueError(
            f"{folder} has no checkpoint: no {STEP_FOLDER}<N> with weights in it or in its checkpoints. A run saves with "
            "trainer.save_freq above 0."
        )
    if is_step and step not in (LATEST, of_step.name.removeprefix(STEP_FOLDER)):
        raise ValueError(f"--step {step}: {folder} is one step. Leave --step out, or name the folder above it.")
    return _whole(of_step if is_step else folder)


def _has_weights(folder: Path) -> bool:
    return bool(files_of_ranks(folder) or weight_files(folder / HF))


def _whole(of_step: Path) -> SavedWeights:
    """The weights in a step's folder, all of them there."""
    folder = of_step / "actor" if (of_step / "actor").is_dir() else of_step
    missing = what_is_missing(folder)
    if missing:
        others = [
            str(step) for step in saved_steps(of_step.parent) if not what_is_missing(_actor(of_step.parent, step))
        ]
        there = f"Complete are the steps {', '.join(others)}." if others else "No step is complete."
        raise ValueError(f"The checkpoint {of_step} is not complete: {missing} {there}")
    name = of_step.name.removeprefix(STEP_FOLDER)
    runs = (of_step.parent.parent, of_step.parent)
    is_sharded = bool(files_of_ranks(folder))
    return SavedWeights(
        folder=folder if is_sharded else folder / HF,
        kind="shards" if is_sharded else "model",
        step=int(name) if name.isdecimal() else None,
        run=next((run for run in runs if (run / "run.json").is_file()), None),
    )


def _actor(checkpoints: Path, step: int) -> Path:
    of_step = checkpoints / f"{STEP_FOLDER}{step}"
    return of_step / "actor" if (of_step / "actor").is_dir() else of_step


def what_is_missing(actor: Path) -> str | None:
    """What keeps the checkpoint in ``actor`` from being a whole model, as when a run is killed while it saves; None: nothing."""
    if not (actor / HF / "config.json").is_file():
        return f"it has no {HF}/config.json."
    if not files_of_ranks(actor):
        return _fault_of_model(actor / HF)
    return fault_of_contents(actor, [MODEL])


def _fault_of_model(folder: Path) -> str | None:
    files = weight_files(folder)
    if not files:
        return "it has neither shards (model_world_size_*_rank_*.pt) nor the weights of a model."
    for file in files:
        if file.suffix != ".safetensors":
            continue
        try:
            tensors = tensors_in(file)
        except ValueError:
            return f"{file.name} is cut."
        with file.open("rb") as opened:
            begin = 8 + int.from_bytes(opened.read(8), "little")
        if file.stat().st_size < begin + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0):
            return f"{file.name} is cut."
    return None
