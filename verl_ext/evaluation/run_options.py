"""The command line of ``eval/eval.py`` as typed options, checked as far as they can be without a model."""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from verl_ext.evaluation.sampling_settings import Sampling
from verl_ext.host.command_line import CommandParser, path_option
from verl_ext.host.disk import nearest_existing
from verl_ext.tasks.templates import render_prompt

_SAMPLING_OPTIONS = ("num_samples", "temperature", "top_p", "top_k", "max_tokens", "seed")
_COUNTS = ("num_problems", "tensor_parallel_size", "data_parallel_size", "max_num_seqs", "max_model_len", "chunk_size")


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What to draw, from which model, and where to; the options as the command line spells them.

    Raises:
        ValueError: A value is missing, out of range or at odds with another one.
    """

    model_path: str
    """A hub id, a folder, or the URL of a server."""
    task: Sequence[str] = ()
    data: Path | None = None
    data_dir: Path | None = None
    num_problems: int | None = None
    template: str | None = None
    chat_options: Mapping[str, Any] | None = None
    output_path: Path | None = None
    output_dir: Path | None = None
    compress: str = "none"
    disagreements: Path | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """The fields of ``Sampling`` that were given."""
    tensor_parallel_size: int = 1
    data_parallel_size: int | None = None
    """Engines; None chooses."""
    max_num_seqs: int | None = None
    """None chooses."""
    max_model_len: int | None = None
    dtype: str | None = None
    """None or auto chooses."""
    chunk_size: int = 16
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    served_model: str | None = None
    request_timeout: float = 1800.0
    arguments: Sequence[str] = ()
    """The command line as it was typed."""

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_values()
        for option in ("output_path", "output_dir", "disagreements"):
            check_writable(f"--{option}", getattr(self, option))

    def _check_choices(self) -> None:
        if bool(self.task) == (self.data is not None):
            raise ValueError("Give the problems either by --task or by --data.")
        if (self.output_path is None) == (self.output_dir is None):
            raise ValueError("Say where the answers go: either --output_path FILE or --output_dir DIR.")
        if self.output_path is not None and len(self.task) > 1:
            raise ValueError("Several tasks need a file each: give --output_dir instead of --output_path.")

    def _check_values(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name} must be at least 1, got {value}.")
        if not self.request_timeout > 0:
            raise ValueError(f"--request_timeout must be above 0 seconds, got {self.request_timeout:g}.")
        # Whether a temperature of 0 fits the number of samples depends on the family's default for that number.
        Sampling(**{name: value for name, value in self.sampling.items() if name != "temperature"})
        if self.template is not None:
            render_prompt(self.template, "")  # names the nearest where there is no such template

    def sampling_of(self, defaults: Sampling) -> Sampling:
        """The sampling asked for, with ``defaults`` where nothing was."""
        return replace(defaults, **self.sampling)

    def path_of(self, name: str) -> Path:
        """The file for the answers to the problems called ``name``, a task's or those of ``data``."""
        if self.output_path is not None:
            return self.output_path
        assert self.output_dir is not None
        return self.output_dir / f"{name}.jsonl"


@dataclass(frozen=True, kw_only=True)
class RegradeOptions:
    """Which file to grade again.

    Raises:
        ValueError: There is no such file, or there are several tasks.
    """

    path: Path
    task: str | None = None
    """None takes it from the side file."""
    disagreements: Path | None = None

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise ValueError(f"There is no file {self.path} to grade again.")
        check_writable("--disagreements", self.disagreements)


def parse(arguments: Sequence[str], description: str) -> EvaluationOptions | RegradeOptions:
    """Read the command line.

    Raises:
        ValueError: The options cannot be used.
    """
    given = vars(_parser(description).parse_args(arguments))
    regrade = given.pop("regrade")
    if regrade is not None:
        if len(given["task"]) > 1:
            raise ValueError("--regrade takes one --task: a file holds the answers of one.")
        task = next(iter(given["task"]), None)
        return RegradeOptions(path=regrade, task=task, disagreements=given["disagreements"])
    if given["model_path"] is None:
        raise ValueError("Say which model to evaluate: --model_path, a hub id, a folder or a server's URL.")
    sampling = {name: given.pop(name) for name in _SAMPLING_OPTIONS}
    return EvaluationOptions(
        sampling={name: value for name, value in sampling.items() if value is not None},
        arguments=tuple(arguments),
        **given,
    )


