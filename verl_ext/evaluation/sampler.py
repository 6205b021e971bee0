"""What draws the answers: chunks of samples in, answers out as they come. Two of them: vLLM's engine and a server.

The seed of sample i of a problem is a function of the evaluation's seed, the problem and i alone, so it does not depend
on the order, the batch or the chunk in which it is drawn.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class Chunk:
    """Samples ``first`` .. ``first + count - 1`` of one problem."""

    problem: int
    """Its place among the problems of the evaluation."""
    first: int
    count: int
    seed: int
    """Of its first sample; each one after it has one more."""


BROKEN_OFF = ("abort", "error")
"""Finish reasons of answers that an engine did not finish."""
WITHHELD = "content_filter"
"""The finish reason of an answer that a server does not show: it says nothing about the model."""
SEEDS = "31 bits"
"""Which seeds samples are drawn with: a file of answers is only added to with the same."""
MOST_SAMPLES = 1 << 24
"""Of a problem, for which there are seeds."""


class Answer(NamedTuple):
    """One answer as it was drawn."""

    text: str
    finish_reason: str | None
    """stop, or length for an answer that its limit cut."""
    num_tokens: int | None
    """None where a server does not tell."""
    reasoning: str | None = None
    """What a server has taken out of the answer as the model's thinking; it is kept, and not graded."""


class Sampler(Protocol):
    """Draws answers, and says afterwards what it has noticed."""

    @property
    def rendered_prompts(self) -> Sequence[str]:
        """What the model has read for each problem; empty until it is known, and where only a server knows it."""
        ...

    @property
    def seconds(self) -> Sequence[Mapping[str, float]]:
        """Where the time of each engine went, once all is drawn; empty for a server."""
        ...

    @property
    def num_repeats(self) -> int:
        """Answers that were the same as another one to their problem, where no two to a problem have differed."""
        ...

    def draw(self, chunks: Sequence[Chunk]) -> AsyncGenerator[tuple[Chunk, Sequence[Answer]], None]:
        """Yield every chunk with its answers, in the order in which they are done."""
        ...


def problem_seed(seed: int, question_id: str) -> int:
    """The seed of a problem's sample 0; sample i has this plus i. All are below 2**31: some servers cut longer ones."""
    digest = sha256(f"{seed}/{question_id}".encode()).digest()
    return int.from_bytes(digest[:6], "big") % ((1 << 31) - MOST_SAMPLES)


def missing_runs(done: set[int], num_samples: int, chunk_size: int) -> Iterator[tuple[int, int]]:
    """Yield (first, count) for every run of samples not in ``done``, at most ``chunk_size`` long."""
    first = 0
    while first < num_samples:
        if first in done:
            first += 1
            continue
        count = 1
        while count < chunk_size and first + count < num_samples and first + count not in done:
            count += 1
        yield first, count
        first += count
