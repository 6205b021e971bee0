"""Where the answers of an evaluation come from: a model that vLLM loads here, or a server."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

from verl_ext.evaluation.kept_engines import KeptEngines
from verl_ext.evaluation.problems import Problem
from verl_ext.evaluation.run_options import EvaluationOptions
from verl_ext.evaluation.sampler import Sampler
from verl_ext.evaluation.sampling_settings import Defaults, Sampling


class Source(Protocol):
    """What an evaluation needs to know of a model or a server, and its sampler."""

    @property
    def defaults(self) -> Defaults:
        """How the model is asked where the caller says nothing."""
        ...

    @property
    def chunk_size(self) -> int:
        """Samples per request."""
        ...

    def check(self, problems: Sequence[Problem]) -> None:
        """Raise ValueError for what can be seen not to work before anything is loaded."""
        ...

    def prepare(self, log: TextIO) -> dict[str, Any]:
        """Make the model loadable; what the side file says about it: its name and its fingerprint."""
        ...

    def sampling_facts(self) -> dict[str, Any]:
        """What the answers depend on beyond the sampling's own settings."""
        ...

    def engine_options(self) -> dict[str, Any] | None:
        """vLLM's options; None where a server has its own."""
        ...

    def describe(self) -> list[str]:
        """What was chosen for it, a line each."""
        ...

    def warnings(self) -> list[str]:
        """What makes it slower than it could be."""
        ...

    def sampler(
        self, problems: Sequence[Problem], sampling: Sampling, chat_options: Mapping[str, Any], log: TextIO
    ) -> Sampler:
        """What draws the answers; vLLM prints to ``log``."""
        ...


def find_source(options: EvaluationOptions, engines: KeptEngines | None = None) -> Source:
    """The model or the server that ``options`` name; ``engines`` are those that a model may use and leaves for the next one.

    Raises:
        ValueError: There is none, or it cannot be used.
    """
    if options.model_path.startswith(("http://", "https://")):
        # Imported for a server alone: no other evaluation needs an HTTP client.
        from verl_ext.evaluation.server_source import ServerSource

        return ServerSource(options)
    from verl_ext.evaluation.model_source import ModelSource

    return ModelSource(options, engines)
