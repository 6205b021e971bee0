"""A generations file in the schema of Every Eval Ever (arXiv:2606.14516): pass@k in one JSON document, and a line per answer.

After ``eval.schema.json`` and ``instance_level_eval.schema.json``, 0.3.0, and the paths of its datastore:
``data/<task>/<developer>/<model>/<uuid>.json`` and ``<uuid>_samples.jsonl`` beside it. Whether the weights are open, and who made
the model, no generations file says: both are ``unknown``.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any

from verl_ext.export.exported_answers import (
    ExportedAnswers,
    Lacks,
    mean_and_error,
    pass_at_common_k,
    path_parts,
    records_by_problem,
    text_of,
)
from verl_ext.metrics.every_eval_samples import RECORD
from verl_ext.metrics.exact_record import packed, readable
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.pass_at_k import FloatArray
from verl_ext.metrics.summary import PassAtKCurve, curve_of

SCHEMA_VERSION = "0.3.0"
LOCAL = "local"
"""The developer of a model whose name has none."""
RESERVED = re.compile("con|prn|aux|nul|com[1-9]|lpt[1-9]|data|unknown")
"""Of a part of a path: devices of Windows, the datastore's own folder, and what is no name."""
_GENERATION = {"temperature": float, "top_p": float, "top_k": float, "max_tokens": int}
_SHOWN = ("level", "subject", "reason", "tier", "rule", "generation_id", "finish_reason", "seed")


def write_every_eval_files(source: ExportedAnswers, folder: Path, verdict: str | None) -> tuple[Generations, Lacks]:
    """Write both files into ``folder``; all answers are in memory meanwhile.

    Raises:
        ValueError: The file cannot be counted.
    """
    generations, records_P, lacks = records_by_problem(source, verdict)
    facts = _Facts(source, generations)
    place = folder / facts.folder
    place.mkdir(parents=True)
    samples = place / f"{facts.name}_samples.jsonl"
    with samples.open("w", encoding="ascii") as lines:
        for records in records_P:
            lines.writelines(json.dumps(_sample(source, facts, record)) + "\n" for record in records)
    detail = {
        "format": "jsonl",
        "file_path": f"{facts.folder}/{samples.name}",
        "hash_algorithm": "sha256",
        "checksum": _digest(samples),
        "total_rows": generations.num_answers,
    }
    log = _log(source, facts, generations) | {"detailed_evaluation_results": detail}
    (place / f"{facts.name}.json").write_text(json.dumps(log, indent=2, allow_nan=False) + "\n", encoding="ascii")
    return generations, lacks


class _Facts:
    """What both files say of the evaluation."""

    def __init__(self, source: ExportedAnswers, generations: Generations) -> None:
        parts = [_component(part) for part in path_parts(source.model)[-2:]]
        self.model = parts[-1]
        self.developer = parts[0] if len(parts) > 1 else LOCAL
        self.model_id = "/".join(parts)
        self.task = _component(re.sub(r"\W", "_", source.task, flags=re.ASCII))
        self.folder = f"data/{self.task}/{self.developer}/{self.model}"
        self.made = str(datetime.fromisoformat(source.created).timestamp())
        self.evaluation_id = f"{self.task}/{self.model_id.replace('/', '_')}/{self.made}"
        counts = [
            *zip(
                generations.question_ids,
                generations.num_samples_P.tolist(),
                generations.num_correct_P.tolist(),
                strict=True,
            )
        ]
        digest = hashlib.sha256(json.dumps([source.model, self.evaluation_id, counts]).encode()).digest()
        self.name = str(uuid.UUID(bytes=digest[:16], version=4))
        """The same for the same answers."""


def _component(name: str) -> str:
    """A part of a path as the datastore takes it."""
    return f"{name}_" if RESERVED.fullmatch(name.partition(".")[0].lower()) else name


def _result_id(k: int) -> str:
    return f"pass_at_{k}"


