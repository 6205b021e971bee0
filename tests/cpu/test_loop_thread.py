"""What a thread that stands for an actor of Ray does with calls."""

import asyncio
import threading

import pytest

from verl_ext.cpu.loop_thread import LoopThread


@pytest.fixture(scope="module")
def thread():
    return LoopThread("test")


def test_everything_happens_in_one_thread(thread):
    names = {thread.call(lambda: threading.current_thread().name) for _ in range(3)}

    async def name():
        return threading.current_thread().name

    assert names | {thread.call(name)} == {"test"}


def test_calls_wait_for_each_other_only_where_they_await(thread):
    """As requests to a server do, of which the first may take longest."""
    is_open = asyncio.Event()

    async def wait():
        await is_open.wait()
        return "waited"

    async def open_():
        is_open.set()

    first = thread.start(wait)
    thread.call(open_)
    assert first.result() == "waited"


def test_a_call_is_awaited_on_another_loop(thread):
    async def both():
        return await asyncio.gather(*(thread.start(lambda number=number: number + 1) for number in range(3)))

    assert asyncio.run(both()) == [1, 2, 3]


def test_what_is_raised_there_arrives_here(thread):
    def fail():
        raise KeyError("there")

    with pytest.raises(KeyError, match="there"):
        thread.call(fail)


def test_the_callee_changes_a_copy(thread):
    given = {"max_tokens": 3}
    thread.call(lambda options: options.pop("max_tokens"), given)
    assert given == {"max_tokens": 3}
