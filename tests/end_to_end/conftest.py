"""Small models, Countdown rows and a way to run the launcher, for tests that train on the real stack."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.end_to_end.stacks import STACKS, Stack
from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.host.threads import THREAD_VARIABLES
from verl_ext.host.vllm_on_cpu import CPU_PLATFORM
from verl_ext.tasks.countdown import generate_problems, short_prompt

ROOT = Path(__file__).resolve().parents[2]
DYING_SECONDS = 30
"""What ends is gone by then, also on a slow and busy machine; what is left alone stays for a minute (Ray's agents) or for ever."""


@dataclass(frozen=True)
class Result:
    """What a run left: its exit code, what the person saw, its log and its metrics per step."""

    code: int
    shown: str
    folder: Path
    left_running: list[str]
    """Command lines of processes that it has started, or these, and that were there when it had ended."""

    @property
    def log(self) -> str:
        return (self.folder / "train.log").read_text(errors="replace")

    @property
    def steps(self) -> list[dict[str, float]]:
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["data"] for line in lines]


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 64), ("test", 16)):
        rows = [
            make_row(
                data_source="countdown", prompt=short_prompt(p), ground_truth=p.reference, split=split, index=index
            )
            for index, p in enumerate(generate_problems(count, seed=1, split=split))
        ]
        write_rows(rows, folder / f"{split}.parquet")
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    """Random weights, with tied and with untied embeddings."""
    from verl_ext.small_model.architecture import TINY, random_weights
    from verl_ext.small_model.tokenizer import build_tokenizer

    folders = {}
    for name, is_tied in (("tied", True), ("untied", False)):
        folders[name] = tmp_path_factory.mktemp(name)
        tokenizer = build_tokenizer(max_length=256)
        random_weights(replace(TINY, max_length=256, is_tied=is_tied), tokenizer, seed=0).save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


def environment() -> dict[str, str]:
    """The variables of a user's shell: nothing of the test's own thread or platform settings."""
    ours = {*THREAD_VARIABLES, *CPU_PLATFORM}
    return {name: value for name, value in os.environ.items() if name not in ours}


def small(data: Path, model: Path) -> list[str]:
    """Two steps on 8 prompts x 4 samples of at most 8 tokens."""
    return [
        f"actor_rollout_ref.model.path={model}",
        f"data.train_files={data}/train.parquet",
        f"data.val_files={data}/test.parquet",
        "data.train_batch_size=8",
        "data.max_prompt_length=32",
        "data.max_response_length=8",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.rollout.max_model_len=64",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "trainer.val_before_train=False",
        "trainer.total_training_steps=2",
    ]


@pytest.fixture(scope="session")
def train(data, models) -> Callable[..., Result]:
    """Run the launcher with ``small``; later options win, and ``--run`` begins another run."""

    def run(folder: Path, *options: str, model: str = "tied") -> Result:
        command = [
            *(sys.executable, "-m", "verl_ext.training.main", "device=cpu"),
            *small(data, models[model]),
            f"trainer.output_dir={folder}",
            *options,
        ]
        mark = {"VERL_EXT_TEST_RUN": uuid4().hex}  # whatever the run starts inherits it
        process = subprocess.run(
            command, capture_output=True, text=True, env=environment() | mark, cwd=folder, check=False
        )
        started = [
            other
            for other in psutil.process_iter(["cmdline", "environ"])
            if mark.items() <= (other.info["environ"] or {}).items()
        ]
        _gone, left = psutil.wait_procs(started, timeout=DYING_SECONDS)
        lines = [" ".join(other.info["cmdline"] or ()) for other in left]
        return Result(process.returncode, process.stdout + process.stderr, folder, lines)

    return run


@pytest.fixture(scope="session")
def run_of(train, tmp_path_factory) -> Callable[[str, str], Result]:
    """What a run of ``stacks.STACKS`` left, by the names of its stack and its own.

    Of the runs of a stack all but the last have to end well: one that fails takes the stack with it.
    """
    made: dict[str, dict[str, Result]] = {}

    def of(stack: str, name: str) -> Result:
        if stack not in made:
            before = STACKS[stack].goes_on_from
            folder = tmp_path_factory.mktemp("stack") if before is None else of(before, name).folder.parent
            made[stack] = _made_together(train, folder, STACKS[stack])
        return made[stack][name]

    return of


def _made_together(train: Callable[..., Result], folder: Path, stack: Stack) -> dict[str, Result]:
    words = [
        word for name, own in stack.runs.items() for word in ("--run", *own, f"trainer.output_dir={folder / name}")
    ]
    ended = train(folder, *words, model=stack.model)
    if len(stack.runs) == 1:
        (name,) = stack.runs
        return {name: Result(ended.code, ended.shown, folder / name, ended.left_running)}
    assert ended.shown.count("starting Ray") == 1, ended.shown
    assert "of torchrun" not in ended.shown, (
        ended.shown
    )  # a run is not warned of what the learner of the one before has set
    results = {}
    for number, name in enumerate(stack.runs, start=1):
        head = f"\nrun {number} of {len(stack.runs)}: "
        _before, shown, said = ended.shown.split(head)
        code = 0 if said.startswith("done") else int(said.removeprefix("FAILED with code ").partition(":")[0])
        results[name] = Result(code, shown.partition("\nrun ")[0], folder / name, ended.left_running)
    return results
