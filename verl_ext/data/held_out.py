"""A validation part of the training problems: what a checkpoint may be chosen by, since it is not the test set.

The problems are drawn in proportion to level and subject, where rows have them. A question that comes again goes to one side
with all its copies, also in another order: Countdown's "3 5 7" is "7 5 3".
"""

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from verl_ext.data.rows import VerlRow
from verl_ext.data.stratified import Stratum, stratified_places

VALIDATION = "validation"


def held_out(rows: Sequence[VerlRow], share: Fraction, seed: int) -> tuple[list[VerlRow], list[VerlRow]]:
    """The training rows that stay, and those that are held out, both in their order. The same for the same arguments.

    Args:
        rows: Of the training file.
        share: Of its different questions, above 0 and below 1.
        seed: Of the draw.

    Raises:
        ValueError: One of the two would be empty.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[_question(row)].append(place)
    strata: dict[Stratum, list[int]] = defaultdict(list)
    for first, *_again in places.values():
        strata[_stratum(rows[first])].append(first)
    drawn = frozenset(stratified_places(strata, share, seed=seed, split="train"))
    out = {place for copies in places.values() if copies[0] in drawn for place in copies}
    if not out or len(out) == len(rows):
        raise ValueError(
            f"--validation_share {float(share):g} of {len(places):,} questions leaves none for {'training' if out else 'validation'}."
        )
    kept = [row for place, row in enumerate(rows) if place not in out]
    return kept, [_marked(row) for place, row in enumerate(rows) if place in out]


def _question(row: VerlRow) -> str:
    """What two rows have in common that ask the same."""
    return " ".join(sorted(row["prompt"][-1]["content"].split()))


def _stratum(row: VerlRow) -> Stratum:
    info = row["extra_info"]
    return str(info.get("level")), str(info.get("subject"))


def _marked(row: VerlRow) -> VerlRow:
    return row | {"extra_info": row["extra_info"] | {"split": VALIDATION}}
