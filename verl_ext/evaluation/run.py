"""Carry out a plan: draw what the files lack, grade it, write it and sum it up."""

import asyncio
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from verl_ext.evaluation.answer_file import existing_path, pack, unpack
from verl_ext.evaluation.disagreements import DisagreementLog
from verl_ext.evaluation.drawing import (
    chunks_to_draw,
    draw_and_grade,
    opened,
    start_graders,
    under_paper_references,
)
from verl_ext.evaluation.plan import Plan, side_files
from verl_ext.evaluation.progress import Progress, summary_table
from verl_ext.evaluation.run_file import code_facts, time_text, write_run
from verl_ext.evaluation.sampler import Sampler
from verl_ext.grading import UNGRADED
from verl_ext.host.command_line import shown
from verl_ext.metrics.label_file import write_labels
from verl_ext.metrics.side_file import run_path


@contextmanager
def opened_log(plan: Plan) -> Iterator[TextIO]:
    """The log of a plan, with the command line as its next entry; raises OSError, with its name, where it cannot be written."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        plan.log_path.parent.mkdir(parents=True, exist_ok=True)
        with plan.log_path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            print(f"\n=== {now} eval.py {' '.join(plan.options.arguments)}", file=log)
    except OSError as error:
        raise OSError(
            f"{plan.log_path} cannot be written: {error.strerror}. Make room, or choose another place for the answers."
        ) from error
    with plan.log_path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as log:
        yield log


def evaluate(plan: Plan, log: TextIO, began: float) -> None:
    """``evaluate_in_loop`` in an event loop of its own."""
    asyncio.run(evaluate_in_loop(plan, log, began))


async def evaluate_in_loop(plan: Plan, log: TextIO, began: float) -> None:
    """Bring every file to the number of samples asked for, and print pass@k.

    Args:
        plan: What to draw.
        log: For what vLLM prints.
        began: When the command was started, in seconds since 1970; for the side files.

    Raises:
        ValueError: The files are of another evaluation, or the model cannot answer a prompt.
        RuntimeError, OSError: The sampler failed.
    """
    runs = side_files(plan, plan.source.prepare(log))
    for output, run in zip(plan.outputs, runs, strict=True):
        output.path.parent.mkdir(parents=True, exist_ok=True)
        unpack(output.path)
        write_run(run_path(output.path), run)
    start_graders(plan.problems)
    _introduce(plan)
    sampler = plan.source.sampler(plan.problems, plan.sampling, plan.chat_options, log)
    num_drawn = await _draw(plan, sampler)
    if num_drawn:
        entry = _entry(plan, sampler, num_drawn, began)
        for run in runs:
            run["runs"].append(entry)
    paths = _finish(plan, runs, sampler.rendered_prompts)
    await _sum_up(plan, paths)
    if sampler.num_repeats:
        print(
            f"warning: {sampler.num_repeats:,} answers were the same as another one to their problem, and no two to a "
            "problem differed. Check that the server follows temperature and seed.",
            file=sys.stderr,
        )
    for output, path in zip(plan.outputs, paths, strict=True):
        undecided = sum(output.done.reasons.get(reason, 0) for reason in UNGRADED)
        hint = f" ({undecided:,} timed out or not graded: eval.py --regrade {path} tries again)" if undecided else ""
        print(f"{path}{hint}")


def _introduce(plan: Plan) -> None:
    sampling = plan.sampling
    top_k = f", top_k {sampling.top_k}" if sampling.top_k > 0 else ""
    print(f"model     {plan.options.model_path}")
    for output in plan.outputs:
        existing = existing_path(output.path)
        num_bytes = 0 if existing is None else existing.stat().st_size
        size = f", {num_bytes:,} bytes are there" if num_bytes else ""
        print(f"{output.name:<9} {len(output.problems):,} problems x {sampling.num_samples} -> {output.path}{size}")
    print(
        f"sampling  temperature {sampling.temperature:g}, top_p {sampling.top_p:g}{top_k}, at most "
        f"{sampling.max_tokens} tokens, seed {sampling.seed}"
    )
    for line in (*plan.source.describe(), *plan.source.warnings()):
        print(line)
    print(f"log       {plan.log_path}", flush=True)


async def _draw(plan: Plan, sampler: Sampler) -> int:
    """Draw what is missing and return how many answers that were."""
    log = DisagreementLog(plan.options.disagreements) if plan.options.disagreements is not None else None
    with opened(plan.outputs, log):
        chunks = chunks_to_draw(
            plan.outputs,
            num_samples=plan.sampling.num_samples,
            seed=plan.sampling.seed,
            chunk_size=plan.source.chunk_size,
        )
        num_missing = sum(chunk.count for chunk in chunks)
        if chunks:
            num_done = sum(output.done.num_answers for output in plan.outputs)
            num_correct = sum(sum(output.done.num_correct.values()) for output in plan.outputs)
            progress = Progress(num_done + num_missing, num_done, num_correct)
            try:
                await draw_and_grade(sampler, plan.outputs, chunks, on_answers=progress.add, disagreements=log)
            finally:
                progress.close()
    if log is not None:
        await log.close()
        print(log.summary())
    return num_missing


def _entry(plan: Plan, sampler: Sampler, num_drawn: int, began: float) -> dict[str, Any]:
    """What the side files say about this call."""
    return {
        "started": time_text(began),
        "seconds": round(time.time() - began, 2),
        "num_drawn": num_drawn,
        "engine_seconds": [{name: round(value, 2) for name, value in spent.items()} for spent in sampler.seconds],
        "engine_options": plan.source.engine_options(),
        "argv": list(map(shown, plan.options.arguments)),
        "num_samples": plan.sampling.num_samples,
        "machine": {"platform": platform.platform(), "num_cpus": os.cpu_count()},
        **code_facts(),
    }


def _finish(plan: Plan, runs: Sequence[dict[str, Any]], rendered_prompts: Sequence[str]) -> list[Path]:
    """Complete the side files, pack what is to be packed, and write the label files; where the answers are now."""
    texts = iter(rendered_prompts)
    paths = []
    for output, run in zip(plan.outputs, runs, strict=True):
        for problem in output.problems:
            text = next(texts, None)
            if text is not None and not isinstance(problem.prompt, str):
                run["problems"][problem.question_id]["text"] = text
        write_run(run_path(output.path), run)
        path = output.path if plan.options.compress == "none" else pack(output.path, plan.options.compress)
        write_labels(path)
        paths.append(path)
    return paths


async def _sum_up(plan: Plan, paths: Sequence[Path]) -> None:
    rows = []
    for output, path in zip(plan.outputs, paths, strict=True):
        rows.append((output.name, output.done))
        papers = await under_paper_references(output, path)
        if papers is not None:
            rows.append((f"{output.name}, paper's references", papers))
    print(f"\n{summary_table(rows)}\n")
