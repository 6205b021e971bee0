"""Bring files of graded answers to n per problem: sampling, grading and writing side by side on one asyncio loop."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_ext.evaluation.answer_file import (
    Done,
    GenerationWriter,
    line_of,
    read_done,
    read_records,
    read_starting_with,
)
from verl_ext.evaluation.disagreements import DisagreementLog
from verl_ext.evaluation.problems import Problem
from verl_ext.evaluation.sampler import WITHHELD, Answer, Chunk, Sampler, missing_runs, problem_seed
from verl_ext.grading import Reason, Verdict, grade_async
from verl_ext.grading.entrance import grader_of
from verl_ext.grading.verdict import WITHHELD_REASON
from verl_ext.grading.workers.decisions import shared_decisions


@dataclass(kw_only=True)
class Output:
    """One task's problems, and the file for their answers."""

    name: str
    problems: Sequence[Problem]
    path: Path
    """While it is written: without .zst or .gz."""
    done: Done = field(default_factory=Done)
    """What the file holds."""
    writer: GenerationWriter | None = None
    """While it is open."""


def record_of(
    problem: Problem, generation_id: int, seed: int, answer: Answer, verdict: Verdict | None
) -> dict[str, Any]:
    """The line of one answer; without a verdict it is one that the server has withheld."""
    record = {
        "question_id": problem.question_id,
        "generation_id": generation_id,
        "response": answer.text,
        "pred_answer": None if verdict is None else verdict.answer,
        "gold_answer": problem.reference,
        "label": verdict is not None and verdict.is_correct,
        "reason": WITHHELD_REASON if verdict is None else verdict.reason.value,
        "tier": "server" if verdict is None else str(verdict.tier),
        "rule": "" if verdict is None else verdict.rule,
        "finish_reason": answer.finish_reason,
        "num_tokens": answer.num_tokens,
        "seed": seed,
        "level": problem.level,
        "subject": problem.subject,
    }
    return record if answer.reasoning is None else record | {"reasoning": answer.reasoning}


async def verdict_of(problem: Problem, answer: Answer) -> Verdict | None:
    """Grade an answer; None for one that the server has withheld, which is neither right nor wrong."""
    if answer.finish_reason == WITHHELD:
        return None
    is_truncated = answer.finish_reason == "length"
    return await grade_async(answer.text, problem.reference, problem.task, is_truncated=is_truncated)


def chunks_to_draw(outputs: Sequence[Output], *, num_samples: int, seed: int, chunk_size: int) -> list[Chunk]:
    """What the files still lack; problems are numbered through all outputs."""
    chunks = []
    number = 0
    for output in outputs:
        for problem in output.problems:
            first_seed = problem_seed(seed, problem.question_id)
            done = output.done.generation_ids.get(problem.question_id, set())
            for first, count in missing_runs(done, num_samples, chunk_size):
                chunks.append(Chunk(number, first, count, first_seed + first))
            number += 1
    return chunks


def start_graders(problems: Sequence[Problem]) -> None:
    """Start the worker processes now, if a task may need them: before vLLM takes the machine."""
    if any(grader_of(task).grade_async is not None for task in {problem.task for problem in problems}):
        # Nobody waits for it: the workers import their libraries meanwhile. A fault comes again with the first answer.
        shared_decisions().pool.warm_up()


async def draw_and_grade(
    sampler: Sampler,
    outputs: Sequence[Output],
    chunks: Sequence[Chunk],
    *,
    on_answers: Callable[[int, int], None] = lambda num_samples, num_correct: None,
    disagreements: DisagreementLog | None = None,
) -> None:
    """Draw ``chunks``, grade each answer and append it to its output's file.

    Args:
        sampler: Draws them.
        outputs: Where they go, ``opened``; their ``done`` grows along.
        chunks: Of ``chunks_to_draw``.
        on_answers: Called with the number of answers just written, and how many of them are correct.
        disagreements: Is shown every answer.
    """
    places = [(output, problem) for output in outputs for problem in output.problems]

    async def record(chunk: Chunk, answers: Sequence[Answer]) -> None:
        output, problem = places[chunk.problem]
        verdicts = await asyncio.gather(*(verdict_of(problem, answer) for answer in answers))
        records = [
            record_of(problem, chunk.first + index, chunk.seed + index, answer, verdict)
            for index, (answer, verdict) in enumerate(zip(answers, verdicts, strict=True))
        ]
        assert output.writer is not None
        output.writer.write(records)
        for line in records:
            output.done.add(line["question_id"], line["generation_id"], line["label"], line["reason"])
            if disagreements is not None:
                disagreements.consider(line, problem.task)
        on_answers(len(records), sum(line["label"] for line in records))

    recording: set[asyncio.Task[None]] = set()
    faults: list[BaseException] = []

    def forget(task: "asyncio.Task[None]") -> None:
        recording.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            faults.append(fault)

    try:
        async with aclosing(sampler.draw(chunks)) as drawn:
            async for chunk, answers in drawn:
                if faults:
                    break
                task = asyncio.create_task(record(chunk, answers))
                recording.add(task)
                task.add_done_callback(forget)
    finally:
        # Also after a failure of the sampler: what is drawn is kept.
        await asyncio.gather(*recording, return_exceptions=True)
    if faults:
        raise faults[0]


async def under_paper_references(output: Output, path: Path) -> Done | None:
    """What ``output.done`` would be with the references that the paper graded against; None where those are the same.

    Only the answers to the few corrected questions are read from ``path`` and graded again; the reasons are those of
    these answers on which the grader could not decide.
    """
    changed = {problem.question_id: problem for problem in output.problems if problem.paper_reference is not None}
    if not changed:
        return None
    num_correct = output.done.num_correct | dict.fromkeys(changed, 0)
    undecided: Counter[str] = Counter()
    # Our lines begin with the question's id, so the others need no decoding.
    starts = tuple(line_of({"question_id": question_id}).rstrip(b"}\n") + b"," for question_id in changed)
    for record in read_starting_with(path, starts):
        problem = changed[record["question_id"]]
        is_truncated = record["finish_reason"] == "length"
        try:
            verdict = await grade_async(
                record["response"], problem.paper_reference, problem.task, is_truncated=is_truncated
            )
        except ValueError:  # a broken reference, with which no response was correct in the paper either
            continue
        num_correct[problem.question_id] += verdict.is_correct
        if verdict.reason in (Reason.TIMED_OUT, Reason.GRADER_ERROR):
            undecided[verdict.reason.value] += 1
    return Done(output.done.generation_ids, num_correct, dict(undecided))


@contextmanager
def opened(outputs: Sequence[Output], disagreements: DisagreementLog | None = None) -> Iterator[None]:
    """Lock and repair the files, and fill in what they hold; with ``disagreements``, show it their answers.

    Raises:
        ValueError: A file holds a line that is no generation, or is being written by another evaluation.
    """
    try:
        for output in outputs:
            output.writer = GenerationWriter(output.path)
            output.done = read_done(output.path)
            if disagreements is not None and output.done.num_answers:
                tasks = {problem.question_id: problem.task for problem in output.problems}
                for _, record in read_records(output.path):
                    if record.get("question_id") in tasks:
                        disagreements.consider(record, tasks[record["question_id"]])
        yield
    finally:
        for output in outputs:
            if output.writer is not None:
                output.writer.close()
                output.writer = None
