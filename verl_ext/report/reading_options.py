"""What the command lines of pages about answers have in common."""

import argparse
from pathlib import Path


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """How files of answers are read, and the seed of what is computed of them."""
    parser.add_argument(
        "--skip_bad_lines", action="store_true", help="leave out lines that are no graded answer, and count them"
    )
    parser.add_argument(
        "--verdict",
        metavar="NAME",
        help="which verdict counts where a file of another tool has several: inspect's scorer, or lm-eval's METRIC or METRIC,FILTER",
    )
    parser.add_argument("--seed", type=int, default=0, help="of every bootstrap and sign-flip test (default: 0)")


def check_written(output_dir: Path, seed: int) -> None:
    """Raise ValueError where ``--output_dir`` is a file or ``--seed`` is out of range."""
    if seed < 0:
        raise ValueError(f"--seed must be a whole number from 0, got {seed}.")
    if output_dir.exists() and not output_dir.is_dir():
        raise ValueError(f"--output_dir {output_dir} is a file. Give the name of a folder.")
