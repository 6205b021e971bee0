"""The command line of a study as typed options, and the files that they name."""

import argparse
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_ext.host.command_line import CommandParser, check_names_differ, named_path, path_option, shown, typed_path
from verl_ext.metrics.generations import find_files, stem
from verl_ext.report.reading_options import add_reading_arguments, check_written
from verl_ext.tasks.table import plain_name

RUNS = "--runs"


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """The options as the command line spells them.

    Raises:
        ValueError: A run has no name or no file, a name or a file comes twice, or a value is out of range.
    """

    runs: Sequence[tuple[str, str]]
    """(name, file or folder), the base first unless ``base`` says otherwise."""
    base: str | None = None
    base_again: str | None = None
    task: str | None = None
    k: Sequence[int] | None = None
    output_dir: Path = Path("outputs/study")
    title: str = "What training changed"
    skip_bad_lines: bool = False
    verdict: str | None = None
    """Which of several verdicts counts, in files of other tools."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_names_differ([name for name, _ in self.runs], RUNS)
        for k in self.k or ():
            if k < 1:
                raise ValueError(f"--k must be whole numbers from 1, got {k}.")
        check_written(self.output_dir, self.seed)

    def paths(self) -> dict[str, Path]:
        """Name -> generations file of every run.

        Raises:
            ValueError: A file is missing, or is that of two runs.
        """
        found: dict[str, Path] = {}
        for name, place in self.runs:
            path = self.generations_file(place)
            for other, taken in found.items():
                if path.samefile(taken):
                    raise ValueError(f"{other} and {name} are one file, {path}.")
            found[name] = path
        return found

    def generations_file(self, place: str) -> Path:
        """The file, or the one of ``task`` in a folder.

        Raises:
            ValueError: There is none, or there are several and ``task`` does not say which.
        """
        files = find_files(place)
        if self.task is not None and (len(files) > 1 or typed_path(place).is_dir()):
            stems = {plain_name(stem(file)): stem(file) for file in files}
            files = [file for file in files if plain_name(stem(file)) == plain_name(self.task)]
            if not files:
                near = difflib.get_close_matches(plain_name(self.task), stems, n=1, cutoff=0.4)
                hint = f"Did you mean {stems[near[0]]}?" if near else f"It has {', '.join(stems.values())}."
                raise ValueError(f"{place} has no answers to {self.task}. {hint}")
        if len(files) > 1:
            raise ValueError(
                f"{place} is several files: {', '.join(map(shown, files))}. Name one, or the --task of a folder."
            )
        return files[0]


def parse_study(arguments: Sequence[str], program: str) -> StudyOptions:
    """Read the command line behind ``study``.

    Raises:
        ValueError: The options cannot be used.
    """
    given = vars(_parser(program).parse_args(arguments))
    return StudyOptions(
        **given | {"runs": [named_path(text, RUNS, "base=outputs/base/math500.jsonl") for text in given["runs"]]}
    )


def study_help(program: str) -> str:
    """What the command line may hold."""
    return _parser(program).format_help()


def _parser(program: str) -> CommandParser:
    parser = CommandParser(prog=program, description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        RUNS,
        nargs="+",
        action="extend",
        required=True,
        metavar="NAME=PATH",
        help="generations file of each run, or the folder that eval.sh wrote; the base first",
    )
    parser.add_argument("--base", metavar="NAME", help="the run that the others are compared with (default: the first)")
    parser.add_argument(
        "--base_again",
        metavar="PATH",
        help="a second file of the base's answers, drawn with another --seed: the rate at which fresh samples of the base "
        "solve what it never solved. Without it half of its samples are tried against the other half",
    )
    parser.add_argument("--task", help="which file of a folder, such as MATH-500")
    parser.add_argument(
        "--k", type=_numbers, help="values of k, such as 1,8,128 (default: powers of two up to n, and n)"
    )
    parser.add_argument(
        "--output_dir",
        type=path_option,
        default=StudyOptions.output_dir,
        metavar="DIR",
        help="study.html, study.json and the pictures (default: %(default)s)",
    )
    parser.add_argument("--title", default=StudyOptions.title, help="heading of the page")
    add_reading_arguments(parser)
    return parser


_DESCRIPTION = (
    "One page about a base and runs trained from it, from the generations files of an evaluation: pass@k by bootstrap and "
    "unbiased, pass@1 over problems, by level and subject, answers that are no integers, what the base never solved, and the "
    "least squares of accuracy on level and subject."
)


def _numbers(text: str) -> list[int]:
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", text):
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 1,8,128, got {text!r}")
    return sorted({int(number) for number in text.split(",")})
