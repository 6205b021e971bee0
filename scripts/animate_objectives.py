#!/usr/bin/env python
"""Animate what PSR, NSR, their sum and W-REINFORCE make of one next-token distribution: a GIF, an MP4 and a strip for paper.

    python scripts/animate_objectives.py --out outputs/animation                          # from docs/next_token.json
    python scripts/get_model.py smollm2-135m --out models/smollm2
    python scripts/animate_objectives.py --out docs --model models/smollm2 --name SmolLM2-135M-Instruct \
        --question 'Name a prime number below 10.' --start 'A prime number below 10 is ' --right 2 3 5 7

The second way asks a model, and writes what it found into next_token.json beside the pictures. Each step draws tokens from
the softmax over them, and adds to the logits the gradient of the objective: docs/objectives.md. The MP4 needs ffmpeg.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verl_ext.analysis.next_token import NextToken, read_next_token, write_next_token
from verl_ext.analysis.softmax_training import SoftmaxRun, train_softmax
from verl_ext.host.command_line import path_option, print_any_text
from verl_ext.host.threads import use_one_thread
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import OBJECTIVES
from verl_ext.plots.animation import pixels, write_moving
from verl_ext.plots.decomposition import decomposition_figure, decomposition_strip
from verl_ext.plots.figures import png

SHIPPED = Path(__file__).resolve().parents[1] / "docs/next_token.json"
COLUMNS = {
    "reinforce": "RLVR\n= PSR + NSR: REINFORCE",
    "psr": "PSR\nright answers only",
    "nsr": "NSR\nwrong answers only",
    "w_reinforce": "W-REINFORCE\n= {:g} PSR + NSR",
}
NAME = "decomposition"


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = described.add_argument
    add("--out", type=path_option, required=True, help="folder for the pictures")
    add("--distribution", type=path_option, default=SHIPPED, help="a next_token.json (default: the one in docs)")
    add("--model", type=path_option, help="a model folder to ask instead; needs --question, --start and --right")
    add("--name", help="what the model is called in the picture (default: its folder's name)")
    add("--question", help="the user's message")
    add("--start", help="how the answer begins")
    add("--right", nargs="+", help="next tokens that are right answers")
    add("--num_tokens", type=int, default=10, help="how many of the most probable tokens (default: %(default)s)")
    add("--num_steps", type=int, default=256, help="(default: %(default)s)")
    add("--num_samples", type=int, default=8, help="tokens drawn in a step (default: %(default)s)")
    add("--learning_rate", type=float, default=1.0, help="of the logits (default: %(default)s)")
    add("--lambda_psr", type=float, default=0.1, help="W-REINFORCE's weight of right answers (default: %(default)s)")
    add("--num_repeats", type=int, default=256, help="runs that the curves average (default: %(default)s)")
    add("--seed", type=int, default=0)
    return described


def asked(arguments: argparse.Namespace) -> NextToken:
    """The distribution: measured and written down, or read."""
    if arguments.model is None:
        return read_next_token(arguments.distribution)
    if not (arguments.question and arguments.start and arguments.right):
        raise ValueError("--model needs --question, --start and --right.")
    from verl_ext.dynamics.next_token_of import next_token_of  # torch
    from verl_ext.dynamics.policy import Policy

    found = next_token_of(
        Policy(arguments.model),
        arguments.name or arguments.model.name,
        arguments.question,
        arguments.start,
        arguments.right,
        num_tokens=arguments.num_tokens,
    )
    write_next_token(arguments.out / SHIPPED.name, found)
    return found


def runs_of(found: NextToken, arguments: argparse.Namespace) -> list[SoftmaxRun]:
    """A run of each objective, all with the same random numbers."""
    section = {"positive_advantage_weight": arguments.lambda_psr}
    return [
        train_softmax(
            name,
            OBJECTIVES[name].weights_under(AlgorithmOptions.read(section, adv_estimator=name)),
            found.probabilities,
            found.is_right,
            num_steps=arguments.num_steps,
            num_samples=arguments.num_samples,
            learning_rate=arguments.learning_rate,
            num_repeats=arguments.num_repeats,
            seed=arguments.seed,
        )
        for name in COLUMNS
    ]


def frame_steps(num_steps: int) -> list[int]:
    """The first 12 steps and the last, and between them steps that grow by a twelfth."""
    steps = list(range(min(12, num_steps) + 1))
    while steps[-1] < num_steps:
        steps.append(min(num_steps, max(steps[-1] + 1, round(steps[-1] * 13 / 12))))
    return steps


def frame_seconds(steps: Sequence[int]) -> list[float]:
    """Slow where one can follow single tokens, and a rest at the end."""
    return [3.5 if step == steps[-1] else 1.0 if step < 3 else 0.6 if step < 8 else 0.2 for step in steps]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the pictures."""
    print_any_text()
    described = parser()
    arguments = described.parse_args(argv)
    try:
        found = asked(arguments)
        names = [name.format(arguments.lambda_psr) for name in COLUMNS.values()]
        runs = runs_of(found, arguments)
        steps = frame_steps(arguments.num_steps)
        frames = [pixels(decomposition_figure(runs, found, names, step)) for step in steps]
        for run in runs:
            (first, right), (whole, in_use) = (
                (values_SR[0].mean(), values_SR[-1].mean()) for values_SR in (run.right_SR, run.num_right_in_use_SR)
            )
            print(f"{run.name}: right {first:.1%} to {right:.1%}, right answers in use {whole:.2f} to {in_use:.2f}")
        arguments.out.mkdir(parents=True, exist_ok=True)
        print("\n".join(write_moving(arguments.out, NAME, frames, frame_seconds(steps))))
        strip = arguments.out / f"{NAME}.png"
        shown = sorted({0, *(step for step in (8, 32) if step < arguments.num_steps), arguments.num_steps})
        strip.write_bytes(png(decomposition_strip(runs, found, names, shown)))
        print(f"{strip}: steps {', '.join(map(str, shown))}")
    except (ValueError, OSError) as error:
        sys.exit(f"{described.prog}: {error}")


if __name__ == "__main__":
    use_one_thread()
    main()
