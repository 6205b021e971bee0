"""Draw from a server that speaks OpenAI's protocol, such as vLLM's own: one request a sample, so each has its own seed."""

import asyncio
import random
import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpx

from verl_ext.evaluation.equal_answers import EqualAnswers
from verl_ext.evaluation.sampler import BROKEN_OFF, WITHHELD, Answer, Chunk
from verl_ext.evaluation.sampling_settings import Sampling

MAX_TRIES = 6
"""Of one request; the pauses between them add up to half a minute."""
MAX_SILENCES = 2
"""Tries of one request that end because nothing came within the time allowed, which may be long."""
PROBE_SECONDS = 10.0
REQUEST_SECONDS = 1800.0
KNOWS_MORE = ("vllm", "sglang")
"""Servers (``owned_by`` of their models) that take sampling options beyond OpenAI's, and that need them in every request: without,
they take those of the model's generation_config.json."""


class ServerError(RuntimeError):
    """The server failed, or refused a request."""


@dataclass(frozen=True)
class Server:
    """A server that has answered."""

    url: str
    """With its /v1."""
    model: str
    owner: str


def find_server(url: str, model: str | None, api_key: str | None) -> Server:
    """Ask the server which models it has.

    Raises:
        ValueError: Nobody answers there, or it is not clear which of its models is meant.
    """
    try:
        urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{url} is no address ({error}). Write it as http://HOST:PORT.") from None
    base = url.rstrip("/")
    base = base if base.endswith("/v1") else f"{base}/v1"
    try:
        with httpx.Client(
            headers=_headers(api_key), timeout=PROBE_SECONDS, trust_env=not _is_on_this_machine(base)
        ) as client:
            reply = client.get(f"{base}/models")
        reply.raise_for_status()
        models = {entry["id"]: entry for entry in reply.json()["data"]}
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, KeyError, TypeError) as error:
        is_locked = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in (401, 403)
        advice = (
            "Set OPENAI_API_KEY to a key that it takes."
            if is_locked
            else "Start one (vllm serve MODEL), or correct the address."
        )
        fault = _without_key(f"{type(error).__name__}: {error}", api_key)
        raise ValueError(
            f"No OpenAI-compatible server answers at {base}/models{_through_proxy(base)} ({fault}). {advice}"
        ) from None
    if model is None and len(models) == 1:
        (model,) = models
    if model is None or model not in models:
        wanted = "Choose one of its models with --served_model" if model is None else f"It has no model {model}"
        raise ValueError(f"The server at {base} has {', '.join(models) or 'no model'}. {wanted}.")
    return Server(base, model, str(models[model].get("owned_by", "")))


def read_api_key(text: str | None) -> str | None:
    """The key in OPENAI_API_KEY, without the end of a line that a file left on it; None for an empty one.

    Raises:
        ValueError: No header can hold it. The message does not show it.
    """
    key = (text or "").strip()
    if not all("!" <= char <= "~" for char in key):
        raise ValueError(
            f"OPENAI_API_KEY has a character that no key has, such as a blank or a new line ({len(key)} characters, not "
            "shown). Set it to the key alone."
        )
    return key or None


