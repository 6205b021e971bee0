"""A generations file as lm-evaluation-harness writes its results: ``results_<time>.json`` and ``samples_<task>_<time>.jsonl``.

After ``EvalResults`` and ``SampleResult`` of ``lm_eval/result_schema.py`` (0.4.13). A line is a problem, its answers are the
repeats of one request, its metrics are pass@k. The verdicts and all other fields of the answers are in ``doc``. What this
package does not know, such as the number of shots, is left out.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from verl_ext.export.exported_answers import (
    ExportedAnswers,
    Lacks,
    mean_and_error,
    pass_at_common_k,
    records_by_problem,
    text_of,
)
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.lm_eval_samples import ANSWERS
from verl_ext.metrics.pass_at_k import FloatArray

FILTER = "none"
_SETTINGS = ("temperature", "top_p", "top_k", "max_tokens")


def write_lm_eval_files(source: ExportedAnswers, folder: Path, verdict: str | None) -> tuple[Generations, Lacks]:
    """Write both files into ``folder``, in a folder of the model's name; all answers are in memory meanwhile.

    Raises:
        ValueError: The file cannot be counted.
    """
    generations, records_P, lacks = records_by_problem(source, verdict)
    ks, values_PK = pass_at_common_k(generations)
    place = folder / model_folder(source.model)
    place.mkdir(parents=True)
    name = re.sub(r"\W", "_", source.task)
    time = source.time_in_names
    hashes = []
    with (place / f"samples_{name}_{time}.jsonl").open("w", encoding="ascii") as lines:
        for number, (records, values_K) in enumerate(zip(records_P, values_PK, strict=True)):
            sample = _sample(source, number, records, dict(zip(ks, values_K.tolist(), strict=True)))
            hashes.append(sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"])
            lines.write(json.dumps(sample) + "\n")
    results = _results(source, generations, ks, values_PK) | {"task_hashes": {source.task: _digest("".join(hashes))}}
    (place / f"results_{time}.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    return generations, lacks


def model_folder(model: str) -> str:
    """A model's name as lm-eval spells it in a path."""
    return re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)


def _sample(
    source: ExportedAnswers, number: int, records: Sequence[Mapping[str, Any]], pass_at: Mapping[int, float]
) -> dict[str, Any]:
    texts = [text if isinstance(text := record.get("response"), str) else "" for record in records]
    doc = {"question_id": records[0]["question_id"], ANSWERS: [_without_text(record) for record in records]}
    prompt = text_of(source.prompt_of(records[0]))
    reference = records[0].get("gold_answer")
    target = reference if isinstance(reference, str) else json.dumps(reference)
    settings = {name: source.sampling[name] for name in _SETTINGS if name in source.sampling}
    metrics = {f"pass@{k}": value for k, value in pass_at.items()}
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": settings}},
        "resps": [texts],
        "filtered_resps": [texts],
        "filter": FILTER,
        "metrics": list(metrics),
        "doc_hash": _digest(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _digest(prompt),
        "target_hash": _digest(target),
        **metrics,
    }


def _without_text(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in record.items() if name not in ("response", "prompt")}
    return kept if isinstance(record.get("response"), str) else kept | {"has_no_response": True}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="backslashreplace")).hexdigest()


def _results(
    source: ExportedAnswers, generations: Generations, ks: Sequence[int], values_PK: FloatArray
) -> dict[str, Any]:
    task = source.task
    num_problems = generations.num_problems
    numbers: dict[str, Any] = {"alias": task, "sample_len": num_problems}
    for k, values_P in zip(ks, values_PK.T, strict=True):
        numbers[f"pass@{k},{FILTER}"], error = mean_and_error(values_P)
        numbers[f"pass@{k}_stderr,{FILTER}"] = "N/A" if error is None else error
    return {
        "results": {task: numbers},
        "group_subtasks": {task: []},
        "configs": {
            task: {"task": task, "output_type": "generate_until", "repeats": int(generations.num_samples_P.max())}
        },
        "versions": {task: None},
        "n-shot": {},
        "higher_is_better": {task: {f"pass@{k}": True for k in ks}},
        "n-samples": {task: {"original": num_problems, "effective": num_problems}},
        "config": {
            "model": "verl_ext",
            "model_args": {"pretrained": source.model},
            "gen_kwargs": dict(source.sampling),
        },
        "git_hash": (source.last_launch.get("git") or {}).get("commit"),
        "date": datetime.fromisoformat(source.created).timestamp(),
        "model_source": "verl_ext",
        "model_name": source.model,
        "model_name_sanitized": model_folder(source.model),
    }
