"""What ``calculate_metrics.py`` does: read files, print tables, write JSON, CSV and a plot."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_ext.metrics.cover import TAUS, cover_at
from verl_ext.metrics.generations import Generations, find_files, stem
from verl_ext.metrics.label_file import left_aside, read_counts
from verl_ext.metrics.pass_at_k import powers_of_two_up_to
from verl_ext.metrics.summary import (
    MajorityCurve,
    PairedDifference,
    PassAtKCurve,
    as_json,
    curve_of,
    curves_by_group,
    majority_curve,
    paired_differences,
    strict_curve_of,
    why_not_paired,
)
from verl_ext.metrics.tables import (
    DIFFERENCE_LEGEND,
    LEGEND,
    MAJORITY_LEGEND,
    NO_MAJORITY_LEGEND,
    STRICT_LEGEND,
    curve_table,
    difference_table,
    group_table,
    undecided_in,
)

_PLOT_ENDINGS = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options as the command line spells them."""

    file_path: Sequence[str]
    """Each a file, a folder or a pattern."""
    k: Sequence[int] | None = None
    by: Sequence[str] = ()
    maj: bool = False
    json: Path | None = None
    csv: Path | None = None
    plot: Path | None = None
    skip_bad_lines: bool = False
    verdict: str | None = None
    """Which of several verdicts counts, in files of other tools."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class FileMetrics:
    """One file of the command line."""

    generations: Generations
    curve: PassAtKCurve
    strict: PassAtKCurve | None
    """By the strict verdicts; None where the file does not have them."""
    majority: MajorityCurve | None
    groups: dict[str, list[PassAtKCurve]] = field(default_factory=dict)


def run(options: Options) -> None:
    """Print the metrics of every file and how each differs from the first.

    Raises:
        ValueError: An input that cannot be measured; the message is for the user.
    """
    paths = [path for pattern in options.file_path for path in find_files(pattern)]
    _check_targets(options, paths)
    files = [_measure(path, name, options) for path, name in zip(paths, _names(paths), strict=True)]
    differences, not_compared = _compare([measured.generations for measured in files], options)
    _print(files, differences, not_compared, has_majority=options.maj)
    if options.json is not None:
        options.json.write_text(
            json.dumps(_as_json(files, differences, not_compared), indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
    if options.csv is not None:
        with options.csv.open("w", encoding="utf-8", newline="") as rows:
            writer = csv.DictWriter(rows, _CSV_COLUMNS)
            writer.writeheader()
            writer.writerows(_csv_rows(files, differences))
    if options.plot is not None:
        _plot([measured.curve for measured in files], options.plot)


def _check_targets(options: Options, paths: Sequence[Path]) -> None:
    """Raise ValueError for a file that cannot be written, or is one of those that are measured."""
    targets = {name: getattr(options, name) for name in ("json", "csv", "plot") if getattr(options, name) is not None}
    for target in targets.values():
        if not target.parent.is_dir():
            raise ValueError(f"{target} cannot be written: the folder {target.parent} does not exist.")
    for name, target in targets.items():
        if any(target.exists() and target.samefile(path) for path in paths):
            raise ValueError(f"--{name} {target} is a file that is measured. Give another name.")
    if options.plot is not None and options.plot.suffix.lower() not in _PLOT_ENDINGS:
        raise ValueError(f"--plot {options.plot}: the name must end in {', '.join(_PLOT_ENDINGS)}.")


def _print(
    files: Sequence[FileMetrics],
    differences: Sequence[PairedDifference],
    not_compared: Sequence[str],
    *,
    has_majority: bool,
) -> None:
    for measured in files:
        print(curve_table(measured.generations, measured.curve, measured.strict, measured.majority))
        for group, curves in measured.groups.items():
            print(f"\n{group_table(group, curves)}")
        print()
    print(LEGEND)
    if any(measured.strict is not None for measured in files):
        print(STRICT_LEGEND)
    print(MAJORITY_LEGEND if has_majority else NO_MAJORITY_LEGEND)
    for reason in not_compared:
        print(f"\nNot compared: {reason}")
    if differences:
        print(f"\n{difference_table(differences)}\n\n{DIFFERENCE_LEGEND}")


def _measure(path: Path, name: str, options: Options) -> FileMetrics:
    generations = _count(path, name, options)
    ks = options.k or powers_of_two_up_to(int(generations.num_samples_P.max()))
    curve = curve_of(generations, ks, seed=options.seed)
    return FileMetrics(
        generations=generations,
        curve=curve,
        strict=strict_curve_of(generations, ks, seed=options.seed),
        majority=majority_curve(generations, ks, seed=options.seed) if options.maj else None,
        groups={group: curves_by_group(generations, group, ks, seed=options.seed) for group in options.by},
    )


def _count(path: Path, name: str, options: Options) -> Generations:
    return read_counts(
        path,
        name=name,
        by=options.by,
        with_answers=options.maj,
        skip_bad_lines=options.skip_bad_lines,
        verdict=options.verdict,
        on_unusable=lambda reason: print(left_aside(reason), file=sys.stderr),
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart, without .jsonl; a path given twice is numbered."""
    names: list[str] = []
    for path in paths:
        parts = path.with_name(stem(path)).parts
        others = [other.with_name(stem(other)).parts for other in paths if other != path]
        length = next(
            (n for n in range(1, len(parts)) if all(other[-n:] != parts[-n:] for other in others)), len(parts)
        )
        name = "/".join(parts[-length:])
        names.append(name if name not in names else f"{name} ({names.count(name) + 1})")
    return names


