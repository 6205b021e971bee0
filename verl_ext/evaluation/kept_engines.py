"""vLLM engines that stay when an evaluation is done, and load the next model's weights in place of starting again.

A start costs the imports and the engine: many times what the answers of a small model do. Whoever evaluates many
checkpoints of one training keeps the engines in one event loop.
"""

import os
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_ext.evaluation.vllm_process import Job


@dataclass
class KeptEngines:
    """The processes that wait for their next job. Leaves none behind: ``async with KeptEngines() as engines``."""

    _idle: list[tuple[dict[str, Any], Process]] = field(default_factory=list)

    def take(self, job: Job, environment: Mapping[str, str]) -> Process | None:
        """A waiting process that can do ``job``, whose weights it then loads; None without one."""
        wanted = _shape(job, environment)
        for place, (shape, _) in enumerate(self._idle):
            if shape == wanted:
                return self._idle.pop(place)[1]
        return None

    def keep(self, job: Job, environment: Mapping[str, str], process: Process) -> None:
        """Let a process that has done ``job`` wait for the next one."""
        self._idle.append((_shape(job, environment), process))

    async def __aenter__(self) -> "KeptEngines":
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            await end(self._idle.pop()[1])


async def end(process: Process) -> None:
    """End an engine's process and all that it has started."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _shape(job: Job, environment: Mapping[str, str]) -> dict[str, Any]:
    """What two jobs have to share for one engine: everything but the weights, the problems and how they are asked."""
    return {
        "config": (Path(job.model) / "config.json").read_bytes(),
        "engine_options": job.engine_options,
        "environment": dict(environment),
    }
