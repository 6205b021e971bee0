"""A part of a split with as many problems of each level and subject as the whole has, in proportion.

A stratum is the problems of one level and one subject. Each gets its share of the fraction, rounded by largest remainder:
all are rounded down, and what is missing to the rounded total goes to those that lost most. So a stratum is within one
problem of its exact share.
"""

import math
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from verl_ext.data.sources import Row
from verl_ext.tasks.task import Split

Stratum = tuple[str, str]
"""Level and subject."""


def stratum_quotas(sizes: Mapping[Stratum, int], fraction: Fraction) -> dict[Stratum, int]:
    """How many problems of each stratum make up the fraction of all, 0 < ``fraction`` <= 1, each less than one off."""
    exact = {stratum: fraction * size for stratum, size in sizes.items()}
    quotas = {stratum: math.floor(share) for stratum, share in exact.items()}
    missing = math.floor(fraction * sum(sizes.values()) + Fraction(1, 2)) - sum(quotas.values())
    # Of equal remainders the first by name, so that the order of the rows does not matter.
    most_lost = sorted(sizes, key=lambda stratum: (quotas[stratum] - exact[stratum], stratum))
    for stratum in most_lost[:missing]:
        quotas[stratum] += 1
    return quotas


def strata_of(rows: Sequence[Row], where: str) -> dict[Stratum, list[int]]:
    """Places of the rows of each stratum, in the order of the rows.

    Raises:
        ValueError: A row has no level or no subject.
    """
    places: dict[Stratum, list[int]] = defaultdict(list)
    lacking = 0
    for place, row in enumerate(rows):
        if row.level is None or row.subject is None:
            lacking += 1
        else:
            places[row.level, row.subject].append(place)
    if lacking:
        raise ValueError(
            f"--stratified_fraction draws by level and subject, which {lacking:,} of the {len(rows):,} problems of {where} do "
            "not have. Leave it out."
        )
    return dict(places)


def stratified_places(
    strata: Mapping[Stratum, Sequence[int]],
    fraction: Fraction,
    *,
    seed: int,
    split: Split,
    avoided: Collection[int] = (),
) -> list[int]:
    """Places of the rows that are drawn, in order. The same for the same arguments.

    Args:
        strata: Places of the rows of each stratum.
        fraction: Of all of them, above 0 and at most 1.
        seed: Of the draw.
        split: Which the rows are of: train and test are drawn by other random numbers.
        avoided: Places that are drawn only where a stratum has no others left.
    """
    quotas = stratum_quotas({stratum: len(places) for stratum, places in strata.items()}, fraction)
    drawn = []
    for (level, subject), places in strata.items():
        shuffled = list(places)
        random.Random(f"{seed} {split} {level} {subject}").shuffle(shuffled)
        shuffled.sort(key=lambda place: place in avoided)  # stable
        drawn += shuffled[: quotas[level, subject]]
    return sorted(drawn)
