"""What one evaluation will draw: which problems, how, from which source, and into which files.

``make_plan`` reads and checks, and writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_ext.evaluation.answer_file import existing_path
from verl_ext.evaluation.drawing import Output
from verl_ext.evaluation.kept_engines import KeptEngines
from verl_ext.evaluation.problems import Problem, problems_of_file, problems_of_task
from verl_ext.evaluation.run_file import differences, grader_name, merged_run, new_run
from verl_ext.evaluation.run_options import EvaluationOptions
from verl_ext.evaluation.sampler import SEEDS
from verl_ext.evaluation.sampling_settings import CHAT, Defaults, Sampling
from verl_ext.evaluation.source import Source, find_source
from verl_ext.metrics.side_file import plain_path, read_run, run_path


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An evaluation that can be run."""

    options: EvaluationOptions
    source: Source
    sampling: Sampling
    chat_options: Mapping[str, Any]
    """Given to the chat template."""
    outputs: Sequence[Output]
    """A file for each task."""

    @property
    def problems(self) -> list[Problem]:
        """Of all outputs, one after the other."""
        return [problem for output in self.outputs for problem in output.problems]

    @property
    def log_path(self) -> Path:
        if self.options.output_dir is not None:
            return self.options.output_dir / "eval.log"
        path = self.outputs[0].path
        return path.with_name(f"{path.name}.log")


def make_plan(options: EvaluationOptions, engines: KeptEngines | None = None) -> Plan:
    """Find the model and the problems; ``engines`` are for ``find_source``.

    Raises:
        ValueError, FileNotFoundError: One of them is not there, or they do not fit together.
    """
    source = find_source(options, engines)
    defaults = source.defaults
    plan = Plan(
        options=options,
        source=source,
        sampling=options.sampling_of(defaults.sampling),
        chat_options=defaults.chat_options if options.chat_options is None else options.chat_options,
        outputs=_outputs(options, defaults),
    )
    source.check(plan.problems)
    return plan


def _outputs(options: EvaluationOptions, defaults: Defaults) -> list[Output]:
    limit = options.num_problems
    if options.data is not None:
        name = options.data.stem
        problems = problems_of_file(options.data, template=options.template or CHAT, limit=limit)
        return [_output(name, problems, options.path_of(name))]
    outputs = []
    for name in options.task:
        template = options.template or defaults.template
        problems = problems_of_task(name, template=template, data_dir=options.data_dir, limit=limit)
        outputs.append(_output(name, problems, options.path_of(problems[0].task)))
    paths = [output.path for output in outputs]
    if len(set(paths)) < len(paths):
        raise ValueError(f"--task {' '.join(options.task)} names a task twice.")
    return outputs


def _output(name: str, problems: Sequence[Problem], path: Path) -> Output:
    if not problems:
        raise ValueError(f"{name} has no problems.")
    ids = [problem.question_id for problem in problems]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{name} has two problems with one id: nobody could say whose answer is whose.")
    return Output(name=name, problems=problems, path=plain_path(path))


def side_files(plan: Plan, model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What will be in the side file of each output: a new one, or the one that is there with these problems added.

    Args:
        plan: The evaluation.
        model: What ``Source.prepare`` says about the model.

    Raises:
        ValueError: A file of answers was drawn from another model, with other sampling or prompts, or nobody knows how.
    """
    facts = {
        **plan.sampling.facts(),
        "chat_options": dict(plan.chat_options),
        "grader": grader_name(),
        "seeds": SEEDS,
        **plan.source.sampling_facts(),
    }
    return [_side_file(output.path, new_run(model, facts, output.problems)) for output in plan.outputs]


def _side_file(answers_path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    path = run_path(answers_path)
    previous, existing = read_run(path), existing_path(answers_path)
    if existing is None:
        return wanted
    if previous is None:
        if not existing.stat().st_size:
            return wanted
        raise ValueError(
            f"{existing} has no {path.name} beside it, so how it was drawn is unknown. Choose another file."
        )
    found = differences(previous, wanted)
    if found:
        raise ValueError(
            f"{existing} was drawn differently: {'; '.join(found)}. Choose another output, or remove this one."
        )
    return merged_run(previous, wanted)
