"""Make the runs of a study and compare them, make one run in a published launcher's words, or a baseline.

    python -m verl_ext.study run FILE [--dry-run] [--only PATTERN] [--at_once N] [OPTION...]
    python -m verl_ext.study evaluate FILE [--num_samples N] [--only PATTERN] [OPTION...]
    python -m verl_ext.study results FILE [--output DIR] [--data_source NAME] [OPTION...]
    python -m verl_ext.study experiment [--dry-run] --objective NSR --model_id MODEL ... data.train_files=... data.val_files=...
    python -m verl_ext.study baseline --model MODEL (--task TASK | --data FILE) --output_path FILE ...

FILE is a YAML file of a study (docs/studies.md). Its runs are made one after the other, each in a folder of its own. A run
that fails does not stop the others. Run the same command again after an interruption: what is done is passed by, the rest
goes on from its checkpoints.

  --dry-run       check the options and print the runs with their overrides; start nothing
  --only PATTERN  only the runs whose names fit, such as 'nsr-*'; may come again
  --at_once N     make N runs at the same time, each on accelerators of its own: a Ray cluster, which all of them join by
                  +ray_kwargs.ray_init.address=auto, gives them out
  OPTION          name=value of the launcher, for every run, over what the file says. trainer.output_dir=DIR is where
                  everything goes (outputs/<name of FILE>)

evaluate draws N (256) answers to each validation problem from the base and from all checkpoints of the runs, one after the
other from an engine that stays, into answers/ of the study's folder, and counts the correct ones into validation.jsonl of each
run. What is drawn already is kept.

results compares the finished runs over their seeds and problems: a page, README.md, with its pictures and results.json, from the
validations that the runs have made (trainer.test_freq, trainer.val_before_train).

  --output DIR        where they go (<the study's folder>/results)
  --data_source NAME  which problems, where the validation file has several kinds
  OPTION              trainer.output_dir=DIR, as it was given to run

experiment takes the arguments of a published launcher (docs/studies.md has each with its option) and options of this
package's, name=value, which win. baseline evaluates a model as it is, with --model, --max_tokens, --temperature, --gpu_mem_util
and all other arguments of eval/eval.py, such as --task, --data and --output_path.
"""

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_ext.commands import evaluate
from verl_ext.host.command_line import print_any_text, typed_path
from verl_ext.host.folder_lock import BusyError
from verl_ext.host.log_tail import tail
from verl_ext.study.baseline import evaluation_arguments
from verl_ext.study.checkpoint_answers import draws_of
from verl_ext.study.checkpoint_answers import evaluate as evaluate_draws
from verl_ext.study.grid import AT_ONCE, Grid, check_options
from verl_ext.study.grid_file import DECIDED_HERE, GridRun, read_grid
from verl_ext.study.published import described, launcher_options
from verl_ext.study.results_command import ResultsOptions, write_results
from verl_ext.training.main import use_utf8
from verl_ext.training.one_run import INTERRUPTED

OUTPUT = "trainer.output_dir="
DRY_RUN, ONLY, NUM_SAMPLES = "--dry-run", "--only", "--num_samples"
RESULTS_OUTPUT, DATA_SOURCE = "--output", "--data_source"
LAUNCHER = ("-m", "verl_ext.training.main")


