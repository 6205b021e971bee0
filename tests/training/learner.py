"""verl's FSDP2 learner on 1 or 2 CPU ranks without Ray, for tests that compare updates.

``updates`` forks the ranks (``learner_ranks``), gives each its share of the rows the way the trainer would, makes one update
with the real engine and policy loss, and returns the weights and the metrics; ``updated_weights`` returns the weights alone.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from verl_ext.host.threads import ONE_THREAD
from verl_ext.host.vllm_on_cpu import CPU_PLATFORM


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def only_rank() -> Iterator[None]:
    """torch.distributed in this process, which is all of its ranks."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@dataclass
class Case:
    """One update: rows, fields of verl's FSDPActorConfig (and PolicyLossConfig), and what the trainer says of the batch."""

    rows: list[dict]
    options: dict = field(default_factory=dict)
    said: dict = field(default_factory=dict)


class Update(NamedTuple):
    weights: dict[str, torch.Tensor]
    metrics: dict[str, list[float]]
    own: dict[str, list[torch.Tensor]]
    """Per field the tokens of each row of the first rank, where the trainer asked for the update's own log-probs."""


def updated_weights(
    model: Path,
    cases: list[list[dict]],
    *,
    num_ranks: int,
    options: dict | None = None,
    model_options: dict | None = None,
) -> list[dict[str, torch.Tensor]]:
    """Weights after one update from the same start, for the rows of each case; see ``updates``."""
    of_case = [Case(rows, options or {}) for rows in cases]
    return [update.weights for update in updates(model, of_case, num_ranks=num_ranks, model_options=model_options)]


def updates(
    model: Path,
    cases: list[Case],
    *,
    num_ranks: int,
    model_options: dict | None = None,
    max_tokens: int = 256,
) -> list[Update]:
    """One update from the same start, for each case.

    Args:
        model: Folder of the model to start from.
        cases: Their rows are one per response: ``prompt`` and ``response`` token ids, ``advantage``, ``old_shift`` (what
            is added to the policy's own log-probs to make the old ones, so that the ratio is not 1); where the trainer asks
            for the update's own log-probs there are no old ones, and ``rollout_shift`` makes the rollout's instead.
        num_ranks: 1 or 2; the rows are dealt out in turn and padded with zero-mask rows to equal shares.
        model_options: Fields of verl's HFModelConfig; by default rows are padded, and nothing is checkpointed.
        max_tokens: Of a micro-batch, in every pass.
    """
    with tempfile.TemporaryDirectory() as folder:
        codes = _made_by_ranks(
            {
                "model": str(model),
                "cases": [vars(case) for case in cases],
                "model_options": model_options or {},
                "max_tokens": max_tokens,
                "num_ranks": num_ranks,
                "port": free_port(),
                "folder": folder,
            }
        )
        said = "\n".join(file.read_text(errors="replace") for file in sorted(Path(folder).glob("rank*.log")))
        assert codes == [0] * num_ranks, said
        return [Update(*update) for update in torch.load(Path(folder) / "updates.pt")]


@cache
def _server() -> subprocess.Popen[str]:
    """The process that has imported what a rank needs, and is forked for each; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("learner_ranks.py")), str(os.getpid())],
        env=os.environ | CPU_PLATFORM | ONE_THREAD,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _made_by_ranks(job: dict) -> list[int]:
    """Hand a job to the server; returns the exit codes of the ranks."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    is_done = False
    try:
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        codes = json.loads(server.stdout.readline())
        is_done = True
    finally:
        if not is_done:  # its ranks end with it, which wait for each other when a test's time is up
            server.kill()
            server.wait()
            _server.cache_clear()
    return codes
