#!/usr/bin/env python
"""Build the small base model of the quickstart and of the tests, unless it already exists.

python scripts/build_small_model.py --out outputs/base
python scripts/build_small_model.py --out outputs/base4 --num_numbers 4 --num_problems 16000
python scripts/build_small_model.py --out /tmp/random --random --tiny --untied
"""

import argparse
import os
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model; left alone if it is up to date")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--untied", action="store_true", help="give the output layer a matrix of its own")
    parser.add_argument("--num_numbers", type=int, default=3, help="numbers in the problems it is taught (default: 3)")
    parser.add_argument("--high", type=int, default=9, help="largest of them (default: 9)")
    parser.add_argument("--num_problems", type=int, default=8000, help="training problems (default: 8000)")
    parser.add_argument("--random", action="store_true", help="random weights, no training: for tests")
    parser.add_argument("--tiny", action="store_true", help="with --random: the size that the tests use")
    arguments = parser.parse_args()
    if arguments.tiny and not arguments.random:
        parser.error("--tiny needs --random: a model of that size does not learn the task.")

    # Read when torch is loaded. A thread that waits spins for microseconds and then sleeps: spinning for longer starves
    # whatever else runs, and sleeping at once slows down a machine of our own.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from verl_ext.small_model.architecture import Architecture
    from verl_ext.small_model.build import TINY, Recipe, build_small_model, random_model

    try:
        if arguments.random:
            architecture = TINY if arguments.tiny else Architecture()
            random_model(arguments.out, is_tied=not arguments.untied, seed=arguments.seed, architecture=architecture)
        else:
            recipe = Recipe(
                architecture=Architecture(is_tied=not arguments.untied),
                num_problems=arguments.num_problems,
                num_numbers=arguments.num_numbers,
                high=arguments.high,
                seed=arguments.seed,
            )
            build_small_model(arguments.out, recipe=recipe)
    except (FileExistsError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
