"""The key ``compare`` of a study's file: the comparisons that the study is about.

compare:
  grpo: [nsr, psr]        # each of these against grpo

A name is a cell's, which is a run's without its seed, or a value's of an axis. Two values stand for all cells that differ in
them alone, and for the average over the other axes.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from verl_ext.analysis.grid_pairs import PrimaryPair

COMPARE = "compare"


def primary_pairs(
    given: Any, cells: Collection[str], values: Mapping[str, Collection[str]], where: str
) -> list[PrimaryPair]:
    """The pairs that a file names, in its order; none where it does not have the key.

    Args:
        given: What the file has there.
        cells: The names of all cells.
        values: Axis -> the names of its values.
        where: The place, for errors.

    Raises:
        ValueError: It is something else, or names what there is not; the nearest is named.
    """
    if given is None:
        return []
    if not isinstance(given, dict) or not given:
        raise ValueError(f"{where} must have pairs as name: [names that are compared with it], got {given}.")
    pairs: list[PrimaryPair] = []
    for base, names in given.items():
        if not isinstance(names, list) or not names:
            raise ValueError(f"{where}: {base} needs a list of names that are compared with it, got {names}.")
        pairs += [_pair(str(name), str(base), cells, values, where) for name in names]
    sides = [{pair.name, pair.base} for pair in pairs]
    twice = [pair for pair, names in zip(pairs, sides, strict=True) if sides.count(names) > 1]
    if twice:
        raise ValueError(f"{where} names {twice[0].name} and {twice[0].base} twice. Once is enough, in one direction.")
    return pairs


def _pair(
    name: str, base: str, cells: Collection[str], values: Mapping[str, Collection[str]], where: str
) -> PrimaryPair:
    for each in (name, base):
        _check_known(
            each, list(dict.fromkeys([*cells, *(value for found in values.values() for value in found)])), where
        )
    if name == base:
        raise ValueError(f"{where} compares {name} with itself. Name two.")
    if name in cells and base in cells:
        return PrimaryPair(name, base, None)
    axes = [axis for axis, found in values.items() if name in found and base in found]
    if len(axes) != 1:
        said = f"are values of {' and '.join(axes)}" if axes else "are neither two cells nor two values of one axis"
        raise ValueError(f"{where}: {name} and {base} {said}. Name cells, such as {next(iter(cells))}.")
    return PrimaryPair(name, base, axes[0])


def _check_known(name: str, known: list[str], where: str) -> None:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
        raise ValueError(f"{where}: no cell and no value of an axis is called {name}. {hint}")
