"""Items of two answers without an order, matched one to one."""

from collections.abc import Callable, Sequence


def matched(table: Sequence[Sequence[bool | None]]) -> bool | None:
    """Whether every row gets a column of its own; None where that hangs on entries that are not known."""
    if _has_matching(table, lambda is_same: is_same is True):
        return True
    return None if _has_matching(table, lambda is_same: is_same is not False) else False


def _has_matching(table: Sequence[Sequence[bool | None]], is_edge: Callable[[bool | None], bool]) -> bool:
    """Whether every row gets a column of its own (Kuhn's augmenting paths)."""
    row_of: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, is_same in enumerate(table[row]):
            if is_edge(is_same) and column not in seen:
                seen.add(column)
                if column not in row_of or place(row_of[column], seen):
                    row_of[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(table)))
