"""Make a page of answers that opens offline: step, problem, answers, with filters and two runs side by side.

    python -m verl_ext.viewer [NAME=]PATH... --output FILE.html

PATH is a generations file, whatever else calculate_metrics.py reads, a folder or pattern of such files, or the folder of a
training run, of which the rollout log is shown.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verl_ext.host.command_line import CommandParser, path_option, print_any_text, shown
from verl_ext.viewer.answer_places import place_of
from verl_ext.viewer.viewer_page import write_viewer

_LARGE_BYTES = 100_000_000
"""Beyond this a phone has trouble."""


def parser() -> CommandParser:
    whole = CommandParser(prog="python -m verl_ext.viewer", description=__doc__, allow_abbrev=False)
    whole.formatter_class = argparse.RawDescriptionHelpFormatter
    whole.add_argument("places", nargs="+", metavar="[NAME=]PATH", help="files of answers, or folders of runs")
    whole.add_argument("--output", type=path_option, default=Path("outputs/answers.html"), metavar="FILE")
    whole.add_argument("--title", default="Answers", help="the page's heading")
    whole.add_argument(
        "--most", type=_count, metavar="N", help="the first N answers of a problem and file; all by default"
    )
    whole.add_argument(
        "--verdict", metavar="NAME", help="which verdict counts where files of another tool have several"
    )
    return whole


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    print_any_text()
    options = parser().parse_args(arguments)
    try:
        if options.output.is_dir():
            raise ValueError(
                f"--output {options.output} is a folder. Name a file, such as {options.output / 'answers.html'}."
            )
        written = write_viewer(
            list(map(place_of, options.places)),
            options.output,
            title=options.title,
            most=options.most,
            verdict=options.verdict,
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for sentence in written.missing:
        print(f"Note: {sentence}")
    megabytes = written.num_bytes / 1e6
    print(f"{shown(written.path)}: {written.num_answers:,} answers of {written.num_files} files, {megabytes:.1f} MB")
    if written.num_bytes > _LARGE_BYTES:
        print("Note: a page of this size is slow to open. --most N shows fewer answers of each problem.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
