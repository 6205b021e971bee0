r"""Runs broken down by a property of the problems: a field such as level, or whether the reference is an integer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from verl_ext.analysis.same_problems import MissingData
from verl_ext.grading.answers.numbers import read_exact
from verl_ext.grading.answers.spelling import normalize
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import PassAtKCurve, curves_by_group

INTEGER, NOT_INTEGER = "integer", "not an integer"
REFERENCE = "reference answer"


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """pass@k of every run for each value of a field."""

    field: str
    values: tuple[str, ...]
    """In reading order."""
    num_problems: tuple[int, ...]
    """One per value."""
    curves: Mapping[str, tuple[PassAtKCurve, ...]]
    """Run -> a curve per value, named by the value."""


def breakdown(runs: Sequence[Generations], field: str, ks: Sequence[int], *, seed: int = 0) -> Breakdown:
    """Break runs on the same problems (``on_same_problems``) down by ``field``; a k above every n of a value is left out.

    Raises:
        MissingData: The files do not have the field.
    """
    if field not in runs[0].groups:
        raise MissingData(
            f"None of the files has the field {field} with one value in all lines of a problem: "
            f"{', '.join(run.path for run in runs)}."
        )
    curves = {run.name: tuple(curves_by_group(run, field, ks, seed=seed)) for run in runs}
    first = next(iter(curves.values()))
    return Breakdown(
        field=field,
        values=tuple(curve.name for curve in first),
        num_problems=tuple(max(curve.num_problems) for curve in first),
        curves=curves,
    )


def with_kind_of_reference(runs: Sequence[Generations]) -> list[Generations]:
    """The runs with the field ``REFERENCE`` to break down by, over the problems whose reference is a text or a number.

    Raises:
        MissingData: No problem has such a reference.
    """
    first = runs[0]
    kinds = [is_integer(reference_of(runs, row)) for row in range(first.num_problems)]
    rows = [row for row, kind in enumerate(kinds) if kind is not None]
    if not rows:
        raise MissingData(
            f"No line of {', '.join(run.path for run in runs)} has a gold_answer that is a text or a number."
        )
    values = [INTEGER if kinds[row] else NOT_INTEGER for row in rows]
    return [replace(run.take(rows), groups={REFERENCE: values}) for run in runs]


def is_integer(reference: Any) -> bool | None:
    r"""Whether a reference is one exact number, and whole; None for a reference that is neither a text nor a number.

    Read as the grader reads numbers: ``7``, ``-3.0``, ``10,\!080``, ``\$36`` and ``90^\circ`` are integers, while
    ``\frac12``, ``10\%``, ``x=5``, ``2k`` and ``25_8`` are not.
    """
    if isinstance(reference, bool) or not isinstance(reference, str | int | float):
        return None
    exact = read_exact(normalize(str(reference)))
    return exact is not None and exact.value.denominator == 1 and not exact.is_percent


def reference_of(runs: Sequence[Generations], row: int) -> Any:
    """That of the first run that has one: the same problem has the same reference."""
    return next((run.references[row] for run in runs if run.references[row] is not None), None)
