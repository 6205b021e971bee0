#!/usr/bin/env python
r"""Animate the true probabilities of the answers to one problem over the checkpoints of runs: a GIF, an MP4 and a strip.

    python scripts/animate_training.py --out outputs/animation --data data/short/countdown_test.parquet --problem 0 \
        --base models/small --checkpoints psr=outputs/psr nsr=outputs/nsr

A path is a run's output, or a folder of models whose names end in the number of their step. All runs need checkpoints at the
same steps. The MP4 needs ffmpeg.
"""

import argparse
import sys
from collections.abc import Sequence

from verl_ext.host.command_line import path_option, print_any_text
from verl_ext.host.threads import use_one_thread
from verl_ext.plots.animation import pixels, write_moving
from verl_ext.plots.answer_bars import answer_bars_figure, answer_bars_strip
from verl_ext.plots.figures import png

NAME = "training_answers"


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = described.add_argument
    add("--out", type=path_option, required=True, help="folder for the pictures")
    add("--checkpoints", nargs="+", action="extend", required=True, metavar="NAME=PATH", help="of each run")
    add("--base", metavar="PATH", help="the model that training started from: step 0 of every run")
    add("--data", type=path_option, required=True, metavar="FILE", help="a parquet file of verl's rows")
    add("--problem", type=int, default=0, help="the number of its row (default: %(default)s)")
    add("--name", default="the model", help="what the model is called in the picture")
    add(
        "--num_answers",
        type=int,
        default=12,
        help="bars: the answers that are ever most probable (default: %(default)s)",
    )
    add(
        "--num_samples",
        type=int,
        default=512,
        help="of each end of a run, to see which answers there are (default: %(default)s)",
    )
    add("--max_tokens", type=int, default=64, help="of an answer (default: %(default)s)")
    add("--seed", type=int, default=0)
    return described


def main(argv: Sequence[str] | None = None) -> None:
    """Write the pictures."""
    print_any_text()
    described = parser()
    arguments = described.parse_args(argv)
    try:
        write_pictures(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"{described.prog}: {error}")


def write_pictures(arguments: argparse.Namespace) -> None:
    """Compute the probabilities, draw and say what was written; raises ValueError for what cannot be used."""
    from transformers.utils import logging  # with torch, which a wrong option need not wait for

    from verl_ext.dynamics.answer_paths import answer_paths
    from verl_ext.dynamics.checkpoint_list import find_run
    from verl_ext.dynamics.dynamics_options import checkpoints_path
    from verl_ext.evaluation.problems import problems_of_file

    logging.disable_progress_bar()
    runs = [find_run(*checkpoints_path(text), arguments.base) for text in arguments.checkpoints]
    for run in runs[1:]:
        if [each.step for each in run.checkpoints] != [each.step for each in runs[0].checkpoints]:
            raise ValueError(f"{run.name} has checkpoints at other steps than {runs[0].name}.")
    problems = problems_of_file(arguments.data)
    if not 0 <= arguments.problem < len(problems):
        raise ValueError(f"--problem must be from 0 to {len(problems) - 1}, got {arguments.problem}.")
    problem = problems[arguments.problem]
    paths = answer_paths(
        runs,
        problem,
        num_answers=arguments.num_answers,
        num_samples=arguments.num_samples,
        max_tokens=arguments.max_tokens,
        seed=arguments.seed,
    )
    for path in paths:
        print(
            f"{path.name}: right {path.right[0]:.1%} to {path.right[-1]:.1%}, "
            f"right answers in use {path.num_right_in_use[0]:.2f} to {path.num_right_in_use[-1]:.2f}"
        )
    question = " ".join(problem.texts[-1].split())
    frames = [
        pixels(answer_bars_figure(paths, at, problem=question, model=arguments.name))
        for at in range(len(paths[0].steps))
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    last = len(frames) - 1
    seconds = [3.0 if at == last else 1.0 if at == 0 else 0.3 for at in range(len(frames))]
    print("\n".join(write_moving(arguments.out, NAME, frames, seconds)))
    strip = arguments.out / f"{NAME}.png"
    shown = sorted({0, last // 3, 2 * last // 3, last})
    strip.write_bytes(png(answer_bars_strip(paths, shown, problem=question)))
    print(strip)


if __name__ == "__main__":
    use_one_thread()
    main()
