"""Look into what training did: python -m verl_ext.analysis dynamics --checkpoints NAME=PATH... --data FILE [OPTION...]

dynamics   entropy, distinct answers, probability moved, gradients of the PSR and NSR parts: docs/measuring.md
"""

import sys
from collections.abc import Sequence

from verl_ext.host.command_line import print_any_text
from verl_ext.host.threads import use_one_thread

PROGRAM = "python -m verl_ext.analysis"


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    print_any_text()
    from verl_ext.dynamics.dynamics_options import dynamics_help, parse_dynamics

    name = f"{PROGRAM} dynamics"
    if not arguments or arguments[0] in ("--help", "-h"):
        print(__doc__, dynamics_help(name), sep="\n")
        return 0 if arguments else 2
    try:
        if arguments[0] != "dynamics":
            raise ValueError(
                f"There is no analysis {arguments[0]!r}. There is dynamics: {name} --checkpoints NAME=PATH..."
            )
        options = parse_dynamics(arguments[1:], name)
        from verl_ext.dynamics.checkpoint_list import find_run
        from verl_ext.evaluation.problems import problems_of_file

        runs = [find_run(name, path, options.base) for name, path in options.checkpoints]
        problems = problems_of_file(options.data, limit=options.limit)
        if not problems:
            raise ValueError(f"{options.data} holds no problems.")
        from verl_ext.dynamics.dynamics_command import run_dynamics  # torch: what is named is looked for before

        run_dynamics(runs, problems, options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    use_one_thread()
    sys.exit(main(sys.argv[1:]))