def _headers(api_key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def _without_key(text: str, api_key: str | None) -> str:
    """A server may repeat the key that it refuses."""
    return text.replace(api_key, "***") if api_key else text


def _is_on_this_machine(url: str) -> bool:
    """Whether the server is on this machine, which no proxy has to be asked for."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _through_proxy(url: str) -> str:
    """For messages: the proxy of the environment that requests to ``url`` go through, if any."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    names = [name for name in (parts.scheme, "all") if name in proxies]
    if not names or _is_on_this_machine(url) or proxy_bypass(parts.hostname or ""):
        return ""
    proxy = re.sub(r"//[^/@]*@", "//***@", proxies[names[0]])
    return f" through the proxy {proxy} ({names[0]}_proxy; NO_PROXY={parts.hostname} goes without it)"


@dataclass
class ServerSampler:
    """Requests to one server, a bounded number at a time."""

    server: Server
    prompts: Sequence[Any]
    """Of each problem, its text (completions) or messages (chat completions)."""
    sampling: Sampling
    max_in_flight: int = 256
    chat_options: Mapping[str, Any] = field(default_factory=dict)
    api_key: str | None = None
    request_seconds: float = REQUEST_SECONDS
    """How long an answer may take."""
    pause_seconds: float = 1.0
    """Before the second try of a request; it doubles with each."""
    num_repeats: int = field(default=0, init=False)
    rendered_prompts: Sequence[str] = field(default=(), init=False)
    seconds: Sequence[Mapping[str, float]] = field(default=(), init=False)

    async def draw(self, chunks: Sequence[Chunk]) -> AsyncGenerator[tuple[Chunk, Sequence[Answer]], None]:
        """Yield every chunk with its answers, in the order in which they are done.

        Raises:
            ServerError: The server refuses a request, or fails again and again.
        """
        pending = deque(chunks)
        done: asyncio.Queue[tuple[Chunk, Sequence[Answer]] | None] = asyncio.Queue()
        limits = httpx.Limits(max_connections=self.max_in_flight, max_keepalive_connections=self.max_in_flight)
        timeout = httpx.Timeout(self.request_seconds, connect=30.0)
        equal = EqualAnswers(self.sampling.temperature)
        async with httpx.AsyncClient(
            headers=_headers(self.api_key),
            limits=limits,
            timeout=timeout,
            trust_env=not _is_on_this_machine(self.server.url),
        ) as client:

            async def work() -> None:
                while pending:
                    chunk = pending.popleft()
                    answers = [await self._ask(client, chunk, index) for index in range(chunk.count)]
                    equal.see(chunk.problem, [answer.text for answer in answers if answer.finish_reason != WITHHELD])
                    self.num_repeats = equal.num_repeats
                    done.put_nowait((chunk, answers))
                    if equal.is_sure:
                        raise ServerError(
                            f"{self.server.url} has given the same answer to every sample of a problem, "
                            f"{equal.num_repeats} times, at temperature {self.sampling.temperature:g} and with another "
                            "seed each time: it ignores the temperature or the seed, so there is nothing to measure. "
                            "Correct its settings, and remove the output before you draw again."
                        )

            workers = [asyncio.create_task(work()) for _ in range(min(self.max_in_flight, len(chunks)))]
            working = asyncio.gather(*workers)
            working.add_done_callback(lambda _: done.put_nowait(None))
            try:
                while (item := await done.get()) is not None:
                    yield item
                await working
            finally:
                # Each by itself: what gathers them is done as soon as one has failed.
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(working, *workers, return_exceptions=True)

    async def _ask(self, client: httpx.AsyncClient, chunk: Chunk, index: int) -> Answer:
        endpoint, body = self._request(chunk, index)
        num_silences = 0
        for attempt in range(1, MAX_TRIES + 1):
            try:
                reply = await client.post(f"{self.server.url}/{endpoint}", json=body)
            except httpx.ReadTimeout:
                num_silences += 1
                fault = f"no answer came within {self.request_seconds:g} s (--request_timeout)"
                if num_silences == MAX_SILENCES:
                    break
            except httpx.HTTPError as error:
                fault = f"{type(error).__name__}: {error}"
            else:
                if reply.status_code == httpx.codes.OK:
                    answer = _answer_of(reply)
                    if answer.finish_reason not in BROKEN_OFF:
                        return answer
                    fault = f"it broke off the answer (finish_reason {answer.finish_reason})"
                else:
                    fault = f"{reply.status_code} {reply.text[:500]}"
                    if reply.status_code < 500 and reply.status_code != httpx.codes.TOO_MANY_REQUESTS:
                        raise ServerError(self._message(f"refuses a request: {fault}"))
            if attempt < MAX_TRIES:
                # Not all at the same moment: they failed together.
                await asyncio.sleep(self.pause_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))
        raise ServerError(self._message(f"failed {attempt} times in a row: {fault}"))

    def _message(self, text: str) -> str:
        return _without_key(f"{self.server.url}{_through_proxy(self.server.url)} {text}", self.api_key)

    def _request(self, chunk: Chunk, index: int) -> tuple[str, dict[str, Any]]:
        prompt = self.prompts[chunk.problem]
        body = {
            "model": self.server.model,
            "n": 1,
            "seed": chunk.seed + index,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "max_tokens": self.sampling.max_tokens,
        }
        if self.server.owner in KNOWS_MORE:
            body |= {"top_k": self.sampling.top_k, "min_p": 0.0, "repetition_penalty": 1.0}
        elif self.sampling.top_k > 0:
            body["top_k"] = self.sampling.top_k
        if isinstance(prompt, str):
            if self.server.owner in KNOWS_MORE:
                body["add_special_tokens"] = False  # the template has written them
            return "completions", body | {"prompt": prompt}
        if self.chat_options and self.server.owner in KNOWS_MORE:
            body["chat_template_kwargs"] = dict(self.chat_options)
        return "chat/completions", body | {"messages": prompt}


def _answer_of(reply: httpx.Response) -> Answer:
    try:
        message = reply.json()
        choice = message["choices"][0]
        is_text = "text" in choice
        content = choice["text"] if is_text else choice["message"]["content"]
        reasoning = None if is_text else _reasoning_of(choice["message"])
        num_tokens = (message.get("usage") or {}).get("completion_tokens")
        finish_reason = choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ServerError(f"The server's reply is no completion: {reply.text[:500]}") from None
    if not isinstance(content, str | None):
        raise ServerError(f"The server's reply has a content that is no text: {reply.text[:500]}")
    return Answer(content or "", finish_reason, num_tokens if type(num_tokens) is int else None, reasoning)


def _reasoning_of(message: Mapping[str, Any]) -> str | None:
    """What the model thought, where the server takes it out of the answer, under the names that servers give it."""
    found = next((message[name] for name in ("reasoning_content", "reasoning") if message.get(name)), None)
    return found if isinstance(found, str) else None
