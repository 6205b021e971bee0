"""Rows of several prompts are written in one message, each in its order, and a failure reaches all of its callers."""

import asyncio
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from verl_ext.cpu import group_writer
from verl_ext.cpu.group_writer import GroupWriter


class Queue:
    """Keeps what is written. A write takes a moment, as a real one does, in which others come."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, list[str], TensorDict | None]] = []

    async def put(
        self, *, keys: list[str], fields: TensorDict | None, tags: list[dict[str, Any]], partition_id: str
    ) -> None:
        await asyncio.sleep(0.01)
        if "refused" in keys:
            raise OSError("the queue is gone")
        assert [tag["of"] for tag in tags] == keys
        self.writes.append((partition_id, keys, fields))


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    queue = Queue()
    monkeypatch.setattr(group_writer.tq, "async_kv_batch_put", queue.put)
    return queue


def tags(*keys: str) -> list[dict[str, Any]]:
    return [{"of": key} for key in keys]


def row(*tokens: int) -> dict[str, Any]:
    return {"prompts": torch.tensor(tokens), "text": " ".join(map(str, tokens))}


async def put(writer: GroupWriter, *keys: str, partition_id: str = "train", **fields: Any) -> None:
    await writer.put(list(keys), tags(*keys), partition_id=partition_id, **fields)


def test_what_comes_while_a_write_is_under_way_is_written_together(queue: Queue) -> None:
    async def run() -> None:
        writer = GroupWriter()
        await asyncio.gather(*(put(writer, f"{number}_0", f"{number}_1") for number in range(8)))

    asyncio.run(run())
    assert queue.writes == [("train", [f"{number}_{sample}" for number in range(8) for sample in (0, 1)], None)]


def test_a_caller_goes_on_when_its_rows_are_written_and_not_before(queue: Queue) -> None:
    async def prompt(writer: GroupWriter, name: str) -> None:
        await put(writer, name + "_0", fields=[row(1)])
        assert any(name + "_0" in keys for _, keys, _ in queue.writes)
        await put(writer, name)

    async def run() -> None:
        writer = GroupWriter()
        await asyncio.gather(*(prompt(writer, name) for name in "ab"))

    asyncio.run(run())
    assert [keys for _, keys, _ in queue.writes] == [["a_0", "b_0"], ["a", "b"]]


def test_rows_of_other_columns_and_partitions_are_written_apart(queue: Queue) -> None:
    async def run() -> None:
        writer = GroupWriter()
        await asyncio.gather(
            put(writer, "a", fields=[row(1, 2)]),
            put(writer, "b", fields=[row(3) | {"more": 1}]),
            put(writer, "c", fields=[row(4)]),
            put(writer, "d", fields=[row(5)], partition_id="val"),
        )

    asyncio.run(run())
    assert [(partition, keys) for partition, keys, _ in queue.writes] == [
        ("train", ["a", "c"]),
        ("train", ["b"]),
        ("val", ["d"]),
    ]
    fields = queue.writes[0][2]
    assert fields is not None
    assert [tokens.tolist() for tokens in fields["prompts"].unbind()] == [[1, 2], [4]]
    assert list(fields["text"]) == ["1 2", "4"]


def test_a_failure_reaches_all_whose_rows_it_took_and_no_others(queue: Queue) -> None:
    async def run() -> list[BaseException | None]:
        writer = GroupWriter()
        ended = await asyncio.gather(put(writer, "a"), put(writer, "refused"), return_exceptions=True)
        return [*ended, *await asyncio.gather(put(writer, "b"), return_exceptions=True)]

    first, second, third = asyncio.run(run())
    assert [type(error) for error in (first, second, third)] == [OSError, OSError, type(None)]
    assert queue.writes == [("train", ["b"], None)]


def test_rows_that_cannot_be_columns_are_an_error_of_their_caller(queue: Queue) -> None:
    async def run() -> None:
        await put(GroupWriter(), "a", "b", fields=[row(1), {"text": "no prompts"}])

    with pytest.raises(KeyError, match="prompts"):
        asyncio.run(run())


def test_a_caller_that_is_cancelled_does_not_take_the_others_along(queue: Queue) -> None:
    async def run() -> None:
        writer = GroupWriter()
        gone, kept = asyncio.create_task(put(writer, "a")), asyncio.create_task(put(writer, "b"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(kept, timeout=60)

    asyncio.run(run())
    assert queue.writes == [("train", ["a", "b"], None)]
