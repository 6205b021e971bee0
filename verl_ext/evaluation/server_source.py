"""Answers from an OpenAI-compatible server."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from verl_ext.evaluation.cpu_share import MOST_ANSWERS
from verl_ext.evaluation.problems import Problem
from verl_ext.evaluation.run_options import EvaluationOptions
from verl_ext.evaluation.sampler import Sampler
from verl_ext.evaluation.sampling_settings import Sampling, defaults_of
from verl_ext.evaluation.server_sampler import ServerSampler, find_server, read_api_key


class ServerSource:
    """A server that has answered; see ``Source``."""

    chunk_size = 1

    def __init__(self, options: EvaluationOptions) -> None:
        self._options = options
        self._api_key = read_api_key(os.environ.get("OPENAI_API_KEY"))
        self._server = find_server(options.model_path, options.served_model, self._api_key)
        self.defaults = defaults_of(self._server.model)

    def check(self, problems: Sequence[Problem]) -> None:
        """Only the server knows its context and its prompt templates."""

    def prepare(self, log: TextIO) -> dict[str, Any]:
        return {"name": self._server.model, "fingerprint": None, "url": self._server.url}

    def sampling_facts(self) -> dict[str, Any]:
        return {}

    def engine_options(self) -> None:
        return None

    def describe(self) -> list[str]:
        return []

    def warnings(self) -> list[str]:
        return []

    def sampler(
        self, problems: Sequence[Problem], sampling: Sampling, chat_options: Mapping[str, Any], log: TextIO
    ) -> Sampler:
        return ServerSampler(
            self._server,
            [problem.prompt_as_json() for problem in problems],
            sampling,
            max_in_flight=self._options.max_num_seqs or MOST_ANSWERS,
            chat_options=chat_options,
            api_key=self._api_key,
            request_seconds=self._options.request_timeout,
        )
