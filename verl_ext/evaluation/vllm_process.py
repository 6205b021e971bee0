"""vLLM in a process of its own: requests in on stdin, answers out on stdout, a JSON object a line; prints go to stderr.

    python -m verl_ext.evaluation.vllm_process

The process that grades and writes stays free of vLLM, and vLLM never waits for it. A request is a chunk of one
problem's samples; vLLM gives sample i of it the seed of the chunk plus i. This process ends with its parent, however
that ends, and takes its children along.

In: a ``Job``, then requests ``{"id", "problem", "seed", "count"}``, then ``{"stop": true}``; then perhaps another ``Job``, of a
model that differs in its weights alone, which the engine loads.
Out: ``{"prompts": [text], "num_tokens": [n]}``, ``{"context": n}``, for each request
``{"id", "answers": [[text, finish_reason, num_tokens]]}``, at last ``{"seconds": {...}}``; or ``{"error": text}`` for
what the user got wrong.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from verl_ext.evaluation.sampling_settings import Sampling

BAD_INPUT = 2
"""Exit code after an error of the user's."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process is started for."""

    model: str
    """A folder that vLLM loads."""
    prompts: list[Any]
    """Of each problem, its text, or the messages for the chat template."""
    question_ids: list[str]
    sampling: Sampling
    context: int | None
    """Tokens that prompt and answer may have together, where that is known."""
    chat_options: dict[str, Any] = field(default_factory=dict)
    """Given to the chat template."""
    engine_options: dict[str, Any] = field(default_factory=dict)
    """Given to vLLM's ``EngineArgs``."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> "Job":
        return cls(**{**message, "sampling": Sampling(**message["sampling"])})


class _Stop(Exception):
    """The job is done."""


class _Requests:
    """The parent's messages, read in a thread, so that its end is seen at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._stream = stream
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def _read(self) -> None:
        for line in self._stream:
            self._queue.put(json.loads(line))
        # The parent is gone. Nobody else knows of the processes that vLLM has started.
        os.killpg(0, signal.SIGKILL)

    def get(self, *, wait: bool) -> dict[str, Any] | None:
        """The next message; None if there is none and ``wait`` is False. Raises _Stop at the end of the job."""
        try:
            message = self._queue.get(block=wait)
        except queue.Empty:
            return None
        if message.get("stop"):
            raise _Stop
        return message


class _Replies:
    """Turns tokens into text and sends it, in a thread: the engine waits for neither."""

    def __init__(self, stream: BinaryIO, tokenizer: Any) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stream = stream
        self._tokenizer = tokenizer
        self._thread = threading.Thread(target=self._write, name="replies", daemon=True)
        self.cpu_seconds = 0.0
        """What the thread took from the processor, once it is closed; at most this long did the engine wait for it."""
        self._thread.start()

    def put(self, request_id: int, outputs: Sequence[Any]) -> None:
        self._queue.put((request_id, outputs))

    def close(self) -> None:
        """Send what is left."""
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            request_id, outputs = item
            texts = self._tokenizer.batch_decode([list(o.token_ids) for o in outputs], skip_special_tokens=True)
            answers = [
                (text, output.finish_reason, len(output.token_ids)) for text, output in zip(texts, outputs, strict=True)
            ]
            _say(self._stream, {"id": request_id, "answers": answers})
        self.cpu_seconds = time.thread_time()


def _end(failure: threading.ExceptHookArgs) -> None:
    """A thread has failed: without it the parent would wait forever."""
    traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


def main() -> int:
    threading.excepthook = _end
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # vLLM prints; only answers may reach the parent
    requests = _Requests(sys.stdin.buffer)
    engine = None
    while True:
        message = requests.get(wait=True)
        assert message is not None
        engine = _do(Job.from_json(message), engine, requests, replies)
        if engine is None:
            return BAD_INPUT


