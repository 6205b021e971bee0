"""Make a report: python -m verl_ext.report PATH..., or watch RUN_DIR, or study --runs NAME=PATH... (docs/measuring.md)

PATH...  one page about any runs, studies and files of answers: report.html, and each picture as PNG and SVG
watch    a page about a run that follows it while it trains
study    a base and runs trained from it, problem by problem: study.html, study.json and the pictures
"""

import os
import shlex
import sys
from collections.abc import Sequence

from verl_ext.host.command_line import print_any_text
from verl_ext.host.threads import use_one_thread

PROGRAM = "python -m verl_ext.report"


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    print_any_text()
    if not arguments or arguments[0] in ("--help", "-h"):
        from verl_ext.commands.report_options import report_parser, watch_parser
        from verl_ext.report.study_options import study_help

        parsers = (report_parser(PROGRAM), watch_parser(f"{PROGRAM} watch"))
        print(__doc__, *(each.format_help() for each in parsers), study_help(f"{PROGRAM} study"), sep="\n")
        return 0 if arguments else 2
    try:
        _COMMANDS.get(arguments[0], _report)(arguments, f"{PROGRAM} {shlex.join(arguments)}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


# What draws is loaded last: it takes longer than all bad input takes to be found.


def _report(arguments: Sequence[str], command: str) -> None:
    from verl_ext.commands.report_options import parse_report

    options = parse_report(arguments, PROGRAM)
    from verl_ext.commands.report_command import run_report

    run_report(options, command)


def _watch(arguments: Sequence[str], command: str) -> None:
    from verl_ext.commands.report_options import parse_watch

    options = parse_watch(arguments[1:], f"{PROGRAM} watch")
    from verl_ext.commands.watch_run import watch

    os.nice(10)  # the run goes first
    watch(options, command)


def _study(arguments: Sequence[str], command: str) -> None:
    from verl_ext.report.study_options import parse_study

    options = parse_study(arguments[1:], f"{PROGRAM} study")
    from verl_ext.report.study_command import run_study

    run_study(options, command)


_COMMANDS = {"watch": _watch, "study": _study}


if __name__ == "__main__":
    use_one_thread()  # the matrices are small; before numpy is loaded
    sys.exit(main(sys.argv[1:]))
