"""The number of a sample among those of its batch, by which engines order what they are asked and servers are chosen."""

from collections.abc import Sequence
from typing import TypeVar

Server = TypeVar("Server")
MOST_SAMPLES = 2**20
"""Of one prompt."""


def number_of(place: int, sample: int) -> int:
    """The number, at least 1, of one of the samples of the prompt at ``place``; verl does not pass a 0 on."""
    return 1 + place * MOST_SAMPLES + sample


def place_of(number: int) -> int:
    """The place of the prompt of the sample with this number."""
    return (number - 1) // MOST_SAMPLES


def server_for(number: int, servers: Sequence[Server]) -> Server:
    """Where the sample with this number goes: the samples of a prompt to one server, the same whenever they come."""
    return servers[place_of(number) % len(servers)]
