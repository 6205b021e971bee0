"""The process in which reasoning-gym makes problems: a request on stdin, the problems on stdout, both JSON.

``verl_ext.tasks.gym_tasks`` starts it; nothing untrusted comes here.
"""

import dataclasses
import json
import os
import sys
from difflib import get_close_matches
from typing import Any

from verl_ext.tasks.task import Split, split_of

MAX_MISSES = 5_000
"""Problems in a row that are not wanted, or not new, after which the search ends."""
OURS = ("seed", "size")
"""Options of every generator that have flags of their own."""
SIZE = 2000
"""Problems of one seed: some generators make a list of this length first, and others refuse long ones."""

Made = tuple[int, int, dict[str, Any]]
"""Seed, index and entry."""


class MissingError(Exception):
    """The library cannot be imported."""


def generate(
    name: str, options: dict[str, Any], seed: int, wanted: dict[Split, int], threshold: float
) -> dict[Split, list[Made]]:
    """As ``gym_tasks.generate``: problems as they come out of a file again."""
    found: dict[Split, list[Made]] = {split: [] for split in wanted}
    questions: set[str] = set()
    number = last_new = 0
    while any(len(found[split]) < wanted[split] for split in wanted):
        if number - last_new > MAX_MISSES:
            counts = ", ".join(f"{len(found[split])} of {wanted[split]} {split}" for split in wanted)
            raise ValueError(
                f"reasoning_gym/{name} has only {counts} problems with these options (in {number} tries). Ask for fewer, or "
                "choose options that give more."
            )
        index = number % SIZE
        if index == 0:
            chunk_seed = seed + number  # most generators add the index to it
            dataset = _dataset(name, options, chunk_seed)
        entry = _entry(name, dataset, index)
        split = split_of(entry["question"])
        is_wanted = split in wanted and len(found[split]) < wanted[split]
        if is_wanted and entry["question"] not in questions:
            _check_own_answer(name, dataset, entry, index, threshold)
            questions.add(entry["question"])
            found[split].append((chunk_seed, index, entry))
            last_new = number
        number += 1
    return found


def _dataset(name: str, options: dict[str, Any], seed: int) -> Any:
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise MissingError(
            f"reasoning_gym cannot be imported ({error}). Run scripts/install.sh where there is a C compiler: its dependency "
            "pycosat has to be built."
        ) from None
    known = [field.name for field in dataclasses.fields(DATASETS[name][1]) if field.name not in OURS]
    for key in options:
        if key not in known:
            nearest = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean {nearest[0]}?" if nearest else f"It has {', '.join(known)}."
            raise ValueError(f"reasoning_gym/{name} has no option {key}. {hint}")
    try:
        return reasoning_gym.create_dataset(name, seed=seed, size=SIZE, **options)
    except (AssertionError, TypeError, ValueError) as error:
        raise ValueError(f"reasoning_gym/{name} does not take these options: {error}") from None


def _entry(name: str, dataset: Any, index: int) -> dict[str, Any]:
    try:
        made = dataset[index]
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"reasoning_gym/{name} makes no problem number {index} with these options: {type(error).__name__}: {error}"
        ) from None
    entry: dict[str, Any] = json.loads(json.dumps({key: made[key] for key in ("question", "answer", "metadata")}))
    return entry


def _check_own_answer(name: str, dataset: Any, entry: dict[str, Any], index: int, threshold: float) -> None:
    score = dataset.score_answer(entry["answer"], entry)
    if score < threshold:
        raise ValueError(
            f"reasoning_gym/{name} scores its own answer to problem number {index} with {score:.3g}, below the threshold of "
            f"{threshold:g}: no response could be correct."
        )


def main() -> None:
    # Libraries print; only the reply may reach the parent.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        reply: dict[str, Any] = {"problems": generate(**json.load(sys.stdin))}
    except (ValueError, MissingError) as error:
        reply = {"error": str(error), "is_missing": isinstance(error, MissingError)}
    json.dump(reply, replies)


if __name__ == "__main__":
    main()
