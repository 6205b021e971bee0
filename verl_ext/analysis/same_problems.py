"""Runs brought to one order of problems, so that row p is the same problem in all of them."""

from collections.abc import Sequence
from dataclasses import replace

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import why_not_paired


class MissingData(ValueError):
    """The files lack what an analysis needs; the message says what, and which file."""


def on_same_problems(runs: Sequence[Generations]) -> list[Generations]:
    """The runs with their problems in the order of the first run's.

    A field to group by is of the problems: one that some run has is given to all.

    Raises:
        ValueError: A run lacks a problem of the first or has one more, or they disagree about a problem.
    """
    first = runs[0]
    aligned = [first]
    for run in runs[1:]:
        row_of = {question_id: row for row, question_id in enumerate(run.question_ids)}
        _check_same(run, first, row_of)
        aligned.append(run.take([row_of[question_id] for question_id in first.question_ids]))
    groups: dict[str, tuple[Generations, list[str]]] = {}
    for run in aligned:
        for field, values in run.groups.items():
            known, expected = groups.setdefault(field, (run, values))
            if values != expected:
                row = next(row for row, value in enumerate(values) if value != expected[row])
                raise ValueError(
                    f"{run.path} and {known.path} are about other problems: question_id {run.question_ids[row]} has "
                    f"{field} {values[row]} in one and {expected[row]} in the other."
                )
    shared = {field: values for field, (_, values) in groups.items()}
    return [replace(run, groups=shared, reasons=original.reasons) for run, original in zip(aligned, runs, strict=True)]


def _check_same(run: Generations, first: Generations, row_of: dict[str, int]) -> None:
    if reason := why_not_paired(run, first):
        raise ValueError(reason)
    lacking = [question_id for question_id in first.question_ids if question_id not in row_of]
    added = sorted(row_of.keys() - set(first.question_ids))
    for without, other, ids in ((run, first, lacking), (first, run, added)):
        if ids:
            raise ValueError(
                f"{without.path} lacks {len(ids):,} of the {other.num_problems:,} problems of {other.path}, the first is "
                f"question_id {ids[0]}. Evaluate every run on the same problems."
            )
