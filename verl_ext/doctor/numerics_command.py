"""Whether vLLM and the learner compute the same, on your models and your device: python -m verl_ext.doctor numerics --model M

For each model a few steps of the launcher's own training at learning rate 0, each with two updates. No weight moves, so the ratio of
every token is 1 and nothing is clipped, and vLLM's probability of each sampled token is the learner's but for rounding. One
table: the gap of the two probabilities on average and at most, the token where it is largest (rollout / learner), and what is
wrong. The exit code is 0 where nothing is, 1 where something is, 2 for a mistake in this command.

OPTION is name=value of the launcher, for all runs, and wins. docs/numerics.md has the limits.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from verl_ext.cpu.precision import has_fast_bfloat16
from verl_ext.doctor.numerics_result import Numerics, read_numerics, table
from verl_ext.doctor.numerics_runs import ALPHA, FULL, RANK, WEIGHTS, Case, Measure, overrides_of, write_data
from verl_ext.doctor.random_adapter import with_random_adapter
from verl_ext.doctor.tiny_models import write_tiny_models
from verl_ext.host.accelerators import visible_accelerators
from verl_ext.host.command_line import CommandParser, check_names_differ, path_option
from verl_ext.host.cores import usable_cores
from verl_ext.host.processor import processor_name
from verl_ext.training import several_runs
from verl_ext.training.model_file import model_folder

ADAPTER_STD = 0.02
"""Some percent of a weight, in a tiny model and in one of 135 million parameters."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table; returns the exit code."""
    given, options = _parser().parse_known_args(arguments)
    strange = [option for option in options if option.startswith("-") or "=" not in option]
    if strange:
        raise ValueError(f"{strange[0]} is no option of numerics: see --help; the launcher's are written name=value.")
    if not given.model and not given.tiny:
        raise ValueError("Name models with --model (a folder or a hub id), or take the tiny ones with --tiny.")
    unknown = [name for name in given.weights.split(",") if name not in WEIGHTS]
    if unknown:
        raise ValueError(f"--weights {given.weights}: there is no {unknown[0]!r}, only {', '.join(WEIGHTS)}.")
    if min(given.steps, given.tokens) < 1:
        raise ValueError(f"--steps and --tokens must be >= 1, got {given.steps} and {given.tokens}.")
    with _folder(given.output) as folder:
        measure = Measure(
            folder=folder, steps=given.steps, tokens=given.tokens, dtype=given.dtype, options=tuple(options)
        )
        models = [*_named(given.model), *(write_tiny_models(folder / "models") if given.tiny else ())]
        check_names_differ([name for name, _ in models], "--model")
        weights = [WEIGHTS[name] for name in given.weights.split(",")]
        results = measure_all(models, weights, measure)
    print(f"\n{table(results)}\n\n{_machine()}")
    return int(any(isinstance(result, Case) or [*result.faults()] for result in results))


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m verl_ext.doctor numerics",
        usage="%(prog)s (--model M [--model M]... | --tiny) [--weights full,lora,merged] [--dtype D] [OPTION...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model", action="append", default=[], help="a folder or a hub id; may come again")
    parser.add_argument("--tiny", action="store_true", help="random models of Qwen2, Qwen3 and Llama, tied and untied")
    parser.add_argument("--weights", default="full", help="full, lora, merged, or some of them with commas (full)")
    parser.add_argument("--dtype", help="of learner and rollout: float32, bfloat16, ... (what a run has)")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="of a response, at most (64)")
    parser.add_argument("--output", type=path_option, help="a folder that keeps the runs (a temporary one)")
    return parser


@contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    if output is not None:
        yield output.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="numerics-") as folder:
        yield Path(folder)


def _named(paths: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Each with the name that a reader knows it by.

    Raises:
        ValueError: It is neither a folder nor in the hub's cache.
    """
    for path in paths:
        folder = model_folder(path)
        if folder is None or not folder.is_dir():
            raise ValueError(f"--model {path} is neither a folder nor in the Hugging Face cache.")
        yield Path(path.rstrip("/")).name or path, folder


def measure_all(models: Sequence[tuple[str, Path]], weights: Sequence[str], measure: Measure) -> list[Numerics | Case]:
    """Make the runs of every model with every kind of weights; a run that failed leaves its case alone.

    Raises:
        ValueError: One cannot be made, before the first begins.
    """
    write_data(measure.folder, measure.steps)
    cases = [_case(name, path, kind, measure) for kind in weights for name, path in models]
    members = several_runs.prepare(
        [overrides_of(case, measure) for case in cases], [f"{case.model}, {case.weights}" for case in cases]
    )
    several_runs.train(members)
    return [
        case if member.code else read_numerics(case, measure.run_folder(case))
        for case, member in zip(cases, members, strict=True)
    ]


def _case(name: str, path: Path, kind: str, measure: Measure) -> Case:
    if kind == FULL:
        return Case(model=name, path=str(path), weights=kind)
    folder = measure.folder / "adapters" / path.name
    if not folder.is_dir():
        adapted = with_random_adapter(
            path, rank=RANK, alpha=ALPHA, std=ADAPTER_STD, seed=0, target_modules="all-linear"
        )
        adapted.save_pretrained(folder)
    return Case(model=name, path=str(path), weights=kind, adapter=folder)


def _machine() -> str:
    """The processor, for whoever copies the table."""
    bfloat16 = "" if has_fast_bfloat16() else "out"
    devices = ", ".join(f"{number} x {device}" for device, number in visible_accelerators().items())
    return ", ".join(
        filter(None, (devices, processor_name(), f"{usable_cores()} cores, with{bfloat16} instructions for bfloat16"))
    )
