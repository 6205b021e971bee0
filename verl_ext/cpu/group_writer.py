"""Writes to TransferQueue, several callers' rows in one message.

A write costs nearly the same however few rows it has (three messages, a schema, nested tensors). The prompts of a step end within moments of each other, so what comes while a write is under way goes into the next one.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import transfer_queue as tq
from verl.utils.tensordict_utils import list_of_dict_to_tensordict


@dataclass
class _Rows:
    keys: list[str]
    tags: list[dict[str, Any]]
    fields: list[dict[str, Any]] | None
    partition_id: str
    is_written: "asyncio.Future[None]"

    @property
    def kind(self) -> tuple[str, frozenset[str] | None]:
        """Rows of one kind can be written together: verl takes the columns of the first row for those of all."""
        return self.partition_id, None if self.fields is None else frozenset(self.fields[0])


class GroupWriter:
    """``tq.async_kv_batch_put`` for the tasks of one asyncio loop."""

    def __init__(self) -> None:
        self._waiting: list[_Rows] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(
        self,
        keys: list[str],
        tags: list[dict[str, Any]],
        *,
        partition_id: str,
        fields: list[dict[str, Any]] | None = None,
    ) -> None:
        """Write one row a key, and return when it is written; raises what the write raised. Without ``fields``, tags alone."""
        rows = _Rows(keys, tags, fields, partition_id, asyncio.get_running_loop().create_future())
        self._waiting.append(rows)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        await rows.is_written

    async def _write_waiting(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # so that tasks that became ready together are written together
            waiting, self._waiting = self._waiting, []
            kinds: dict[tuple[str, frozenset[str] | None], list[_Rows]] = {}
            for rows in waiting:
                kinds.setdefault(rows.kind, []).append(rows)
            for together in kinds.values():
                await _write(together)


async def _write(together: list[_Rows]) -> None:
    """Tell each caller what came of it, as if it had written alone. One that was cancelled meanwhile is not asked."""
    writing = asyncio.create_task(_put(together))
    await asyncio.wait([writing])
    error = writing.exception()
    for rows in together:
        if rows.is_written.done():
            continue
        if error is None:
            rows.is_written.set_result(None)
        else:
            rows.is_written.set_exception(error)


async def _put(together: list[_Rows]) -> None:
    fields = [row for rows in together for row in rows.fields or ()]
    await tq.async_kv_batch_put(
        keys=[key for rows in together for key in rows.keys],
        fields=list_of_dict_to_tensordict(fields) if fields else None,
        tags=[tag for rows in together for tag in rows.tags],
        partition_id=together[0].partition_id,
    )
