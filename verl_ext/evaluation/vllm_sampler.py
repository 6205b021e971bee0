"""Draw from vLLM engines, each in a process of its own (``verl_ext.evaluation.vllm_process``) that logs to a file."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from verl_ext.evaluation.kept_engines import KeptEngines, end
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
    kept: KeptEngines | None = None
    """Where engines come from if one fits, and where they stay; None: they end with the work."""
    rendered_prompts: list[str] = field(default_factory=list, init=False)
    seconds: list[dict[str, float]] = field(default_factory=list, init=False)
    num_repeats: int = field(default=0, init=False)
    _share: int = field(default=0, init=False)
    """Samples that one engine may have at one time, as far as it is for the others' sake."""

    async def draw(self, chunks: Sequence[Chunk]) -> AsyncGenerator[tuple[Chunk, Sequence[Answer]], None]:
        """Yield every chunk with its answers, in the order in which they are done.

        Raises:
            ValueError: A prompt does not fit into the model's context, or has no template.
            EngineError: vLLM failed.
        """
        pending = deque(enumerate(chunks))
        # The first engine that is ready takes no more than its share of few samples.
        self._share = -(-sum(chunk.count for chunk in chunks) // self.num_engines)
        done: asyncio.Queue[tuple[Chunk, Sequence[Answer]] | None] = asyncio.Queue()
        environments = [*self.environments, *([{}] * self.num_engines)][: self.num_engines]
        engines = [asyncio.create_task(self._serve(environment, pending, done)) for environment in environments]
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
        pending: "deque[tuple[int, Chunk]]",
        done: "asyncio.Queue[tuple[Chunk, Sequence[Answer]] | None]",
    ) -> None:
        """Run one engine until nothing is left to draw."""
        waiting = None if self.kept is None else self.kept.take(self.job, environment)
        process = waiting or await self._start(environment)
        is_done = False
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _say(process.stdin, self.job.as_json())
            in_flight: dict[int, Chunk] = {}
            while line := await process.stdout.readline():
                message = json.loads(line)
                if "error" in message:
                    raise ValueError(message["error"])
                if "prompts" in message:
                    self.rendered_prompts = message["prompts"]
                if "seconds" in message:
                    self.seconds.append(message["seconds"])
                    is_done = True
                    return
                if "answers" in message:
                    done.put_nowait((in_flight.pop(message["id"]), _answers_in(message)))
                if "answers" in message or "context" in message:
                    self._request_more(process.stdin, pending, in_flight)
            raise EngineError(self._told_of_end(await process.wait()))
        finally:
            if is_done and self.kept is not None:
                self.kept.keep(self.job, environment, process)
            else:
                await end(process)

    def _told_of_end(self, code: int) -> str:
        """Why an engine's process may have ended with ``code`` before its work was done."""
        if code != -signal.SIGKILL:
            return f"vLLM's process ended with exit code {code}."
        fewer = f"fewer engines than {self.num_engines}, " if self.num_engines > 1 else ""
        return (
            f"vLLM's process was killed (exit code {code}), most likely for memory. Take {fewer}a smaller model, or a machine or "
            "limit with more memory."
        )

    async def _start(self, environment: Mapping[str, str]) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "verl_ext.evaluation.vllm_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self.log,
            env=os.environ | dict(environment),
            # Its own group: it kills that at the end, and Ctrl-C is for this process to handle.
            start_new_session=True,
            limit=MAX_LINE_BYTES,
        )

    def _request_more(
        self, stream: asyncio.StreamWriter, pending: "deque[tuple[int, Chunk]]", in_flight: dict[int, Chunk]
    ) -> None:
        """Give an engine its next chunks, or tell it to stop where it has none left and there are no more."""
        num_samples = sum(chunk.count for chunk in in_flight.values())
        while pending and num_samples < min(WINDOWS * self.max_num_seqs, self._share):
            number, chunk = pending.popleft()
            in_flight[number] = chunk
            num_samples += chunk.count
            _say(stream, {"id": number, "problem": chunk.problem, "seed": chunk.seed, "count": chunk.count})
        if not in_flight:
            _say(stream, {"stop": True})


def _answers_in(message: Mapping[str, Any]) -> list[Answer]:
    answers = [Answer(*answer) for answer in message["answers"]]
    broken = {answer.finish_reason for answer in answers} & set(BROKEN_OFF)
    if broken:
        raise EngineError(f"vLLM broke off an answer ({', '.join(sorted(map(str, broken)))}).")
    return answers


def _say(stream: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    stream.write(json.dumps(message).encode() + b"\n")
