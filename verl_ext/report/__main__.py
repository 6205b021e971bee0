"""Make a report from generations files: python -m verl_ext.report study --runs NAME=PATH... [OPTION...]

study   a base and runs trained from it, on the same problems: study.html, study.json and the pictures (docs/measuring.md)
"""

import shlex
import sys
from collections.abc import Sequence

from verl_ext.host.command_line import print_any_text
from verl_ext.host.threads import use_one_thread

PROGRAM = "python -m verl_ext.report"


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    print_any_text()
    from verl_ext.report.study_options import parse_study, study_help

    name = f"{PROGRAM} study"
    if not arguments or arguments[0] in ("--help", "-h"):
        print(__doc__, study_help(name), sep="\n")
        return 0 if arguments else 2
    try:
        if arguments[0] != "study":
            raise ValueError(f"There is no report {arguments[0]!r}. There is study: {name} --runs NAME=PATH...")
        options = parse_study(arguments[1:], name)
        from verl_ext.report.study_command import run_study  # loads much that a wrong option need not wait for

        run_study(options, f"{PROGRAM} {shlex.join(arguments)}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    use_one_thread()  # the matrices are small; before numpy is loaded
    sys.exit(main(sys.argv[1:]))
