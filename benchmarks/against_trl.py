"""Seconds of a GRPO step on a CPU, ours and TRL's, with the same model, prompts, lengths, reward and number of updates.

    python benchmarks/against_trl.py --model byte                 # the small model: 64 samples of 16 tokens
    python benchmarks/against_trl.py --model smollm2 --json FILE  # SmolLM2-135M-Instruct: 64 samples of 64 tokens
    python benchmarks/against_trl.py --model smollm2 --trl bfloat16,2,16   # without the search, which takes the longest
    python benchmarks/against_trl.py --model smollm2 --quick      # a few samples, TRL with one thread: does it work?

TRL has an environment of its own, which is made at the first run, and the fastest of its options that keeps float32
weights, which are searched for first: precision, threads, size of a micro-batch. Where TRL is faster still with nothing
but bfloat16 weights, that is a row too. Ours has the defaults of the package. Then the runs take turns. Prints for each:
  step     seconds of a step, the median after the first steps
  wall     the same as a mean by the clock from outside
  first    seconds from launch to the end of the first step
  peak     memory of all its processes, shared memory counted once
  limit    samples a second if the processor did nothing but the step's multiplications of matrices, at the speed
           measured here in the run's precision, and the share of it that the run reached
Both sides must have had the same samples, tokens and updates in every step, else nothing is compared.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from time import monotonic

from trl_comparison import Comparison
from trl_report import ROOT, Report
from trl_runs import Variant

from verl_ext.host.threads import THREAD_VARIABLES
from verl_ext.pretrained.get import get_model


def variant(text: str) -> Variant:
    precision, threads, micro_batch = text.split(",")
    return Variant(precision=precision, threads=int(threads), micro_batch=int(micro_batch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("byte", "smollm2"), default="byte")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: to see that it works")
    parser.add_argument(
        "--all_variants",
        action="store_true",
        help="try every combination of TRL's options, as with --model byte anyway",
    )
    parser.add_argument(
        "--trl",
        type=variant,
        action="append",
        default=[],
        metavar="PRECISION,THREADS,SIZE",
        help="do not search for TRL's fastest options but take these, as a run that searched has named them",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write hardware, versions, settings and all numbers")
    parser.add_argument("--environment", type=Path, default=ROOT / ".cache" / "trl", help="TRL's environment")
    parser.add_argument(
        "--model_path",
        type=Path,
        default=ROOT / ".cache" / "smollm2",
        help="SmolLM2's folder, made where it is missing",
    )
    options = parser.parse_args()
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder")
    if options.model == "smollm2":
        try:
            get_model("smollm2-135m", options.model_path)
        except (ValueError, OSError) as error:
            parser.error(str(error))
    for name in THREAD_VARIABLES:
        os.environ.pop(name, None)  # each side has its own number
    began = monotonic()
    with tempfile.TemporaryDirectory() as name:
        comparison = Comparison(
            kind=options.model,
            is_quick=options.quick,
            tries_all=options.all_variants,
            environment=options.environment.resolve(),
            model_path=options.model_path.resolve(),
            folder=Path(name),
            known=options.trl,
        )
        comparison.measure()
        report = Report(comparison)
    if options.json:
        options.json.write_text(json.dumps(report.as_dict() | {"argv": sys.argv}, indent=1, allow_nan=False) + "\n")
    report.print()
    print(f"{monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
