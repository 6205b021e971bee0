"""A generations file as lighteval writes its results: ``results/<model>/results_<time>.json`` and, per task,
``details/<model>/<time>/details_<task>|0_<time>.parquet``.

After ``EvaluationTracker``, ``Doc`` and ``ModelResponse`` of lighteval 0.13.0. A row is a problem, its answers are the samples of
one document, its metrics are pass@k. The records themselves are in ``doc.specific``. ``|0`` is lighteval's number of shots: of
shots this package knows none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet

from verl_ext.export.exported_answers import (
    ExportedAnswers,
    Lacks,
    file_name,
    mean_and_error,
    pass_at_common_k,
    path_parts,
    records_by_problem,
    text_of,
)
from verl_ext.metrics.exact_record import packed, readable
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.lighteval_details import RECORDS
from verl_ext.metrics.pass_at_k import FloatArray

_HASHES = ("hash_examples", "hash_full_prompts", "hash_input_tokens", "hash_cont_tokens")


def write_lighteval_files(source: ExportedAnswers, folder: Path, verdict: str | None) -> tuple[Generations, Lacks]:
    """Write both files into ``folder``; all answers are in memory meanwhile.

    Raises:
        ValueError: The file cannot be counted.
    """
    generations, records_P, lacks = records_by_problem(source, verdict)
    ks, values_PK = pass_at_common_k(generations)
    time = source.time_in_names
    task, model = f"{file_name(source.task)}|0", Path(*path_parts(source.model))
    rows = [
        _row(source, task, records, dict(zip(ks, values_K.tolist(), strict=True)))
        for records, values_K in zip(records_P, values_PK, strict=True)
    ]
    details, results = folder / "details" / model / time, folder / "results" / model
    for place in (details, results):
        place.mkdir(parents=True)
    with (details / f"details_{task}_{time}.parquet").open("wb") as file:
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), file)
    said = _results(source, task, model.as_posix(), ks, values_PK)
    (results / f"results_{time}.json").write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
    return generations, lacks


def _row(
    source: ExportedAnswers, task: str, records: Sequence[Mapping[str, Any]], pass_at: Mapping[int, float]
) -> dict[str, Any]:
    prompt = readable(text_of(source.prompt_of(records[0])))
    reference = records[0].get("gold_answer")
    gold = readable(reference if isinstance(reference, str) else orjson.dumps(reference).decode())
    texts = [readable(text) if isinstance(text := record.get("response"), str) else "" for record in records]
    return {
        "doc": {
            "choices": [gold],
            "fewshot_samples": [],
            "fewshot_sorting_class": None,
            "generation_grammar": None,
            "generation_size": source.sampling.get("max_tokens"),
            "gold_index": [0],
            "id": readable(str(records[0]["question_id"])),
            "images": None,
            "instruction": None,
            "num_samples": len(records),
            "original_query": None,
            "query": prompt,
            "sampling_methods": ["GENERATIVE"],
            "specific": {RECORDS: [packed(record) for record in records]},
            "stop_sequences": [],
            "task_name": task,
            "unconditioned_query": None,
            "use_logits": False,
        },
        "metric": {f"pass@{k}": value for k, value in pass_at.items()},
        "model_response": {
            "argmax_logits_eq_gold": [],
            "input": prompt,
            "input_tokens": [],
            "logits": None,
            "logprobs": [],
            "output_tokens": [],
            "padded_tokens_count": 0,
            "reasonings": [
                readable(text) if isinstance(text := record.get("reasoning"), str) else None for record in records
            ],
            "text": texts,
            "text_post_processed": None,
            "truncated_tokens_count": 0,
            "unconditioned_logprobs": None,
        },
    }


def _results(
    source: ExportedAnswers, task: str, model: str, ks: Sequence[int], values_PK: FloatArray
) -> dict[str, Any]:
    numbers: dict[str, float] = {}
    for k, values_P in zip(ks, values_PK.T, strict=True):
        numbers[f"pass@{k}"], error = mean_and_error(values_P)
        if error is not None:
            numbers[f"pass@{k}_stderr"] = error
    counts = {"truncated": 0, "non_truncated": len(values_PK), "padded": 0, "non_padded": len(values_PK)}
    summary = {"hashes": dict.fromkeys(_HASHES, ""), **counts}
    began = datetime.fromisoformat(source.created).timestamp()
    seconds = float(source.last_launch.get("seconds") or 0)
    return {
        "config_general": {
            "lighteval_sha": "?",
            "num_fewshot_seeds": None,
            "max_samples": None,
            "job_id": None,
            "start_time": began,
            "end_time": began + seconds,
            "total_evaluation_time_secondes": str(seconds),
            "model_config": {"model_name": source.model, "generation_parameters": dict(source.sampling)},
            "model_name": model,
        },
        "results": {task: numbers, "all": numbers},
        "versions": {task: 0},
        "config_tasks": {task: {"name": task, "num_samples": list(ks), "generated_by": "verl_ext"}},
        "summary_tasks": {task: summary},
        "summary_general": summary,
    }
