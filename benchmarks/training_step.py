"""Seconds of a small NSR step on a CPU, and of its parts, against stock verl.

    python benchmarks/training_step.py [--steps 20]

Prints, from runs made one after the other:
  step      a whole step of 64 samples of 16 tokens: stock verl with the same estimator against our trainer
  learner   old log-probs + update of 512 samples: with the sign filter against without, beside the share of tokens kept
  start     seconds from launch to the end of the first optimizer step, both sides
  memory    of all processes of the run without the filter, which is the size of a quickstart's
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean

from runs import median_of, ours, prepare, shared_options, stock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        small = shared_options(folder, prompts=8, samples=8, tokens=16, steps=steps)
        theirs, mine = stock(folder, "stock", small), ours(folder, "ours", small)
        their_step, our_step = median_of(theirs.steps, "step"), median_of(mine.steps, "step")
        print(f"step     stock {their_step:.2f} s, ours {our_step:.2f} s: {their_step / our_step:.2f}x faster")
        print(f"start    stock {theirs.first_step_seconds:.1f} s, ours {mine.first_step_seconds:.1f} s", flush=True)

        large = shared_options(folder, prompts=32, samples=16, tokens=16, steps=steps)
        whole = ours(folder, "unfiltered", [*large, "algorithm.drop_zero_advantage=False"])
        kept = ours(folder, "filtered", large)
        parts = ("old_log_prob", "update_actor")
        all_seconds, kept_seconds = median_of(whole.steps, *parts), median_of(kept.steps, *parts)
        share = mean(step["train/kept_token_ratio"] for step in kept.steps[2:])
        ratio = kept_seconds / all_seconds
        print(f"learner  all samples {all_seconds:.2f} s, kept samples {kept_seconds:.2f} s: {ratio:.3f} of the time")
        print(f"         for {share:.3f} of the tokens: {ratio / share:.2f}x the kept share")
        print(f"memory   {whole.peak_bytes / 2**30:.1f} GiB at most, all processes of a run of 512 samples a step")


if __name__ == "__main__":
    main()
