"""Answers of a study's checkpoints and their bases, drawn from one warm engine, and how many of them are correct.

The counts go to each run's ``validation.jsonl``, beside those of validation while training and apart from them: these are drawn as
the policy was trained, validation as ``val_kwargs`` say. A warm engine draws many more answers in the same time, since nothing but
the answers is made.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from omegaconf import DictConfig, ListConfig

from verl_ext.evaluation.kept_engines import KeptEngines
from verl_ext.evaluation.plan import Plan, make_plan
from verl_ext.evaluation.run import evaluate_in_loop
from verl_ext.evaluation.run_options import EvaluationOptions, parse
from verl_ext.host.command_line import shown
from verl_ext.metrics.validations import BY, EVALUATE
from verl_ext.study.grid import Grid
from verl_ext.study.grid_file import GridRun
from verl_ext.training import validation_counts
from verl_ext.training.checkpoints import STEP_FOLDER, checkpoints_folder, saved_steps
from verl_ext.training.configuration import compose_on_device

ANSWERS = "answers"
BASE_STEP = 0


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A model whose answers to the problems of a file are drawn."""

    name: str
    run_folders: tuple[Path, ...]
    """Of the runs whose ``validation.jsonl`` gets the counts: of a base, all that start from it and sample in the same way."""
    step: int
    arguments: tuple[str, ...]
    """Of ``eval/eval.py``, without the number of samples."""
    drawn: Mapping[str, Any]
    """What ``validation.jsonl`` says of how."""


def draws_of(grid: Grid, runs: Sequence[GridRun], output: Path) -> list[Draw]:
    """The base of the runs, counted as step 0 of each of them, and all their checkpoints.

    A base is drawn once for all runs that sample in the same way: at another temperature it gives other answers. Its name is the
    same whichever runs are asked for and have checkpoints, so that its file of answers goes on.

    Args:
        grid: Of the whole study.
        runs: Those of it that are asked for.
        output: The study's folder.

    Raises:
        ValueError: None of the runs has a checkpoint.
    """
    configs = {run.name: compose_on_device(grid.arguments(run)) for run in grid.runs}
    names = _base_names(configs.values())
    found: list[Draw] = []
    bases: dict[_Sampled, int] = {}
    for run in runs:
        config = configs[run.name]
        folder = checkpoints_folder(config)
        steps = saved_steps(folder)
        for data in _files(config) if steps else []:
            sampled = _sampled_base(config, data)
            if sampled in bases:
                base = found[bases[sampled]]
                found[bases[sampled]] = replace(base, run_folders=(*base.run_folders, output / run.name))
            else:
                bases[sampled] = len(found)
                model = str(config.actor_rollout_ref.model.path)
                found.append(_draw(config, run.name, names[sampled], BASE_STEP, model, data, output))
            found += [
                _draw(
                    config, run.name, f"{run.name}-step{step}", step, str(folder / f"{STEP_FOLDER}{step}"), data, output
                )
                for step in steps
            ]
    if not found:
        raise ValueError(f"None of the {len(runs)} runs in {output} has a checkpoint: run the study first.")
    return found


_Sampled = tuple[tuple[str, object], ...]
"""What the answers of a base depend on."""


def _sampled_base(config: DictConfig, data: str) -> _Sampled:
    return tuple(_options(config, str(config.actor_rollout_ref.model.path), data).items())


def _base_names(configs: Iterable[DictConfig]) -> dict[_Sampled, str]:
    """The bases of a study, in the order of its runs: base, base2, ..."""
    bases = dict.fromkeys(_sampled_base(config, data) for config in configs for data in _files(config))
    return {sampled: f"base{number}" if number > 1 else "base" for number, sampled in enumerate(bases, start=1)}


def _files(config: DictConfig) -> list[str]:
    files = config.data.val_files
    return [str(file) for file in files] if isinstance(files, ListConfig) else [str(files)]


def _draw(config: DictConfig, run: str, name: str, step: int, model: str, data: str, output: Path) -> Draw:
    several = len(_files(config)) > 1
    answers = output / ANSWERS / (f"{name}-{Path(data).stem}.jsonl" if several else f"{name}.jsonl")
    options = _options(config, model, data)
    words = (options | {"output_path": answers}).items()
    return Draw(
        name=name,
        run_folders=(output / run,),
        step=step,
        arguments=tuple(word for key, value in words if value is not None for word in (f"--{key}", str(value))),
        drawn={BY: EVALUATE} | {key: options[key] for key in ("temperature", "top_p", "max_tokens")},
    )


def _options(config: DictConfig, model: str, data: str) -> dict[str, Any]:
    """Of ``eval/eval.py``, for the policy as it was trained: at its temperature, from the whole distribution."""
    rollout = config.actor_rollout_ref.rollout
    return {
        "model_path": model,
        "data": data,
        "temperature": rollout.temperature,
        "top_p": 1.0,
        "max_tokens": config.data.max_response_length,
        "max_model_len": rollout.max_model_len,
        "template": config.prompt_template,
    }


async def evaluate(draws: Sequence[Draw], *, num_samples: int, log_path: Path) -> None:
    """Bring the answers of every draw to ``num_samples`` a problem and write the counts; what is there is kept.

    Args:
        draws: What to draw.
        num_samples: Answers to each problem.
        log_path: Takes what evaluation and vLLM print, those of all draws.

    Raises:
        ValueError, RuntimeError, OSError: As ``verl_ext.evaluation.run.evaluate``.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    async with KeptEngines() as engines:
        with log_path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as log:
            for number, draw in enumerate(draws, start=1):
                began = time.time()
                plan = await _evaluate(draw, num_samples, engines, log, began)
                counts = dict(_counts(plan))
                for folder in draw.run_folders:
                    validation_counts.put(folder / validation_counts.NAME, draw.step, counts, draw.drawn, told=_told)
                print(
                    f"{number} of {len(draws)}: {draw.name}: {_accuracies(counts)} ({time.time() - began:.1f} s)",
                    flush=True,
                )


def _told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _evaluate(draw: Draw, num_samples: int, engines: KeptEngines, log: TextIO, began: float) -> Plan:
    options = parse([*draw.arguments, "--num_samples", str(num_samples)], "")
    assert isinstance(options, EvaluationOptions)
    with redirect_stdout(log), redirect_stderr(log):
        plan = make_plan(options, engines)
        print(f"\n=== {draw.name}: eval.py {' '.join(map(shown, options.arguments))}", flush=True)
        await evaluate_in_loop(plan, log, began)
    return plan


def _counts(plan: Plan) -> Iterator[tuple[str, tuple[list[int], list[int]]]]:
    """Data source -> correct and all answers of its problems, in the order of the file."""
    problems = plan.problems
    done = {key: value for output in plan.outputs for key, value in output.done.num_correct.items()}
    drawn = {key: len(ids) for output in plan.outputs for key, ids in output.done.generation_ids.items()}
    for source in dict.fromkeys(problem.task for problem in problems):
        ids = [problem.question_id for problem in problems if problem.task == source]
        yield source, ([done.get(key, 0) for key in ids], [drawn.get(key, 0) for key in ids])


def _accuracies(counts: Mapping[str, tuple[Sequence[int], Sequence[int]]]) -> str:
    return ", ".join(f"{source} {sum(correct) / sum(drawn):.1%} correct" for source, (correct, drawn) in counts.items())
