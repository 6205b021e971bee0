"""Say what would go wrong on this machine, and in a run on it: python -m verl_ext.doctor [--recipe FILE] [OPTION...]

  (nothing)        the machine alone: versions, accelerators, cores, memory, disks, other Rays, the grader
  --recipe FILE    a recipe (recipes/run_*.sh) or a file of stages (recipes/*.yaml, whose first stage is looked at)
  OPTION           name=value of the launcher; behind a recipe they win over it
  --generate       also let vLLM answer one prompt with the run's model (about half a minute on a CPU)
  --json           print the findings as JSON

python -m verl_ext.doctor numerics --help    whether vLLM and the learner compute the same

Nothing is changed, started for good or killed. The exit code is 0 where every line is ok or warn, 1 where one fails, 2 for
a mistake in this command.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from verl_ext.host.command_line import print_any_text, typed_path

RECIPE, GENERATE, JSON = "--recipe", "--generate", "--json"
FLAGS = (GENERATE, JSON)
MODULE_VARIABLE = "VERL_EXT_LAUNCH"
"""What ``recipes/common.sh`` starts with a recipe's options instead of the launcher."""
MODULE = "verl_ext.doctor"
FAILED, BAD_INPUT = 1, 2


def main(arguments: Sequence[str]) -> int:
    """Look at what ``arguments`` name; returns the exit code."""
    print_any_text()
    if {"--help", "-h"} & set(arguments) and arguments[0] != "numerics":
        print(__doc__)
        return 0
    try:
        if arguments[:1] == ["numerics"]:
            from verl_ext.doctor.numerics_command import main as numerics

            return numerics(arguments[1:])
        return _examine(*_read(arguments))
    except ImportError as error:
        print(f"fail  packages           {error}\n{'':<21} -> bash scripts/install.sh installs what training needs.")
        return FAILED
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def _read(arguments: Sequence[str]) -> tuple[list[str], set[str]]:
    """Overrides and flags; a recipe's shell script takes the place of this process.

    Raises:
        ValueError: There is no such flag or file.
    """
    words = list(arguments)
    files = []
    while RECIPE in words:
        place = words.index(RECIPE)
        if place + 1 == len(words):
            raise ValueError(f"{RECIPE} needs a file, like recipes/run_qwen2.5-math-7b_psr_nsr.sh.")
        files.append(words[place + 1])
        del words[place : place + 2]
    unknown = [word for word in words if word.startswith("-") and word not in FLAGS]
    if unknown or len(files) > 1:
        what = f"{unknown[0]} is no option of the doctor" if unknown else f"{RECIPE} can be given once"
        raise ValueError(f"{what}: there are {RECIPE} FILE, {', '.join(FLAGS)}, and the launcher's name=value.")
    flags = {word for word in words if word in FLAGS}
    overrides = [word for word in words if word not in FLAGS]
    if files:
        overrides = _with_recipe(typed_path(files[0]), overrides, sorted(flags))
    return overrides, flags


def _with_recipe(path: Path, overrides: list[str], flags: Sequence[str]) -> list[str]:
    """The options of a file of stages; does not return for a shell script, which comes back here with its own."""
    if not path.is_file():
        raise ValueError(f"{RECIPE} {path}: there is no such file. recipes/README.md lists them.")
    if path.suffix == ".sh":
        sys.stdout.flush()
        os.environ[MODULE_VARIABLE] = MODULE
        os.execvp("bash", ["bash", str(path), *overrides, *flags])
    from verl_ext.stages.stage_file import read_stages

    first = read_stages(path)[0]
    return [*first.overrides, f"trainer.total_training_steps={first.steps}", *overrides]


def _examine(overrides: Sequence[str], flags: set[str]) -> int:
    from verl_ext.doctor.examine import examine

    is_json = JSON in flags
    examination = examine(overrides, generates=GENERATE in flags, say=_nothing if is_json else _say)
    print(examination.as_json() if is_json else examination.summary())
    return examination.exit_code


def _say(line: str) -> None:
    print(line, flush=True)


def _nothing(_line: str) -> None: ...


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # the grader's threads would keep the process for a moment