def _do(job: Job, engine: Any, requests: _Requests, replies: Any) -> Any:
    """Do a job with the engine of the one before it, if there is one; returns the engine, or None after bad input."""
    began = time.perf_counter()
    from transformers import AutoTokenizer  # noqa: F401  (vLLM needs it anyway, so its seconds are not the tokenizer's)

    ready = time.perf_counter()
    try:
        tokenizer, prompt_ids = _tokenize(job, replies)
        tokenized = time.perf_counter()
        engine, imported = _start_engine(job) if engine is None else _reload(engine, job)
        context = engine.model_config.max_model_len
        for question_id, ids in zip(job.question_ids, prompt_ids, strict=True):
            check_fits(question_id, len(ids), context)
    except ValueError as error:  # also vLLM's own, about options that do not fit the model
        traceback.print_exc()
        _say(replies, {"error": str(error)})
        return None
    _say(replies, {"context": context})
    loaded = time.perf_counter()
    answers = _Replies(replies, tokenizer)
    stepping, waiting = _serve(engine, job, prompt_ids, requests, answers)
    seconds = {
        "transformers": ready - began,
        "tokenize": tokenized - ready,
        "import": imported - tokenized,
        "load": loaded - imported,
        "step": stepping,
        "wait": waiting,
        "text": answers.cpu_seconds,
    }
    _say(replies, {"seconds": seconds})
    return engine


def _say(stream: Any, message: dict[str, Any]) -> None:
    data = json.dumps(message, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
    while data:
        data = data[stream.write(data) :]


def _tokenize(job: Job, replies: Any) -> tuple[Any, list[list[int]]]:
    """The tokenizer and every prompt's tokens, before vLLM is loaded: a prompt that does not fit is said at once."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.model)
    if any(not isinstance(prompt, str) for prompt in job.prompts) and not tokenizer.chat_template:
        raise ValueError(f"The tokenizer of {job.model} has no chat template: choose one with --template.")
    texts = [
        prompt
        if isinstance(prompt, str)
        else tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False, **job.chat_options)
        for prompt in job.prompts
    ]
    prompt_ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    for question_id, ids in zip(job.question_ids, prompt_ids, strict=True):
        check_fits(question_id, len(ids), job.context)
    _say(replies, {"prompts": texts, "num_tokens": [len(ids) for ids in prompt_ids]})
    return tokenizer, prompt_ids


def check_fits(question_id: str, num_tokens: int, context: int | None) -> None:
    """Raise ValueError for a prompt that leaves no room for an answer."""
    if context is not None and num_tokens >= context:
        raise ValueError(
            f"The prompt of question {question_id} has {num_tokens} tokens and the model's context is {context}: there is "
            "no room for an answer. Leave the question out, or raise --max_model_len where the model allows it."
        )


def _start_engine(job: Job) -> tuple[Any, float]:
    """The engine, and when vLLM was imported."""
    from verl_ext.cpu.environment import use_cpu_where_there_is_no_accelerator

    use_cpu_where_there_is_no_accelerator()
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    imported = time.perf_counter()
    options = {"worker_extension_cls": "verl_ext.cpu.tied_head.ReloadExtension", **job.engine_options}
    arguments = EngineArgs(model=job.model, disable_log_stats=True, **options)
    return LLMEngine.from_engine_args(arguments), imported


def _reload(engine: Any, job: Job) -> tuple[Any, float]:
    """``_start_engine`` for an engine that is there: vLLM loads the weights into it and forgets what it cached of the old."""
    began = time.perf_counter()
    engine.collective_rpc("reload_checkpoint", args=(job.model,))
    assert engine.reset_prefix_cache(), "no request is left that could hold a block"
    return engine, began


def _serve(
    engine: Any, job: Job, prompt_ids: Sequence[list[int]], requests: _Requests, replies: _Replies
) -> tuple[float, float]:
    """Sample until the parent says stop; the seconds spent in vLLM, and those spent without work."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    context = engine.model_config.max_model_len
    sampling = job.sampling
    stepping = waiting = 0.0

    def add(request: dict[str, Any]) -> None:
        ids = prompt_ids[request["problem"]]
        params = SamplingParams(
            n=request["count"],
            seed=request["seed"],
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=min(sampling.max_tokens, context - len(ids)),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        engine.add_request(str(request["id"]), {"prompt_token_ids": ids}, params)

    try:
        while True:
            began = time.perf_counter()
            is_idle = not engine.has_unfinished_requests()
            request = requests.get(wait=is_idle)
            got = time.perf_counter()
            waiting += got - began if is_idle else 0.0
            while request is not None:
                add(request)
                request = requests.get(wait=False)
            finished = engine.step()
            stepping += time.perf_counter() - got
            for output in finished:
                replies.put(int(output.request_id), output.outputs)
    except _Stop:
        replies.close()
    return stepping, waiting


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # vLLM's threads would keep the process for seconds
