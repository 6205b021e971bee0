#!/usr/bin/env python
r"""Draw training runs and what they came to: training.png, reasons.png, final.png, coverage.png and lambda.png.

    python scripts/plot_runs.py --out outputs/pictures --runs psr=outputs/psr nsr=outputs/nsr \
        --answers base=base.jsonl psr=psr.jsonl nsr=nsr.jsonl

--runs are output folders of training, --answers generations files of an evaluation on the same problems. Names that end in
-seed<N> are seeds of one run: final.png then has the interval over seeds, else that over problems. Runs named lambda_<number>
are drawn over lambda as well.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from verl_ext.host.command_line import (
    check_names_differ,
    named_path,
    path_option,
    print_any_text,
    typed_path,
)
from verl_ext.host.files import replacing
from verl_ext.host.threads import use_one_thread
from verl_ext.metrics.generations import read_generations
from verl_ext.metrics.pass_at_k import powers_of_two_up_to
from verl_ext.metrics.summary import curve_of
from verl_ext.plots.figures import png, training_figure
from verl_ext.plots.reason_stack import REASON_KEYS
from verl_ext.plots.run_figures import coverage_figure, final_figure, has_lambdas, lambda_figure, reasons_figure
from verl_ext.plots.training_curves import LOG_KEYS, LOGGED_PANELS, read_run


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    described.add_argument("--out", type=path_option, required=True, help="folder for the pictures")
    described.add_argument("--runs", nargs="+", action="extend", default=[], metavar="NAME=DIR", help="of training")
    described.add_argument(
        "--answers", nargs="+", action="extend", default=[], metavar="NAME=FILE", help="of evaluations"
    )
    return described


def named(texts: Sequence[str], option: str) -> dict[str, Path]:
    """Name -> path; raises ValueError where a text is something else or a name comes twice."""
    pairs = [named_path(text, option, "nsr=outputs/nsr") for text in texts]
    check_names_differ([name for name, _ in pairs], option)
    return {name: typed_path(path) for name, path in pairs}


def figures(runs: dict[str, Path], answers: dict[str, Path]) -> dict[str, Figure]:
    """Name of the file -> figure."""
    drawn: dict[str, Figure] = {}
    if runs:
        curves = [read_run(folder, name=name, keys=LOG_KEYS | REASON_KEYS) for name, folder in runs.items()]
        drawn["training.png"] = training_figure(curves, panels=LOGGED_PANELS)
        drawn["reasons.png"] = reasons_figure(curves)
    if answers:
        generations = [read_generations(path, name=name) for name, path in answers.items()]
        largest = powers_of_two_up_to(min(int(each.num_samples_P.min()) for each in generations))[-1]
        ks = sorted({1, largest})
        scores = [curve_of(each, ks) for each in generations]
        drawn["final.png"] = final_figure(scores, ks)
        drawn["coverage.png"] = coverage_figure(generations)
        if has_lambdas(scores):
            drawn["lambda.png"] = lambda_figure(scores, ks)
    return drawn


def main(argv: Sequence[str] | None = None) -> None:
    """Write the pictures."""
    print_any_text()
    described = parser()
    arguments = described.parse_args(argv)
    try:
        drawn = figures(named(arguments.runs, "--runs"), named(arguments.answers, "--answers"))
        if not drawn:
            raise ValueError("There is nothing to draw: give --runs, --answers or both.")
        for name, figure in drawn.items():
            with replacing(arguments.out / name) as unfinished:
                unfinished.write_bytes(png(figure))
        print(f"{arguments.out}: {', '.join(drawn)}")
    except (ValueError, OSError) as error:
        sys.exit(f"{described.prog}: {error}")


if __name__ == "__main__":
    use_one_thread()
    main()