def _compare(runs: Sequence[Generations], options: Options) -> tuple[list[PairedDifference], list[str]]:
    """Differences from the first run, and why some runs have none."""
    pairs = []
    not_compared = []
    for other in runs[1:]:
        reason = why_not_paired(other, runs[0])
        if reason is None:
            pairs.append((other, runs[0]))
        else:
            not_compared.append(reason)
    if not pairs:
        return [], not_compared
    largest = min(int(run.num_samples_P.max()) for pair in pairs for run in pair)
    ks = options.k or powers_of_two_up_to(largest)
    return paired_differences(pairs, ks, seed=options.seed), not_compared


def _as_json(
    files: Sequence[FileMetrics], differences: Sequence[PairedDifference], not_compared: Sequence[str]
) -> dict[str, Any]:
    return {
        "files": [
            {
                "path": measured.generations.path,
                "num_problems": measured.generations.num_problems,
                "num_bad_lines": measured.generations.num_bad_lines,
                "counted_from": measured.generations.counted_from,
                "reasons": dict(measured.generations.reasons),
                "num_undecided": sum(undecided_in(measured.generations.reasons).values()),
                "headers": as_json(measured.generations.headers),
                "pass_at_k": as_json(measured.curve),
                "strict_pass_at_k": as_json(measured.strict),
                "maj_at_k": as_json(measured.majority),
                "cover_at": dict(
                    zip(
                        map(str, TAUS),
                        cover_at(measured.generations.num_samples_P, measured.generations.num_correct_P),
                        strict=True,
                    )
                ),
                "by": as_json(measured.groups),
            }
            for measured in files
        ],
        "differences": as_json(list(differences)),
        "not_compared": list(not_compared),
    }


_CSV_COLUMNS = (
    "name",
    "path",
    "by",
    "value",
    "k",
    "pass_at_k",
    "low",
    "high",
    "noise_low",
    "noise_high",
    "pass_hat_k",
    "strict_pass_at_k",
    "strict_low",
    "strict_high",
    "maj_at_k",
    "maj_low",
    "maj_high",
    "num_problems",
    "num_left_out",
    "is_every_sample",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "p_holm",
)


def _csv_rows(files: Sequence[FileMetrics], differences: Sequence[PairedDifference]) -> Iterator[dict[str, Any]]:
    difference_of = {(row.name, row.k): row for row in differences}
    for measured in files:
        curves = [("", "", measured.curve)]
        curves += [(group, curve.name, curve) for group, of_group in measured.groups.items() for curve in of_group]
        for group, value, curve in curves:
            for column, k in enumerate(curve.ks):
                row: dict[str, Any] = {
                    "name": measured.generations.name,
                    "path": measured.generations.path,
                    "by": group,
                    "value": value,
                }
                row |= {"k": k, "is_every_sample": int(curve.is_every_sample[column])}
                for name in ("pass_at_k", "low", "high", "noise_low", "noise_high", "pass_hat_k"):
                    row[name] = as_json(getattr(curve, name)[column])
                row |= {"num_problems": curve.num_problems[column], "num_left_out": curve.num_left_out[column]}
                if not group and (strict := measured.strict) is not None:
                    row |= {"strict_pass_at_k": as_json(strict.pass_at_k[column])}
                    row |= {"strict_low": as_json(strict.low[column]), "strict_high": as_json(strict.high[column])}
                if not group and (majority := measured.majority) is not None:
                    row |= {"maj_at_k": as_json(majority.maj_at_k[column])}
                    row |= {"maj_low": as_json(majority.low[column]), "maj_high": as_json(majority.high[column])}
                if not group and (difference := difference_of.get((measured.generations.name, k))) is not None:
                    row |= {"difference": difference.difference, "p_value": difference.p_value}
                    row |= {"difference_low": difference.low, "difference_high": difference.high}
                    row["p_holm"] = difference.p_holm
                yield row


def _plot(curves: Sequence[PassAtKCurve], target: Path) -> None:
    from verl_ext.plots.figures import pass_at_k_figure  # loading matplotlib takes longer than everything else here

    pass_at_k_figure(curves).savefig(target)
