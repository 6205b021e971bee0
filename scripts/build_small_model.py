#!/usr/bin/env python
"""Build the small base model of the quickstart and of the tests, unless it already exists.

python scripts/build_small_model.py --out outputs/base
python scripts/build_small_model.py --out outputs/narrow --narrow
python scripts/build_small_model.py --out outputs/partial --partial
python scripts/build_small_model.py --out /tmp/random --random --tiny --untied
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model; left alone if it is up to date")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--untied", action="store_true", help="give the output layer a matrix of its own")
    taught = parser.add_mutually_exclusive_group()
    taught.add_argument(
        "--narrow", action="store_true", help="one that leaves some problems unsolved in 256 answers, for studies"
    )
    taught.add_argument(
        "--partial",
        action="store_true",
        help="one that was taught 3,000 of many problems (numbers up to 20), for studies",
    )
    parser.add_argument("--random", action="store_true", help="random weights, no training: for tests")
    parser.add_argument("--tiny", action="store_true", help="with --random: the size that the tests use")
    arguments = parser.parse_args()
    if arguments.random and (arguments.narrow or arguments.partial):
        parser.error("--narrow and --partial are about training, and --random weights have none: give one of them.")
    if arguments.tiny and not arguments.random:
        parser.error("--tiny needs --random: a model of that size does not learn the task.")

    # Read when torch is loaded. A thread that waits spins for microseconds and then sleeps: spinning for longer starves
    # whatever else runs, and sleeping at once slows down a machine of our own.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from verl_ext.small_model.architecture import Architecture
    from verl_ext.small_model.build import NARROW, PARTIAL, TINY, Recipe, build_small_model, random_model

    try:
        if arguments.random:
            architecture = TINY if arguments.tiny else Architecture()
            random_model(arguments.out, is_tied=not arguments.untied, seed=arguments.seed, architecture=architecture)
        else:
            recipe = replace(
                NARROW if arguments.narrow else PARTIAL if arguments.partial else Recipe(),
                architecture=Architecture(is_tied=not arguments.untied),
                seed=arguments.seed,
            )
            build_small_model(arguments.out, recipe=recipe)
    except FileExistsError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
