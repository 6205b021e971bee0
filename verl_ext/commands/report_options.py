"""The command lines of ``python -m verl_ext.report`` and of its ``watch``, as typed options."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_ext.host.command_line import CommandParser, path_option
from verl_ext.report.reading_options import add_reading_arguments, check_written


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The options as the command line spells them.

    Raises:
        ValueError: A value is out of range.
    """

    paths: Sequence[str]
    base: str | None = None
    output_dir: Path = Path("outputs/report")
    title: str = "Report"
    question: str = ""
    skip_bad_lines: bool = False
    verdict: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_written(self.output_dir, self.seed)


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """The options as the command line spells them.

    Raises:
        ValueError: A value is out of range, or there is no such folder.
    """

    run: Path
    output: Path | None = None
    every: float = 20.0

    def __post_init__(self) -> None:
        if not self.run.is_dir():
            raise ValueError(f"There is no folder {self.run}. Give the output folder of a training run.")
        if not self.every > 0:
            raise ValueError(f"--every must be a number of seconds above 0, got {self.every:g}.")

    @property
    def page(self) -> Path:
        """Where the page is."""
        return self.output or self.run / "report.html"


def parse_report(arguments: Sequence[str], program: str) -> ReportOptions:
    """Read the command line; raises ValueError where an option cannot be used."""
    return ReportOptions(**vars(report_parser(program).parse_args(arguments)))


def parse_watch(arguments: Sequence[str], program: str) -> WatchOptions:
    """Read the command line behind ``watch``; raises ValueError where an option cannot be used."""
    return WatchOptions(**vars(watch_parser(program).parse_args(arguments)))


def report_parser(program: str) -> CommandParser:
    parser = CommandParser(
        prog=program,
        description="One page about any runs, studies and files of answers: report.html, and each picture as PNG and SVG.",
        epilog="Also: python -m verl_ext.report watch RUN_DIR, a page that follows a run; python -m verl_ext.report study, what "
        "training changed, problem by problem.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="[NAME=]PATH",
        help="output folder of a run or of a study, file of answers, or a folder with some of them",
    )
    parser.add_argument(
        "--base", metavar="NAME", help="the answers that others are compared with (default: base, or the first)"
    )
    parser.add_argument(
        "--output_dir",
        type=path_option,
        default=ReportOptions.output_dir,
        metavar="DIR",
        help="report.html and the pictures (default: %(default)s)",
    )
    parser.add_argument("--title", default=ReportOptions.title, help="heading of the page")
    parser.add_argument("--question", default="", metavar="TEXT", help="what was asked; the page begins with it")
    add_reading_arguments(parser)
    return parser


def watch_parser(program: str) -> CommandParser:
    parser = CommandParser(
        prog=program,
        description="Keep a page about a run up to date while it trains, until the run has ended or Ctrl-C is pressed.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=path_option, metavar="RUN_DIR", help="trainer.output_dir of the run")
    parser.add_argument(
        "--output", type=path_option, metavar="FILE", help="the page (default: report.html in the run's folder)"
    )
    parser.add_argument(
        "--every",
        type=float,
        default=WatchOptions.every,
        metavar="SECONDS",
        help="how often the run is looked at, and the open page loads itself (default: %(default)g)",
    )
    return parser