def check_writable(option: str, target: Path | None) -> None:
    """Raise ValueError where what ``option`` names cannot be made, or written to."""
    if target is None:
        return
    there = nearest_existing(target)
    if there != target.absolute() and not there.is_dir():
        raise ValueError(f"{option} {target} cannot be written: {there} is a file. Choose another place.")
    if not os.access(there, os.W_OK):
        raise ValueError(
            f"{option} {target} cannot be written: {there} may not be. Choose another place, or change its rights."
        )


def _parser(description: str) -> CommandParser:
    default = {option.name: option.default for option in fields(EvaluationOptions)}
    parser = CommandParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    inputs = parser.add_argument_group("what to evaluate")
    inputs.add_argument(
        "--model_path", help="hub id, model folder, checkpoint of a run, LoRA adapter, or a server's URL"
    )
    inputs.add_argument("--task", nargs="+", default=[], help="MATH, AIME2025, AMC23, MATH-500, AIME2024, GSM8K, ...")
    inputs.add_argument("--data", type=path_option, help="verl's rows instead of a task: parquet or JSON lines")
    inputs.add_argument("--data_dir", type=path_option, help="folder with local copies of the tasks' data")
    inputs.add_argument("--num_problems", type=int, help="of each task, only the first ones")
    inputs.add_argument(
        "--template",
        help="prompt template: qwen, qwen3_no_thinking, llama, chat (the tokenizer's) or none; default: with --task the "
        "paper's for the model's family, with --data chat",
    )
    inputs.add_argument(
        "--chat_options", type=json.loads, help='for the chat template, such as {"enable_thinking": true}'
    )
    outputs = parser.add_argument_group("where it goes")
    outputs.add_argument("--output_path", type=path_option, help="the file of answers, of one task or of --data")
    outputs.add_argument("--output_dir", type=path_option, help="a folder with a file per task")
    outputs.add_argument(
        "--compress", choices=("zst", "gz", "none"), default=default["compress"], help="pack a file once it is done"
    )
    outputs.add_argument(
        "--disagreements", type=path_option, help="log of the answers that Math-Verify grades differently"
    )
    sampling = parser.add_argument_group("sampling", "defaults: the paper's for the model's family")
    sampling.add_argument("--num_samples", type=int, help="answers per problem; more than a file has tops it up")
    sampling.add_argument("--temperature", type=float)
    sampling.add_argument("--top_p", type=float)
    sampling.add_argument("--top_k", type=int)
    sampling.add_argument("--max_tokens", type=int)
    sampling.add_argument("--seed", type=int)
    engine = parser.add_argument_group("vLLM")
    engine.add_argument(
        "--tensor_parallel_size", type=int, default=default["tensor_parallel_size"], help="accelerators per engine"
    )
    engine.add_argument(
        "--data_parallel_size",
        type=int,
        help="engines, which share the problems; default: 1, and on a CPU one per core, up to 4 and what memory holds",
    )
    engine.add_argument(
        "--max_num_seqs",
        type=int,
        help="answers in flight, per engine or server; default: 512, and on a CPU as many as the cache holds",
    )
    engine.add_argument("--max_model_len", type=int, help="context: prompt and answer together")
    engine.add_argument(
        "--dtype", help="float32, bfloat16, ...; auto, the default, follows the weights, their number and the processor"
    )
    engine.add_argument("--chunk_size", type=int, default=default["chunk_size"], help="samples per request")
    engine.add_argument("--engine_options", type=json.loads, default={}, help="JSON, for vLLM's EngineArgs")
    server = parser.add_argument_group("server", "the key is read from OPENAI_API_KEY")
    server.add_argument("--served_model", help="which of the server's models")
    server.add_argument(
        "--request_timeout",
        type=float,
        default=default["request_timeout"],
        help="seconds that an answer may take (default: %(default)g)",
    )
    again = parser.add_argument_group("without sampling")
    again.add_argument(
        "--regrade", type=path_option, metavar="FILE", help="grade an existing file again and show what changes"
    )
    return parser
