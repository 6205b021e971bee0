"""Verdicts on an idle machine and beside busy processes: ``benchmarks/grading.py busy``."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from verl_ext.grading import grade

NUM_BUSY = 8
SPAWN = multiprocessing.get_context("spawn")

Case = tuple[str, str, str]
"""A response, its reference and the task."""


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """So many processes that do nothing but take processor time."""
    processes = [SPAWN.Process(target=_turn, daemon=True) for _ in range(number)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _turn() -> None:
    while True:
        pass


def reasons_in_fresh_process(cases: Sequence[Case]) -> list[str]:
    """The reason of each verdict. A process of its own remembers nothing of an earlier pass, and has its own workers."""
    with ProcessPoolExecutor(max_workers=1, mp_context=SPAWN) as process:
        return process.submit(reasons_of, cases).result()


def reasons_of(cases: Sequence[Case]) -> list[str]:
    return [_reason(*case) for case in cases]


def _reason(response: str, reference: str, task: str) -> str:
    try:
        return str(grade(response, reference, task, grader="default").reason)
    except ValueError:
        return "reference refused"


def print_changes(cases: Sequence[Case], reasons: Sequence[str], loaded: Sequence[str]) -> None:
    """How many verdicts differ, and which."""
    changed = [each for each in zip(cases, reasons, loaded, strict=True) if each[1] != each[2]]
    print(f"{len(cases)} verdicts, {len(changed)} differ")
    for (response, reference, _), before, after in changed:
        print(f"  {reference!r:.70} and {response[-70:]!r}: {before}, then {after}")