def main(arguments: Sequence[str]) -> int:
    print_any_text()
    if not arguments or {"--help", "-h"} & set(arguments):
        print(f"{__doc__}\n{described()}")
        return 0 if arguments else 2
    try:
        match arguments[0]:
            case "run":
                return _run(arguments[1:])
            case "evaluate":
                return _evaluate(arguments[1:])
            case "results":
                return _results(arguments[1:])
            case "experiment":
                return _experiment(arguments[1:])
            case "baseline":
                return evaluate.main(evaluation_arguments(arguments[1:]), __doc__ or "")
            case other:
                raise ValueError(
                    f"There is no command {other!r}. There are run, evaluate, results, experiment and baseline."
                )
    except (BusyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """The study of a command line."""

    path: Path
    output: Path
    runs: list[GridRun]
    grid: Grid
    selected: list[GridRun]


def _asked(command: str, arguments: Sequence[str]) -> _Asked:
    patterns, others = _words_behind(ONLY, arguments, "a pattern of runs, such as 'nsr-*'")
    path, output, overrides = _file_and_options(command, others)
    _check_overrides(overrides)
    runs = read_grid(path)
    grid = Grid(runs, output, [override for override in overrides if not override.startswith(OUTPUT)])
    return _Asked(path=path, output=output, runs=runs, grid=grid, selected=grid.selected(patterns))


def _run(arguments: Sequence[str]) -> int:
    counts, others = _words_behind(AT_ONCE, arguments, "a number of runs, such as 2")
    at_once = _number(counts[-1], AT_ONCE, "of runs") if counts else 1
    study = _asked("run", [argument for argument in others if argument != DRY_RUN])
    if DRY_RUN not in arguments:
        return study.grid.make(study.selected, study.path, at_once=at_once)
    study.grid.check_options(study.selected)
    print(study.grid.described(study.selected))
    print(f"{len(study.selected)} of {len(study.runs)} runs")
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    counts, others = _words_behind(NUM_SAMPLES, arguments, "a number of answers, such as 64")
    num_samples = _number(counts[-1], NUM_SAMPLES, "of answers") if counts else 256
    study = _asked("evaluate", others)
    draws = draws_of(study.grid, study.selected, study.output)
    log_path = study.output / "evaluate.log"
    try:
        asyncio.run(evaluate_draws(draws, num_samples=num_samples, log_path=log_path))
    except (RuntimeError, OSError) as error:
        print(f"error: {error}\nThe end of {log_path}:\n{tail(log_path)}", file=sys.stderr)
        return 1
    return 0


def _results(arguments: Sequence[str]) -> int:
    folders, others = _words_behind(RESULTS_OUTPUT, arguments, "a folder")
    sources, others = _words_behind(DATA_SOURCE, others, "the name of a data source, such as countdown")
    path, output, overrides = _file_and_options("results", others)
    for override in overrides:
        if not override.startswith(OUTPUT):
            raise ValueError(
                f"{override} is no option of results. There are {RESULTS_OUTPUT}, {DATA_SOURCE} and {OUTPUT}DIR."
            )
    write_results(
        ResultsOptions(
            file=path,
            study_output=output,
            output=typed_path(folders[-1]) if folders else output / "results",
            data_source=sources[-1] if sources else None,
            command=shlex.join(["python", "-m", "verl_ext.study", "results", *arguments]),
        )
    )
    return 0


def _experiment(arguments: Sequence[str]) -> int:
    """Hand over to the launcher, which takes this process."""
    overrides = launcher_options([argument for argument in arguments if argument != DRY_RUN])
    if DRY_RUN not in arguments:
        os.execv(sys.executable, [sys.executable, *LAUNCHER, *overrides])
    check_options(overrides)
    print(shlex.join(["python", *LAUNCHER, *overrides]))
    return 0


def _file_and_options(command: str, arguments: Sequence[str]) -> tuple[Path, Path, list[str]]:
    """The study's file, its folder, and the options behind the file."""
    file, *overrides = arguments or [""]
    if not file or "=" in file or file.startswith("-"):
        raise ValueError(f"The first argument behind {command} is a file of a study, like studies/lambda.yaml.")
    outputs = [override.removeprefix(OUTPUT) for override in overrides if override.startswith(OUTPUT)]
    path = typed_path(file)
    return path, (typed_path(outputs[-1]) if outputs else Path("outputs") / path.stem).absolute(), overrides


def _words_behind(option: str, arguments: Sequence[str], wanted: str) -> tuple[list[str], list[str]]:
    """The values of ``option``, which may come again, and the other arguments."""
    values: list[str] = []
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == option:
            value = next(words, "")
            if not value or value.startswith("--"):
                raise ValueError(f"{option} needs {wanted}.")
            values.append(value)
        elif word.startswith(f"{option}="):
            values.append(word.removeprefix(f"{option}="))
        else:
            others.append(word)
    return values, others


def _number(text: str, option: str, what: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{option} {text} is no number {what}: give 1 or more.")
    return int(text)


def _check_overrides(overrides: Sequence[str]) -> None:
    for override in overrides:
        name = override.partition("=")[0]
        if name.startswith("-") or "=" not in override:
            raise ValueError(
                f"{override} is no option of study. There are {DRY_RUN}, {ONLY} and {AT_ONCE}; others are written name=value."
            )
        if name in DECIDED_HERE and not override.startswith(OUTPUT):
            raise ValueError(f"{name} cannot be set: {DECIDED_HERE[name]}.")


if __name__ == "__main__":
    use_utf8("verl_ext.study")
    sys.exit(main(sys.argv[1:]))
