"""What ``eval/eval.py`` does: check everything that can be checked, then sample, grade, write and sum up."""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from verl_ext.cpu.precision import dtype_on_cpu, has_fast_bfloat16, stored_dtype
from verl_ext.evaluation.checkpoint import Model, find_model, fingerprint, merge
from verl_ext.evaluation.disagreements import DisagreementLog
from verl_ext.evaluation.engine import Job, check_fits
from verl_ext.evaluation.evaluate import (
    Output,
    chunks_to_draw,
    draw_and_grade,
    opened,
    start_graders,
    under_paper_references,
)
from verl_ext.evaluation.generations import (
    existing_path,
    pack,
    plain_path,
    run_path,
    unpack,
)
from verl_ext.evaluation.problems import Problem, problems_of_file, problems_of_task
from verl_ext.evaluation.regrade import diff_table, regrade
from verl_ext.evaluation.run_file import differences, merged_run, new_run, read_run, write_run
from verl_ext.evaluation.sampler import SEEDS
from verl_ext.evaluation.settings import CHAT, Defaults, Sampling, defaults_of
from verl_ext.evaluation.summary import Progress, summary_table
from verl_ext.evaluation.vllm_sampler import EngineError, VllmSampler
from verl_ext.grading import Reason
from verl_ext.grading.workers.decisions import GRADER_VERSION
from verl_ext.host.accelerators import num_accelerators
from verl_ext.host.command_line import path_option, print_any_text, shown
from verl_ext.host.log_tail import tail
from verl_ext.host.provenance import git_state, versions
from verl_ext.tasks.templates import render_prompt

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
SHOWN_CHANGES = 50
DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")


def parse(arguments: Sequence[str], description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    what = parser.add_argument_group("what to evaluate")
    what.add_argument("--model_path", help="hub id, model folder, checkpoint of a run, LoRA adapter, or a server's URL")
    what.add_argument("--task", nargs="+", default=[], help="MATH, AIME2025, AMC23, MATH-500, AIME2024, GSM8K, ...")
    what.add_argument("--data", type=path_option, help="verl's rows instead of a task: parquet or JSON lines")
    what.add_argument("--data_dir", type=path_option, help="folder with local copies of the tasks' data")
    what.add_argument("--num_problems", type=int, help="of each task, only the first ones")
    what.add_argument(
        "--template",
        help="prompt template: qwen, qwen3_no_thinking, llama, chat (the tokenizer's) or none; default: with --task the "
        "paper's for the model's family, with --data chat",
    )
    what.add_argument(
        "--chat_options", type=json.loads, help='for the chat template, such as {"enable_thinking": true}'
    )
    where = parser.add_argument_group("where it goes")
    where.add_argument("--output_path", type=path_option, help="the file of answers, of one task or of --data")
    where.add_argument("--output_dir", type=path_option, help="a folder with a file per task")
    where.add_argument("--compress", choices=("zst", "gz", "none"), default="none", help="pack a file once it is done")
    where.add_argument("--disagreements", type=path_option, help="log of the answers that Math-Verify grades otherwise")
    how = parser.add_argument_group("sampling", "defaults: the paper's for the model's family")
    how.add_argument("--num_samples", type=int, help="answers per problem; more than a file has tops it up")
    how.add_argument("--temperature", type=float)
    how.add_argument("--top_p", type=float)
    how.add_argument("--top_k", type=int)
    how.add_argument("--max_tokens", type=int)
    how.add_argument("--seed", type=int)
    engine = parser.add_argument_group("vLLM")
    engine.add_argument("--tensor_parallel_size", type=int, default=1, help="accelerators per engine")
    engine.add_argument("--data_parallel_size", type=int, default=1, help="engines, which share the problems")
    engine.add_argument("--max_num_seqs", type=int, default=512, help="answers in flight, per engine or server")
    engine.add_argument("--max_model_len", type=int, help="context: prompt and answer together")
    engine.add_argument("--dtype")
    engine.add_argument("--chunk_size", type=int, default=16, help="samples per request")
    engine.add_argument("--engine_options", type=json.loads, default={}, help="JSON, for vLLM's EngineArgs")
    server = parser.add_argument_group("server", "the key is read from OPENAI_API_KEY")
    server.add_argument("--served_model", help="which of the server's models")
    server.add_argument(
        "--request_timeout", type=float, default=1800.0, help="seconds that an answer may take (default: %(default)g)"
    )
    again = parser.add_argument_group("without sampling")
    again.add_argument(
        "--regrade", type=path_option, metavar="FILE", help="grade an existing file again and show what changes"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str], description: str) -> int:
    """Run the command and return its exit code."""
    began = time.time()
    print_any_text()
    options = parse(arguments, description)
    try:
        if options.regrade is not None:
            return _regrade(options)
        return _Evaluation(options, arguments, began).run()
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


