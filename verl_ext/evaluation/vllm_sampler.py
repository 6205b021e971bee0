"""Draw from vLLM engines, each in a process of its own (``verl_ext.evaluation.vllm_process``) that logs to a file."""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from verl_ext.evaluation.sampler import BROKEN_OFF, Answer, Chunk
from verl_ext.evaluation.vllm_process import Job

MAX_LINE_BYTES = 1 << 30
WINDOWS = 2
"""Samples given to an engine, in multiples of those it draws at once: it finds work while the next comes."""


class EngineError(RuntimeError):
    """vLLM failed; its log says why."""


@dataclass
class VllmSampler:
    """vLLM engines that share the work."""

    job: Job
    log: TextIO
    max_num_seqs: int
    """Samples that one engine draws at once."""
    num_engines: int = 1
    environments: Sequence[Mapping[str, str]] = ()
    """Of each engine, what its environment has beside this process's; nothing by default."""
    rendered_prompts: list[str] = field(default_factory=list, init=False)
    seconds: list[dict[str, float]] = field(default_factory=list, init=False)
    num_repeats: int = field(default=0, init=False)

    async def draw(self, chunks: Sequence[Chunk]) -> AsyncGenerator[tuple[Chunk, Sequence[Answer]], None]:
        """Yield every chunk with its answers, in the order in which they are done.

        Raises:
            ValueError: A prompt does not fit into the model's context, or has no template.
            EngineError: vLLM failed.
        """
        pending = deque(enumerate(chunks))
        done: asyncio.Queue[tuple[Chunk, Sequence[Answer]] | None] = asyncio.Queue()
        environments = [*self.environments, *([{}] * self.num_engines)][: self.num_engines]
        engines = [asyncio.create_task(self._serve(environment, chunks, pending, done)) for environment in environments]
        serving = asyncio.gather(*engines)
        serving.add_done_callback(lambda _: done.put_nowait(None))
        try:
            while (item := await done.get()) is not None:
                yield item
            await serving
        finally:
            # Each by itself: what gathers them is done as soon as one has failed.
            for engine in engines:
                engine.cancel()
            await asyncio.gather(serving, *engines, return_exceptions=True)

    async def _serve(
        self,
        environment: Mapping[str, str],
        chunks: Sequence[Chunk],
        pending: "deque[tuple[int, Chunk]]",
        done: "asyncio.Queue[tuple[Chunk, Sequence[Answer]] | None]",
    ) -> None:
        """Run one engine until nothing is left to draw."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "verl_ext.evaluation.vllm_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self.log,
            env=os.environ | dict(environment),
            # Its own group: it kills that at the end, and Ctrl-C is for this process to handle.
            start_new_session=True,
            limit=MAX_LINE_BYTES,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _say(process.stdin, self.job.as_json())
            num_samples = num_requests = 0
            while line := await process.stdout.readline():
                message = json.loads(line)
                if "error" in message:
                    raise ValueError(message["error"])
                if "prompts" in message:
                    self.rendered_prompts = message["prompts"]
                if "seconds" in message:
                    self.seconds.append(message["seconds"])
                    return
                if "answers" in message:
                    chunk = chunks[message["id"]]
                    num_samples -= chunk.count
                    num_requests -= 1
                    broken = {answer[1] for answer in message["answers"]} & set(BROKEN_OFF)
                    if broken:
                        raise EngineError(f"vLLM broke off an answer ({', '.join(sorted(broken))}).")
                    done.put_nowait((chunk, [Answer(*answer) for answer in message["answers"]]))
                if "answers" in message or "context" in message:
                    while pending and num_samples < WINDOWS * self.max_num_seqs:
                        number, chunk = pending.popleft()
                        num_samples += chunk.count
                        num_requests += 1
                        request = {"id": number, "problem": chunk.problem, "seed": chunk.seed, "count": chunk.count}
                        _say(process.stdin, request)
                    if not num_requests:
                        _say(process.stdin, {"stop": True})
            raise EngineError(f"vLLM's process ended with exit code {await process.wait()}.")
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


def _say(stream: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    stream.write(json.dumps(message).encode() + b"\n")
