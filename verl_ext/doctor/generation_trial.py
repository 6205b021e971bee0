"""One answer to the run's first prompt by vLLM, in a process of its own as an evaluation draws it."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from verl_ext.data.parquet import read_rows
from verl_ext.evaluation.problems import Problem
from verl_ext.evaluation.run_options import EvaluationOptions
from verl_ext.evaluation.sampler import Answer, Chunk, Sampler
from verl_ext.evaluation.sampling_settings import Sampling
from verl_ext.evaluation.source import find_source
from verl_ext.evaluation.vllm_sampler import EngineError
from verl_ext.host.finding import Finding, fail, ok
from verl_ext.host.log_tail import tail
from verl_ext.tasks.templates import PASS_THROUGH_CHAT_TEMPLATE
from verl_ext.training.paths import local_files, local_path

GENERATION = "generation"
TOKENS = 16
SHOWN_CHARS = 80


def generation(config: Any) -> Finding:
    """Whether vLLM loads the model of the run and answers; what it prints is shown where it does not."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vllm.log"
        try:
            with path.open("w", encoding="utf-8") as log:
                answer = asyncio.run(_first(_sampler(config, Path(folder), log)))
        except EngineError as error:
            return fail(GENERATION, f"{error}\n{tail(path)}", "The last lines of vLLM's log say why.")
    if not answer.num_tokens:
        return fail(GENERATION, f"vLLM gave an empty answer ({answer.finish_reason})", "Is it the right chat template?")
    text = " ".join(answer.text.split())
    seconds = time.monotonic() - began
    return ok(GENERATION, f"{answer.num_tokens} tokens by vLLM, {seconds:.1f} s with its start: {text[:SHOWN_CHARS]!r}")


def _sampler(config: Any, folder: Path, log: Any) -> Sampler:
    model, data = config.actor_rollout_ref.model, config.data
    file = local_path(local_files(data.train_files)[0])
    options = EvaluationOptions(
        model_path=model.path,
        data=file,
        output_path=folder / "answers.jsonl",
        max_model_len=int(data.max_prompt_length + max(data.max_response_length, TOKENS)),
        data_parallel_size=1,
        max_num_seqs=1,
    )
    source = find_source(options)
    source.prepare(log)
    sampling = Sampling(num_samples=1, temperature=1.0, top_p=1.0, max_tokens=TOKENS)
    chat_options = OmegaConf.to_container(data.apply_chat_template_kwargs)
    assert isinstance(chat_options, dict)
    if model.custom_chat_template is not None:
        chat_options["chat_template"] = model.custom_chat_template
    row = read_rows(file)[0]
    problem = Problem(
        question_id="the first",
        task=row["data_source"],
        prompt=_prompt(row[data.prompt_key], model.custom_chat_template),
        reference=row["reward_model"]["ground_truth"],
    )
    return source.sampler([problem], sampling, {str(name): value for name, value in chat_options.items()}, log)


def _prompt(messages: Sequence[Any], custom_template: str | None) -> Any:
    """A text that is ready, or the messages for the chat template."""
    if custom_template == PASS_THROUGH_CHAT_TEMPLATE:
        return messages[0]["content"]
    return tuple({"role": message["role"], "content": message["content"]} for message in messages)


async def _first(sampler: Sampler) -> Answer:
    answers = [
        answer async for _, drawn in sampler.draw([Chunk(problem=0, first=0, count=1, seed=0)]) for answer in drawn
    ]
    return answers[0]