class _Evaluation:
    """One call of the command: checks in the order of their cost, then the run."""

    def __init__(self, options: argparse.Namespace, arguments: Sequence[str], began: float) -> None:
        self.options = options
        self.arguments = arguments
        self.began = began
        _check_options(options)
        self.model: Model | None = None
        self.server: Any = None
        self.defaults = self._find_model()
        given = {
            name: getattr(options, name) for name in ("num_samples", "temperature", "top_p", "top_k", "max_tokens")
        }
        given["seed"] = options.seed
        self.sampling = replace(self.defaults.sampling, **{name: v for name, v in given.items() if v is not None})
        self.outputs = self._outputs()
        self.problems = [problem for output in self.outputs for problem in output.problems]
        folder = options.output_dir
        self.log_path = (
            folder / "eval.log" if folder else self.outputs[0].path.with_name(f"{self.outputs[0].path.name}.log")
        )

    def _find_model(self) -> Defaults:
        path = self.options.model_path
        # Named here, and only imported for a server: no other evaluation needs an HTTP client.
        if path.startswith(("http://", "https://")):
            from verl_ext.evaluation.server_sampler import find_server, read_api_key

            self.api_key = read_api_key(os.environ.get("OPENAI_API_KEY"))
            self.server = find_server(path, self.options.served_model, self.api_key)
            return defaults_of(self.server.model)
        self.model = find_model(path)
        config = self.model.config
        self.context = _context(config, self.options.max_model_len)
        return defaults_of(path, str(config.get("model_type")), self.model.tokenizer_text)

    def _outputs(self) -> list[Output]:
        options, limit = self.options, self.options.num_problems
        if options.data is not None:
            problems = problems_of_file(options.data, template=options.template or CHAT, limit=limit)
            path = options.output_path or options.output_dir / f"{options.data.stem}.jsonl"
            return [_output(options.data.stem, problems, path)]
        outputs = []
        for name in options.task:
            template = options.template or self.defaults.template
            problems = problems_of_task(name, template=template, data_dir=options.data_dir, limit=limit)
            path = options.output_path or options.output_dir / f"{problems[0].task}.jsonl"
            outputs.append(_output(name, problems, path))
        paths = [output.path for output in outputs]
        if len(set(paths)) < len(paths):
            raise ValueError(f"--task {' '.join(options.task)} names a task twice.")
        return outputs

    def run(self) -> int:
        for output in self.outputs:
            output.path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as log:
            print(
                f"\n=== {datetime.now(UTC).isoformat(timespec='seconds')} eval.py {' '.join(self.arguments)}", file=log
            )
            try:
                return self._run(log)
            except KeyboardInterrupt:
                print("\nstopped; run the same command again to go on", file=sys.stderr)
                return INTERRUPTED
            except (EngineError, RuntimeError, OSError) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                print(f"error: {error}\nThe end of {self.log_path}:\n{tail(self.log_path)}", file=sys.stderr)
                return FAILED

    def _run(self, log: TextIO) -> int:
        self._check_devices()
        self._check_context()
        facts = self._prepare(log)
        runs = self._check_files(facts)
        start_graders(self.problems)
        self._introduce()
        sampler = self._sampler(log)
        drawn = asyncio.run(self._draw(sampler))
        finished = self._finish(runs, sampler, drawn)
        rows = []
        for output, path in zip(self.outputs, finished, strict=True):
            rows.append((output.name, output.done))
            papers = asyncio.run(under_paper_references(output, path))
            if papers is not None:
                rows.append((f"{output.name}, paper's references", papers))
        print(f"\n{summary_table(rows)}\n")
        if getattr(sampler, "num_repeats", 0):
            print(
                f"warning: {sampler.num_repeats:,} answers were the same as another one to their problem, and no two to a "
                "problem differed. Look whether the server heeds temperature and seed.",
                file=sys.stderr,
            )
        for output, path in zip(self.outputs, finished, strict=True):
            undecided = sum(output.done.reasons.get(reason, 0) for reason in (Reason.TIMED_OUT, Reason.GRADER_ERROR))
            hint = (
                f" ({undecided:,} timed out or not graded: eval.py --regrade {path} tries again)" if undecided else ""
            )
            print(f"{path}{hint}")
        return 0

    def _check_devices(self) -> None:
        wanted = self.options.tensor_parallel_size * self.options.data_parallel_size
        available = num_accelerators()
        if self.model is not None and available and wanted > available:
            raise ValueError(
                f"--tensor_parallel_size {self.options.tensor_parallel_size} x --data_parallel_size "
                f"{self.options.data_parallel_size} needs {wanted} accelerators, and there are {available}."
            )

    def _check_context(self) -> None:
        """Say now what a longer look would say in seconds: the engine's process counts a chat prompt exactly."""
        if self.model is not None and self.context is not None:
            for problem in self.problems:
                # A token is a byte at least, so most prompts need no counting.
                if problem.num_bytes >= self.context:
                    check_fits(problem.question_id, self.model.count_tokens(problem.texts), self.context)

    def _prepare(self, log: TextIO) -> dict[str, Any]:
        """Make the model loadable; what says which model it is."""
        if self.model is None:
            return {"name": self.server.model, "fingerprint": None, "url": self.server.url}
        if self.model.to_merge is not None:
            print(f"merging {self.model.to_merge} into {self.model.folder}", flush=True)
            merge(self.model, log)
        return {"name": shown(self.options.model_path), "fingerprint": fingerprint(self.model.folder)}

    def _check_files(self, model: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The side file of each output, checked to be of the same model, sampling and prompts."""
        facts = self.sampling.facts() | {
            "chat_options": dict(self._chat_options()),
            "grader": grader_name(),
            "seeds": SEEDS,
        }
        if self.model is not None:
            facts |= {"dtype": self._dtype(), "max_model_len": self.options.max_model_len}
        runs = []
        for output in self.outputs:
            wanted, path = new_run(model, facts, output.problems), run_path(output.path)
            previous, existing = read_run(path), existing_path(output.path)
            if existing is not None and existing.stat().st_size and previous is None:
                raise ValueError(
                    f"{existing} has no {path.name} beside it, so how it was drawn is unknown. Choose another file."
                )
            if previous is not None and existing is not None:
                found = differences(previous, wanted)
                if found:
                    raise ValueError(
                        f"{existing} was drawn differently: {'; '.join(found)}. Choose another output, or remove this one."
                    )
                wanted = merged_run(previous, wanted)
            unpack(output.path)
            write_run(path, wanted)
            runs.append(wanted)
        return runs

    def _chat_options(self) -> Mapping[str, Any]:
        options: Mapping[str, Any] | None = self.options.chat_options
        return self.defaults.chat_options if options is None else options

    def _dtype(self) -> str:
        if self.options.dtype:
            return str(self.options.dtype)
        if num_accelerators() or self.model is None:
            return "auto"
        return dtype_on_cpu(stored_dtype(self.model.folder))

    def _introduce(self) -> None:
        how = self.sampling
        top_k = f", top_k {how.top_k}" if how.top_k > 0 else ""
        print(f"model     {self.options.model_path}")
        for output in self.outputs:
            there = existing_path(output.path)
            size = f", {there.stat().st_size:,} bytes are there" if there is not None and there.stat().st_size else ""
            print(f"{output.name:<9} {len(output.problems):,} problems x {how.num_samples} -> {output.path}{size}")
        print(
            f"sampling  temperature {how.temperature:g}, top_p {how.top_p:g}{top_k}, at most {how.max_tokens} tokens, "
            f"seed {how.seed}"
        )
        if self.options.dtype == "bfloat16" and not num_accelerators() and not has_fast_bfloat16():
            print("precision bfloat16 has no instructions on this processor: --dtype float32 is many times faster")
        print(f"log       {self.log_path}", flush=True)

    def _sampler(self, log: TextIO) -> Any:
        options = self.options
        prompts = [problem.prompt_as_json() for problem in self.problems]
        sampling = {name: getattr(self.sampling, name) for name in ("temperature", "top_p", "top_k", "max_tokens")}
        if self.server is not None:
            from verl_ext.evaluation.server_sampler import ServerSampler

            return ServerSampler(
                self.server,
                prompts,
                sampling,
                max_in_flight=options.max_num_seqs,
                chat_options=self._chat_options(),
                api_key=self.api_key,
                request_seconds=options.request_timeout,
            )
        assert self.model is not None
        job = Job(
            model=str(self.model.folder),
            prompts=prompts,
            question_ids=[problem.question_id for problem in self.problems],
            sampling=sampling,
            context=self.context,
            chat_options=dict(self._chat_options()),
            engine_options=self._engine_options(),
        )
        environments = _device_shares(options.data_parallel_size, options.tensor_parallel_size)
        return VllmSampler(job, log, options.max_num_seqs, options.data_parallel_size, environments)

    def _engine_options(self) -> dict[str, Any]:
        options = self.options
        chosen: dict[str, Any] = {
            "max_num_seqs": options.max_num_seqs,
            "tensor_parallel_size": options.tensor_parallel_size,
            "dtype": self._dtype(),
            "enable_prefix_caching": True,
        }
        if options.max_model_len is not None:
            chosen["max_model_len"] = options.max_model_len
        if not num_accelerators():
            # vLLM 0.28 rewinds the generator of a seeded request whose prefill it cut; a CPU generator cannot
            chosen |= {"enforce_eager": True, "distributed_executor_backend": "uni", "enable_chunked_prefill": False}
        return {**chosen, **options.engine_options}

    async def _draw(self, sampler: Any) -> int:
        """Draw what is missing and return how many answers that were."""
        log = DisagreementLog(self.options.disagreements) if self.options.disagreements is not None else None
        with opened(self.outputs, log):
            chunks = chunks_to_draw(
                self.outputs,
                num_samples=self.sampling.num_samples,
                seed=self.sampling.seed,
                chunk_size=1 if self.server is not None else self.options.chunk_size,
            )
            num_wanted = sum(chunk.count for chunk in chunks)
            if chunks:
                num_there = sum(output.done.num_answers for output in self.outputs)
                num_correct = sum(sum(output.done.num_correct.values()) for output in self.outputs)
                progress = Progress(num_there + num_wanted, num_there, num_correct)
                try:
                    await draw_and_grade(sampler, self.outputs, chunks, on_answers=progress.add, disagreements=log)
                finally:
                    progress.close()
        if log is not None:
            await log.close()
            print(f"{log.num_rows:,} distinct answers that Math-Verify grades otherwise: {log.path}")
        return num_wanted

    def _finish(self, runs: Sequence[dict[str, Any]], sampler: Any, num_drawn: int) -> list[Path]:
        """Complete the side files, pack what is to be packed, and write the label files."""
        from verl_ext.metrics.label_file import write_labels

        seconds = time.time() - self.began
        engine = [{name: round(value, 2) for name, value in spent.items()} for spent in getattr(sampler, "seconds", [])]
        entry = {
            "started": _utc(self.began),
            "seconds": round(seconds, 2),
            "num_drawn": num_drawn,
            "engine_seconds": engine,
            "engine_options": self._engine_options() if self.model is not None else None,
            "argv": list(map(shown, self.arguments)),
            "num_samples": self.sampling.num_samples,
            "machine": {"platform": platform.platform(), "num_cpus": os.cpu_count()},
            **_code_facts(),
        }
        read = dict(
            zip([problem.question_id for problem in self.problems], getattr(sampler, "prompts", []), strict=False)
        )
        finished = []
        for output, run in zip(self.outputs, runs, strict=True):
            if num_drawn:
                run["runs"].append(entry)
            for problem in output.problems:
                if not isinstance(problem.prompt, str) and problem.question_id in read:
                    run["problems"][problem.question_id]["text"] = read[problem.question_id]
            write_run(run_path(output.path), run)
            path = output.path if self.options.compress == "none" else pack(output.path, self.options.compress)
            write_labels(path)
            finished.append(path)
        return finished


def grader_name() -> str:
    """Which grader gives the labels (``verl_ext.grading.graders.TABLES``)."""
    return os.environ.get("VERL_EXT_GRADER") or "default"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _code_facts() -> dict[str, Any]:
    return {"grader_version": GRADER_VERSION, "versions": versions(), "git": git_state(Path(__file__).parent)}


def _context(config: Mapping[str, Any], wanted: int | None) -> int | None:
    """Tokens that a prompt and its answer may have; None where the configuration does not say."""
    longest: int | None = config.get("max_position_embeddings")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    is_scaled = rope.get("rope_type", rope.get("type", "default")) != "default"
    if wanted is not None and longest is not None and wanted > longest and not is_scaled:
        raise ValueError(f"--max_model_len {wanted} is more than the {longest} tokens that the model was made for.")
    return wanted or longest


def _output(name: str, problems: Sequence[Problem], path: Path) -> Output:
    if not problems:
        raise ValueError(f"{name} has no problems.")
    ids = [problem.question_id for problem in problems]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{name} has two problems with one id: their answers could not be told apart.")
    return Output(name=name, problems=problems, path=plain_path(path))


def _check_options(options: argparse.Namespace) -> None:
    if options.model_path is None:
        raise ValueError("Say which model to evaluate: --model_path, a hub id, a folder or a server's URL.")
    if bool(options.task) == (options.data is not None):
        raise ValueError("Give the problems either by --task or by --data.")
    if (options.output_path is None) == (options.output_dir is None):
        raise ValueError("Say where the answers go: either --output_path FILE or --output_dir DIR.")
    if options.output_path is not None and len(options.task) > 1:
        raise ValueError("Several tasks need a file each: give --output_dir instead of --output_path.")
    for name in (
        "num_problems",
        "tensor_parallel_size",
        "data_parallel_size",
        "max_num_seqs",
        "max_model_len",
        "chunk_size",
    ):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be at least 1, got {value}.")
    if not options.request_timeout > 0:
        raise ValueError(f"--request_timeout must be above 0 seconds, got {options.request_timeout:g}.")
    # The other values are checked with the family's defaults in place; these need no model.
    given = {name: getattr(options, name) for name in ("num_samples", "max_tokens", "top_p", "top_k")}
    Sampling(**{name: value for name, value in given.items() if value is not None})
    if options.template is not None:
        render_prompt(options.template, "")  # names the nearest where there is no such template
    for target in (options.output_path, options.output_dir, options.disagreements):
        _check_writable(target)


def _check_writable(target: Path | None) -> None:
    if target is None:
        return
    folder = target
    while not folder.exists():
        folder = folder.parent
    if (folder != target and not folder.is_dir()) or not os.access(folder, os.W_OK):
        raise ValueError(f"{target} cannot be written: {folder} is not a folder that you may write to.")


def _device_shares(num_engines: int, size: int) -> list[dict[str, str]]:
    """What tells each of several engines its own accelerators; nothing for one engine, or without accelerators."""
    if num_engines == 1 or not num_accelerators():
        return [{} for _ in range(num_engines)]
    variable = next((name for name in DEVICE_VARIABLES if os.environ.get(name)), DEVICE_VARIABLES[0])
    devices = (
        os.environ.get(variable, "").split(",")
        if os.environ.get(variable)
        else [str(i) for i in range(num_accelerators())]
    )
    return [{variable: ",".join(devices[i * size : (i + 1) * size])} for i in range(num_engines)]


def _regrade(options: argparse.Namespace) -> int:
    from verl_ext.metrics.label_file import write_labels
    from verl_ext.tasks import task_named

    path = options.regrade
    if not path.is_file():
        raise ValueError(f"There is no file {path} to grade again.")
    run = read_run(run_path(path))
    if len(options.task) > 1:
        raise ValueError("--regrade takes one --task: a file holds the answers of one.")
    if options.task:
        task_of: Mapping[str, str] | str = task_named(options.task[0]).data_source
    elif run is not None:
        task_of = {question_id: entry["task"] for question_id, entry in run["problems"].items()}
    else:
        raise ValueError(f"{path} has no {run_path(path).name} beside it, so its task is unknown: name it with --task.")
    _check_writable(options.disagreements)

    began = time.time()

    async def grade_again() -> Any:
        log = DisagreementLog(options.disagreements) if options.disagreements is not None else None
        result = await regrade(path, task_of, disagreements=log)
        if log is not None:
            await log.close()
            print(f"{log.num_rows:,} distinct answers that Math-Verify grades otherwise: {log.path}")
        return result

    with suppress(KeyboardInterrupt):
        result = asyncio.run(grade_again())
        print(diff_table(result, SHOWN_CHANGES))
        if run is not None:
            run["sampling"]["grader"] = grader_name()
            run["runs"].append({"started": _utc(began), "num_regraded": result.num_answers, **_code_facts()})
            write_run(run_path(path), run)
        write_labels(path)
        return 0
    print("\nstopped; the file is as it was", file=sys.stderr)
    return INTERRUPTED