def _sample(source: ExportedAnswers, facts: _Facts, record: Mapping[str, Any]) -> dict[str, Any]:
    """The line of an answer, which counts for pass@1: the others are of all answers to a problem."""
    prompt = readable(text_of(source.prompt_of(record)))
    gold = record.get("gold_answer")
    references = [] if gold is None else [readable(gold if isinstance(gold, str) else json.dumps(gold))]
    text, answer = record.get("response"), record.get("pred_answer")
    shown = {name: str(record[name]) for name in _SHOWN if record.get(name) is not None}
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": facts.evaluation_id,
        "model_id": facts.model_id,
        "evaluation_name": facts.task,
        "evaluation_result_id": _result_id(1),
        "sample_id": readable(str(record["question_id"])),
        "sample_hash": hashlib.sha256(json.dumps([prompt, references]).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": prompt, "reference": references},
        "output": {"raw": [readable(text) if isinstance(text, str) else ""]},
        "answer_attribution": []
        if answer is None
        else [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": readable(str(answer)),
                "extraction_method": str(record.get("rule") or "unknown"),
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": float(record["label"]), "is_correct": bool(record["label"])},
        "metadata": {name: readable(value) for name, value in shown.items()} | {RECORD: packed(record)},
    }


def _log(source: ExportedAnswers, facts: _Facts, generations: Generations) -> dict[str, Any]:
    versions: Mapping[str, Any] = source.last_launch.get("versions", {})
    commit = (source.last_launch.get("git") or {}).get("commit")
    made_by = {name: str(value) for name, value in versions.items()} | ({"commit": str(commit)} if commit else {})
    engine = {"name": "vLLM", "version": str(versions["vllm"])} if "vllm" in versions else None
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": facts.evaluation_id,
        "evaluation_timestamp": source.created,
        "retrieved_timestamp": facts.made,
        "source_metadata": {
            "source_name": source.path.name,
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "verl_ext",
            "version": str(versions.get("verl_ext", "unknown")),
            "additional_details": made_by,
        },
        "model_info": {
            "name": source.model,
            "id": facts.model_id,
            **({} if "/" in facts.model_id else {"developer": LOCAL}),
            **({} if engine is None else {"inference_engine": engine}),
            "additional_details": {"deployment_type": "self_deployed", "model_availability": "unknown"},
        },
        "evaluation_results": _results(source, facts, generations),
    }


def _results(source: ExportedAnswers, facts: _Facts, generations: Generations) -> list[dict[str, Any]]:
    ks, values_PK = pass_at_common_k(generations)
    curve = curve_of(generations, ks)
    return [_result(source, facts, curve, k, values_P) for k, values_P in zip(ks, values_PK.T, strict=True)]


def _result(
    source: ExportedAnswers, facts: _Facts, curve: PassAtKCurve, k: int, values_P: FloatArray
) -> dict[str, Any]:
    mean, error = mean_and_error(values_P)
    uncertainty: dict[str, Any] = _interval(curve, k) | {"num_samples": len(values_P)}
    if error is not None:
        uncertainty["standard_error"] = {"value": error, "method": "analytic"}
    sampling = source.sampling
    known = {name: kind(sampling[name]) for name, kind in _GENERATION.items() if sampling.get(name) is not None}
    others = {name: str(value) for name, value in sampling.items() if name not in known}
    return {
        "evaluation_result_id": _result_id(k),
        "evaluation_name": facts.task,
        "source_data": {"dataset_name": source.task, "source_type": "other"},
        "metric_config": {
            "evaluation_description": f"Unbiased pass@{k} (arXiv:2107.03374), mean over problems",
            "metric_id": "pass_at_k",
            "metric_name": f"pass@{k}",
            "metric_kind": "pass_rate",
            "metric_unit": "proportion",
            "metric_parameters": {"k": k, "n": curve.max_samples},
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {"score": mean, "uncertainty": uncertainty},
        "generation_config": {"generation_args": known, "additional_details": others},
    }


def _interval(curve: PassAtKCurve, k: int) -> dict[str, Any]:
    """Empty where there is none, as of one problem."""
    low, high = curve.low[curve.at(k)], curve.high[curve.at(k)]
    if isnan(low):
        return {}
    method = "bootstrap over problems"
    return {"confidence_interval": {"lower": low, "upper": high, "confidence_level": 0.95, "method": method}}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
