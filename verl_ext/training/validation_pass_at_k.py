"""pass@k of a validation, with intervals over problems, as ``calculate_metrics.py`` has it of the same answers.

Names, of a data source S: ``val-core/S/acc/pass@k``, ``val-aux/S/acc/pass@k/low`` and ``/high``, ``val-aux/S/acc/cover@tau``; and
``val-aux/S/level/Level 5/pass@k`` with its ends where rows have a level or a subject.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from verl_ext.metrics.cover import TAUS, cover_at
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.pass_at_k import pass_at_k_table
from verl_ext.metrics.summary import PairedDifference, PassAtKCurve, curve_of, curves_by_group, paired_differences

OPTION = "trainer.pass_at_k"
FIELDS = ("level", "subject")
"""Of a row's ``extra_info``: what results are broken down by."""

Counts = Mapping[str, tuple[Sequence[int], Sequence[int]]]
"""Data source -> correct and all samples of its problems, in the order of the data."""
Groups = Mapping[str, Mapping[str, list[str]]]
"""Data source -> field -> value of its problems, in the order of the data."""


def noting(batches: Iterable[Mapping[str, Any]], rows: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The batches of a data loader, with the ``extra_info`` of their rows added to ``rows`` as they pass."""
    for batch in batches:
        infos = batch.get("extra_info")
        rows += [{}] * len(batch["raw_prompt"]) if infos is None else [info or {} for info in infos]
        yield batch


def groups_of(data_sources: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """What each problem's row says of it, for the fields that all rows of a data source have.

    Args:
        data_sources: Of each problem, in the order of the data.
        rows: The ``extra_info`` of each.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for source in dict.fromkeys(data_sources):
        of_source = [row for name, row in zip(data_sources, rows, strict=True) if name == source]
        known = [field for field in FIELDS if all(row.get(field) is not None for row in of_source)]
        found[source] = {field: [str(row[field]) for row in of_source] for field in known}
    return found


def generations_of(
    source: str, counts: tuple[Sequence[int], Sequence[int]], groups: Mapping[str, list[str]]
) -> Generations:
    """What is known of the problems of a data source; those of which no answer could be graded are left out."""
    num_correct, num_samples = counts
    whole = Generations(
        name=source,
        path=f"validation of {source}",
        question_ids=[f"{source}/{place}" for place in range(len(num_correct))],
        num_samples_P=np.asarray(num_samples, dtype=np.int64),
        num_correct_P=np.asarray(num_correct, dtype=np.int64),
        references=[None] * len(num_correct),
        groups=groups,
    )
    return whole.take([row for row, samples in enumerate(num_samples) if samples])


def described(counts: Counts, groups: Groups, ks: Sequence[int]) -> dict[str, float]:
    """The metrics of a validation.

    Args:
        counts: From ``validation_counts.counts``.
        groups: From ``groups_of``; may lack data sources.
        ks: Values of k. One that is above the graded samples of every problem is left out.
    """
    found: dict[str, float] = {}
    for source, of_source in counts.items():
        generations = generations_of(source, of_source, groups.get(source, {}))
        if not generations.num_problems:
            continue
        possible = [k for k in ks if k <= generations.num_samples_P.max()]
        found |= _of_curve(f"{source}/acc", curve_of(generations, possible), "core")
        covers = cover_at(generations.num_samples_P, generations.num_correct_P)
        found |= {f"val-aux/{source}/acc/cover@{tau:g}": cover for tau, cover in zip(TAUS, covers, strict=True)}
        for field in generations.groups:
            for curve in curves_by_group(generations, field, possible):
                found |= _of_curve(f"{source}/{field}/{curve.name}", curve, "aux")
    return found


def _of_curve(stem: str, curve: PassAtKCurve, kind: str) -> dict[str, float]:
    """A curve's values; an end that a single problem does not tell is left out."""
    found = {}
    for k, value, low, high in zip(curve.ks, curve.pass_at_k, curve.low, curve.high, strict=True):
        found[f"val-{kind}/{stem}/pass@{k}"] = value
        for end, name in ((low, "low"), (high, "high")):
            if end == end:
                found[f"val-aux/{stem}/pass@{k}/{name}"] = end
    return found


class Compared(NamedTuple):
    """A validation and another one of the same problems."""

    before: float
    """pass@k of the other, over those problems."""
    difference: PairedDifference


def difference_from(base: Counts, now: Counts, k: int) -> Compared | None:
    """pass@k of a validation minus that of ``base``, over the same problems of all data sources together.

    None where no problem has k graded samples in both.
    """
    ours, theirs = _with_samples(now, k), _with_samples(base, k)
    shared = set(ours.question_ids) & set(theirs.question_ids)
    if not shared:
        return None
    ours, theirs = (
        one.take([row for row, question_id in enumerate(one.question_ids) if question_id in shared])
        for one in (ours, theirs)
    )
    (difference,) = paired_differences([(ours, theirs)], [k])
    return Compared(float(pass_at_k_table(theirs.num_samples_P, theirs.num_correct_P, [k]).mean()), difference)


def _with_samples(counts: Counts, k: int) -> Generations:
    """The problems of all data sources that have k graded samples."""
    parts = [generations_of(source, of_source, {}) for source, of_source in counts.items()]
    whole = Generations(
        name="pass@k",
        path="validation",
        question_ids=[one for part in parts for one in part.question_ids],
        num_samples_P=np.concatenate([part.num_samples_P for part in parts]),
        num_correct_P=np.concatenate([part.num_correct_P for part in parts]),
        references=[None for part in parts for _ in part.question_ids],
    )
    return whole.take([row for row, samples in enumerate(whole.num_samples_P) if samples >= k])
