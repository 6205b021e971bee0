"""Sample n answers to each problem with vLLM and grade them as they come.

A request is a chunk of one problem's samples. Its seed is a function of the evaluation's seed, the problem and the
first sample of the chunk, and vLLM adds the sample's index, so sample i of problem j does not depend on the order, the
batch or the chunk it was drawn in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from verl_ext.evaluation.generations import GenerationWriter, check_same_sampling, read_done
from verl_ext.grading import Verdict, grade


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question as it is put to the model."""

    question_id: str
    task: str
    messages: tuple[Mapping[str, str], ...]
    reference: Any
    facts: Mapping[str, Any]
    """What is copied to each line, such as level and subject."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are drawn; the defaults are the paper's for Qwen2.5 and Llama."""

    num_samples: int = 256
    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = -1
    max_tokens: int = 4096
    seed: int = 0
    chunk_size: int = 32
    """Samples per request: smaller ones are written sooner, larger ones cost less."""

    def __post_init__(self) -> None:
        for name in ("num_samples", "max_tokens", "chunk_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}.")


def problem_seed(seed: int, question_id: str) -> int:
    """The seed of a problem's sample 0; sample i has this plus i. In [0, 2**48)."""
    return int.from_bytes(sha256(f"{seed}/{question_id}".encode()).digest()[:6], "big")


def missing_chunks(done: set[int], num_samples: int, chunk_size: int) -> Iterator[tuple[int, int]]:
    """Yield (first, count) for every run of samples not in ``done``, at most ``chunk_size`` long."""
    first = 0
    while first < num_samples:
        if first in done:
            first += 1
            continue
        count = 1
        while count < chunk_size and first + count < num_samples and first + count not in done:
            count += 1
        yield first, count
        first += count


def to_record(
    problem: Problem, generation_id: int, seed: int, output: Any, response: str, verdict: Verdict
) -> dict[str, Any]:
    """The line of one answer."""
    return {
        "question_id": problem.question_id,
        "generation_id": generation_id,
        "response": response,
        "pred_answer": verdict.answer,
        "gold_answer": problem.reference,
        "label": int(verdict.is_correct),
        "reason": str(verdict.reason),
        "finish_reason": output.finish_reason,
        "num_tokens": len(output.token_ids),
        "seed": seed,
        **problem.facts,
    }


def sample(
    model_path: str,
    problems: Sequence[Problem],
    sampling: Sampling,
    output_path: Path,
    *,
    engine_options: Mapping[str, Any] | None = None,
    model_name: str | None = None,
    on_progress: Callable[[int, int, int], None] = lambda num_done, num_drawn, num_correct: None,
) -> int:
    """Bring ``output_path`` to ``sampling.num_samples`` graded answers per problem and return how many were drawn now.

    Args:
        model_path: A folder or hub id that vLLM loads.
        problems: What to ask; their ids must differ.
        sampling: How to draw.
        output_path: JSONL file, created or continued.
        engine_options: Passed to vLLM's ``EngineArgs``.
        model_name: What the header calls the model; ``model_path`` when absent.
        on_progress: Called with (answers in the file, those of them drawn now, correct ones among those drawn now).

    Raises:
        ValueError: The file holds answers drawn another way, or a prompt does not fit the context.
    """
    assert len({problem.question_id for problem in problems}) == len(problems)
    facts = {name: value for name, value in asdict(sampling).items() if name not in ("num_samples", "chunk_size")}
    header = {"model": model_name or model_path, **facts}
    previous, done = read_done(output_path)
    check_same_sampling(output_path, previous, header)
    chunks = [
        (problem, first, count)
        for problem in problems
        for first, count in missing_chunks(done[problem.question_id], sampling.num_samples, sampling.chunk_size)
    ]
    total = len(problems) * sampling.num_samples
    num_drawn = sum(count for _, _, count in chunks)
    if not chunks:
        on_progress(total, 0, 0)
        return 0
    engine, tokenizer = _start_engine(model_path, engine_options or {})
    writer = GenerationWriter(output_path, header)
    try:
        _run(engine, tokenizer, chunks, sampling, writer, total - num_drawn, on_progress)
    finally:
        writer.close()
    return num_drawn


def _start_engine(model_path: str, engine_options: Mapping[str, Any]) -> tuple[Any, Any]:
    from transformers import AutoTokenizer
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    engine = LLMEngine.from_engine_args(EngineArgs(model=model_path, disable_log_stats=True, **engine_options))
    return engine, AutoTokenizer.from_pretrained(model_path)


def _run(
    engine: Any,
    tokenizer: Any,
    chunks: Sequence[tuple[Problem, int, int]],
    sampling: Sampling,
    writer: GenerationWriter,
    num_before: int,
    on_progress: Callable[[int, int, int], None],
) -> None:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    prompt_ids: dict[str, list[int]] = {}
    context = engine.model_config.max_model_len
    for number, (problem, first, count) in enumerate(chunks):
        if problem.question_id not in prompt_ids:
            encoded = tokenizer.apply_chat_template(
                list(problem.messages), add_generation_prompt=True, tokenize=True, return_dict=False
            )
            if len(encoded) >= context:
                raise ValueError(
                    f"The prompt of question {problem.question_id} has {len(encoded)} tokens and the model's context is "
                    f"{context}: there is no room for an answer."
                )
            prompt_ids[problem.question_id] = list(encoded)
        params = SamplingParams(
            n=count,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=min(sampling.max_tokens, context - len(prompt_ids[problem.question_id])),
            seed=problem_seed(sampling.seed, problem.question_id) + first,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        engine.add_request(str(number), {"prompt_token_ids": prompt_ids[problem.question_id]}, params)

    num_drawn = num_correct = 0
    while engine.has_unfinished_requests():
        for finished in engine.step():
            problem, first, _ = chunks[int(finished.request_id)]
            records = []
            texts = tokenizer.batch_decode([list(o.token_ids) for o in finished.outputs], skip_special_tokens=True)
            for output, response in zip(finished.outputs, texts, strict=True):
                verdict = grade(
                    response, problem.reference, problem.task, is_truncated=output.finish_reason == "length"
                )
                generation_id = first + output.index
                seed = problem_seed(sampling.seed, problem.question_id) + generation_id
                records.append(to_record(problem, generation_id, seed, output, response, verdict))
                num_correct += verdict.is_correct
            writer.write(records)
            num_drawn += len(records)
            on_progress(num_before + num_drawn, num_drawn, num_correct)
