"""Many calls of the grader at once, as far as its workers come."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

MAX_IN_FLIGHT = 10_000

Item = TypeVar("Item")


async def for_each(items: Iterable[Item], action: Callable[[Item], Awaitable[None]]) -> None:
    """Await ``action`` of every item, of which so many are begun before the first has ended."""
    slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def run(item: Item) -> None:
        try:
            await action(item)
        finally:
            slots.release()

    async with asyncio.TaskGroup() as group:
        for item in items:
            await slots.acquire()
            group.create_task(run(item))
            await asyncio.sleep(0)  # the workers get their work meanwhile
