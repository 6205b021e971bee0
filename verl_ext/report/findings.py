"""Sentences about results that say no more than the intervals do."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isnan

from verl_ext.metrics.summary import PairedDifference, PassAtKCurve
from verl_ext.plots.style import styles_of
from verl_ext.report.results import Results

_SATURATED = 0.95
_MOST_NAMED = 4


@dataclass(frozen=True)
class Findings:
    """What a run shows, what it leaves open, and what its intervals are not about."""

    shown: list[str]
    undecided: list[str]
    limits: list[str]


def findings(results: Results, *, num_training_seeds: int = 1) -> Findings:
    """Say which differences are decided, in which direction, and list those that are not.

    A difference is decided if its paired 95 % interval excludes 0 and its sign-flip test agrees after Holm's correction
    in its family (``Results.versus_base``, ``Results.between_methods``).
    """
    shown: list[str] = []
    undecided: list[str] = []
    for method in [curve.name for curve in results.curves if curve.name != results.base]:
        comparisons = [row for row in results.versus_base if row.name == method]
        shown += _about_method(comparisons)
        undecided += [_open_question(row, len(results.versus_base)) for row in comparisons if not row.is_decided]
    for _, pair in groupby(results.between_methods, key=lambda row: (row.name, row.base)):
        rows = list(pair)
        shown += _decided_sentence(rows)
        undecided += [_open_question(row, len(results.between_methods)) for row in rows if not row.is_decided]
    if results.versus_base and not any(row.is_decided for row in results.versus_base):
        shown.insert(0, f"No difference from {label(results.base)} is decided at k = 1 or at k = {results.largest_k}.")
    return Findings(shown, undecided, _limits(results, num_training_seeds))


def on_different_problems(results: Results) -> list[str]:
    """That runs have other problems than those that they share, which is what their difference is over; empty if none has."""
    k = results.ks[0]
    num_own = {curve.name: curve.num_problems[curve.at(k)] for curve in results.curves}
    pairs = [
        f"{label(row.name)} ({num_own[row.name]:,}) and {label(row.base)} ({num_own[row.base]:,}) share {row.num_problems:,}"
        for row in [*results.versus_base, *results.between_methods]
        if row.k == k and row.num_problems < max(num_own[row.name], num_own[row.base])
    ]
    if not pairs:
        return []
    named = "; ".join(
        [*pairs[:_MOST_NAMED], *([f"and {len(pairs) - _MOST_NAMED} more pairs"] * (len(pairs) > _MOST_NAMED))]
    )
    return [
        f"The files are not all about the same problems: {named}. A difference is over the shared problems alone, pass@k of "
        "each over all of its own."
    ]


def label(name: str) -> str:
    """The name a reader knows."""
    return styles_of([name])[0].label


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    text = f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text


def p_text(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


def direction(row: PairedDifference) -> str:
    """higher, lower or not decided."""
    if not row.is_decided:
        return "not decided"
    return "higher" if row.difference > 0 else "lower"


def _about_method(comparisons: Sequence[PairedDifference]) -> list[str]:
    """One sentence on what is decided against the base, and what the two ends of the curve say together."""
    sentence = _decided_sentence(comparisons)
    if not sentence or len(comparisons) < 2:
        return sentence
    first, last = comparisons
    ends = (direction(first), direction(last))
    few, many = f"pass@{first.k}", f"pass@{last.k}"
    readings = {
        (
            "higher",
            "lower",
        ): f"Up at {few} and down at {many}: one answer is right more often, and fewer problems have any "
        f"right answer among {last.k}.",
        (
            "lower",
            "higher",
        ): f"Down at {few} and up at {many}: one answer is right less often, and more problems have a "
        f"right answer among {last.k}.",
        ("higher", "higher"): "Up at both ends of the curve.",
        ("lower", "lower"): "Down at both ends of the curve.",
        ("higher", "not decided"): f"Whether {many} moved, and which way, is not decided.",
        ("lower", "not decided"): f"Whether {many} moved, and which way, is not decided.",
        ("not decided", "higher"): f"Whether {few} moved, and which way, is not decided.",
        ("not decided", "lower"): f"Whether {few} moved, and which way, is not decided.",
    }
    return [f"{sentence[0]} {readings[ends]}"]


def _decided_sentence(rows: Sequence[PairedDifference]) -> list[str]:
    """One sentence on the decided comparisons of one pair; none if there are none."""
    decided = [row for row in rows if row.is_decided]
    if not decided:
        return []
    return [f"{label(rows[0].name)} against {label(rows[0].base)}: " + "; ".join(map(_decided, decided)) + "."]


def _decided(row: PairedDifference) -> str:
    return f"pass@{row.k} is {direction(row)} by {100 * abs(row.difference):.1f} points ({_evidence(row)})"


def _open_question(row: PairedDifference, family: int) -> str:
    start = f"Whether {label(row.name)} and {label(row.base)} differ at pass@{row.k}"
    if row.num_different == 0 and row.num_problems > 1:
        seen = f"95 % interval {points(row.low)} to {points(row.high)}"
        return f"{start}: they score the same on each of the {row.num_problems:,} problems ({seen})."
    sentence = f"{start}: the difference seen is {points(row.difference)} points ({_evidence(row)})."
    if row.excludes_zero:
        sentence += f" The interval alone excludes 0; corrected for {family} comparisons it is not enough."
    return sentence


def _evidence(row: PairedDifference) -> str:
    interval = (
        "one problem, so no interval" if isnan(row.low) else f"95 % interval {points(row.low)} to {points(row.high)}"
    )
    return f"{interval}, corrected p {p_text(row.p_holm)}"


def _limits(results: Results, num_training_seeds: int) -> list[str]:
    n = results.largest_k
    limits = [
        "Not decided is not the same as equal: any difference inside the interval is compatible with what was seen.",
        f"{_one_or_more(num_training_seeds)} The intervals are about what other problems of this kind would give, "
        "not about what another seed would give, which can move a method by more than its interval.",
    ]
    limits += _where_k_ends(results)
    if all(curve.pass_at_k[curve.at(n)] >= _SATURATED for curve in results.curves):
        lowest = min(curve.pass_at_k[curve.at(n)] for curve in results.curves)
        limits.append(
            f"At pass@{n} every model is at {100 * lowest:.1f} % or more: these problems are too easy to tell models "
            "apart there."
        )
    limits += [_left_out(curve) for curve in results.curves if any(curve.num_left_out)]
    limits.append(
        "The numbers are about this model, these problems and this budget. They do not say how the methods compare on "
        "another task, on a larger model or after more steps."
    )
    return limits


def _where_k_ends(results: Results) -> list[str]:
    """What the largest k has to do with the number of samples; nothing where every problem has more."""
    n = results.largest_k
    most = max(curve.max_samples for curve in results.curves)
    if all(curve.uses_every_sample(n) for curve in results.curves):
        return [
            f"pass@{n} uses all {n} samples of a problem at once: it is the share of problems with any correct "
            "answer, and nothing in the files tells how it would vary if the same problems were sampled again."
        ]
    if n == min(curve.min_samples for curve in results.curves):
        return [
            f"k ends at {n}, the fewest samples that a problem has. Others have up to {most:,}: all of them count up to there, "
            "and no larger k is shown."
        ]
    return []


def _one_or_more(num_training_seeds: int) -> str:
    if num_training_seeds == 1:
        return "Each method was trained once."
    return f"Each method was trained with {num_training_seeds} seeds."


def _left_out(curve: PassAtKCurve) -> str:
    worst = max(curve.num_left_out)
    return f"{label(curve.name)}: up to {worst:,} problems have fewer than k samples and are left out of pass@k."
