"""Seconds of a small NSR step on a CPU with the old log-probs from its own update, and with a pass for them beforehand.

    python benchmarks/one_pass.py [--steps 20] [--repeats 2]

The same run with algorithm.one_pass on and off, in turn, so that both meet the same machine. Prints, as medians over the
steps of all runs:
  step      a whole step of 64 samples of 16 tokens, one update
  learner   old log-probs + update of 512 samples with the sign filter, beside the share of tokens kept
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean

from runs import median_of, ours, prepare, shared_options

OPTIONS = {"on": "algorithm.one_pass=True", "off": "algorithm.one_pass=False"}
LEARNER = ("old_log_prob", "update_actor")
SKIPPED = 2
"""First steps of a run, which warm it up."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for part, prompts, samples in (("step", 8, 8), ("learner", 32, 16)):
            work = shared_options(folder, prompts=prompts, samples=samples, tokens=16, steps=arguments.steps)
            steps = alternating(folder, part, work, arguments.repeats)
            names = ("step",) if part == "step" else LEARNER
            seconds = {name: median_of(of_runs, *names, skip=0) for name, of_runs in steps.items()}
            print(
                f"{part:<8} one pass {seconds['on']:.3f} s, two {seconds['off']:.3f} s: "
                f"{seconds['on'] / seconds['off']:.2f} of the time",
                flush=True,
            )
            if part == "learner":
                whole = ours(folder, "whole", [*work, OPTIONS["off"], "algorithm.drop_zero_advantage=False"])
                share = mean(step["train/kept_token_ratio"] for step in steps["on"])
                ratio = seconds["on"] / median_of(whole.steps, *LEARNER)
                print(f"         {ratio:.3f} of two passes over all samples, for {share:.3f} of the tokens: ", end="")
                print(f"{ratio / share:.2f}x the kept share")


def alternating(folder: Path, part: str, work: list[str], repeats: int) -> dict[str, list[dict[str, float]]]:
    """The steps of ``repeats`` runs with each option, without the first of each run."""
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in OPTIONS}
    for number in range(repeats):
        for name, option in OPTIONS.items():
            steps[name] += ours(folder, f"{part}_{name}_{number}", [*work, option]).steps[SKIPPED:]
    return steps


if __name__ == "__main__":
    main()
