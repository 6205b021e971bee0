"""A generations file as a log of inspect (https://inspect.aisi.org.uk/eval-logs.html), format 2: a zip of JSON.

A problem is a sample, an answer an epoch of it. All fields of a line are in the sample's metadata, the verdict is the score
``verl_ext``, and pass@k stands in the results under inspect's names of its reducers, ``pass_at_<k>``.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from verl_ext.export.exported_answers import ExportedAnswers, Lacks, Prompt
from verl_ext.metrics.counter import ProblemCounts
from verl_ext.metrics.exact_record import readable
from verl_ext.metrics.generations import Generations, read_generations
from verl_ext.metrics.inspect_log import MARK, SAMPLES
from verl_ext.metrics.pass_at_k import pass_at_k_table, powers_of_two_up_to

SCORER = "verl_ext"
_FORMAT = 2
_ROLES = ("system", "user", "assistant", "tool")
_STOP_REASONS = {"stop": "stop", "length": "max_tokens", "withheld": "content_filter"}
_MAX_SHOWN = 1000
"""Characters of a text in the summaries, as inspect cuts them."""


def write_inspect_log(source: ExportedAnswers, target: Path, verdict: str | None) -> tuple[Generations, Lacks]:
    """Write the log, in memory for one answer at a time and a summary of each.

    Raises:
        ValueError: The file cannot be counted.
    """
    lacks = Lacks()
    summaries: list[dict[str, Any]] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:

        def write(problem: ProblemCounts, record: Mapping[str, Any]) -> None:
            prompt = source.prompt_of(record)
            lacks.note(record, prompt)
            sample = sample_of(source, problem.num_samples, record, prompt)
            archive.writestr(_entry(f"{SAMPLES}{sample['id']}_epoch_{sample['epoch']}.json"), as_json(sample))
            summaries.append(_summary(sample))

        generations = read_generations(source.path, verdict=verdict, on_answer=write)
        header = _header(source, generations, [str(summary["id"]) for summary in summaries if summary["epoch"] == 1])
        archive.writestr(_entry("_journal/start.json"), as_json({k: header[k] for k in ("version", "eval", "plan")}))
        archive.writestr(_entry("summaries.json"), as_json(summaries))
        archive.writestr(_entry("header.json"), as_json(header))
    return generations, lacks


def as_json(value: Any) -> bytes:
    """A value as JSON in UTF-8; half a pair of UTF-16, which UTF-8 cannot hold, is escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def _entry(name: str) -> zipfile.ZipInfo:
    """The same bytes whenever it is written."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def sample_of(source: ExportedAnswers, epoch: int, record: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    """The sample of an answer, the ``epoch``-th of its problem from 1."""
    text, exact = _storable(record.get("response"))
    metadata = {name: value for name, value in record.items() if name not in ("response", "prompt", "label")}
    if exact is not None:
        metadata["response_as_json"] = exact
    if "response" not in record:
        metadata["has_no_response"] = True
    messages = _messages(prompt)
    answer = {"role": "assistant", "content": _content(text, record), "source": "generate", "model": source.model}
    reason = _STOP_REASONS.get(str(record.get("finish_reason")), "unknown")
    return {
        "id": _sample_id(record["question_id"]),
        "epoch": epoch,
        "input": messages if isinstance(prompt, list) else prompt or "",
        "target": _target(record.get("gold_answer")),
        "messages": [*messages, answer],
        "output": {"model": source.model, "choices": [{"message": answer, "stop_reason": reason}], "completion": text},
        "scores": {SCORER: _score(record)},
        "metadata": {MARK: 1, **metadata},
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }


def _storable(response: Any) -> tuple[str, str | None]:
    """The text as inspect can read it, and its exact spelling as ASCII where that is another text."""
    text = response if isinstance(response, str) else ""
    stored = readable(text)
    return stored, None if text == stored and (text or response in ("", None)) else json.dumps(response)


def _content(text: str, record: Mapping[str, Any]) -> Any:
    if not isinstance(reasoning := record.get("reasoning"), str):
        return text
    return [{"type": "reasoning", "reasoning": readable(reasoning)}, {"type": "text", "text": text}]


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    return [
        {
            "role": message["role"] if message["role"] in _ROLES else "user",
            "content": message["content"],
            "source": "input",
        }
        for message in prompt or []
    ]


def _sample_id(question_id: int | str) -> str:
    """The problem's id, or a digest of one that cannot name a file in a zip."""
    text = str(question_id)
    if text and len(text) <= 200 and text.isprintable() and not set(text) & set('\\:*?"<>|'):
        return text
    return hashlib.sha256(text.encode("utf-8", errors="backslashreplace")).hexdigest()[:32]


def _target(reference: Any) -> str:
    return reference if isinstance(reference, str) else "" if reference is None else json.dumps(reference)


def _score(record: Mapping[str, Any]) -> dict[str, Any]:
    answer = record.get("pred_answer")
    how = {name: record[name] for name in ("reason", "tier", "rule") if record.get(name) is not None}
    return {
        "value": "C" if record["label"] else "I",
        "answer": answer if isinstance(answer, str | None) else str(answer),
        "explanation": ", ".join(f"{name}: {value}" for name, value in how.items()) or None,
        "metadata": how or None,
        "history": [],
    }


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What inspect's viewer lists, with long texts cut."""
    score = sample["scores"][SCORER]
    metadata = {name: _short(value) for name, value in sample["metadata"].items() if not isinstance(value, dict | list)}
    prompt = sample["input"]
    return {
        "id": sample["id"],
        "epoch": sample["epoch"],
        "input": _short(prompt) if isinstance(prompt, str) else [m | {"content": _short(m["content"])} for m in prompt],
        "target": _short(sample["target"]),
        "metadata": {name: value for name, value in metadata.items() if name != "response_as_json"},
        "scores": {SCORER: score | {"answer": _short(score["answer"])}},
        "model_usage": {},
        "completed": True,
        "message_count": len(sample["messages"]),
    }


def _short(value: Any) -> Any:
    return value[:_MAX_SHOWN] if isinstance(value, str) else value


def _header(source: ExportedAnswers, generations: Generations, ids: Sequence[str]) -> dict[str, Any]:
    digest = hashlib.sha256(orjson.dumps([str(source.path), source.created, generations.num_answers])).hexdigest()
    ks = powers_of_two_up_to(int(generations.num_samples_P.min()))
    spec = {
        "eval_id": digest[:22],
        "run_id": digest[22:44],
        "created": source.created,
        "task": source.task,
        "task_id": digest[-22:],
        "task_version": 0,
        "dataset": {
            "name": source.task,
            "samples": generations.num_problems,
            "sample_ids": list(ids),
            "shuffled": False,
        },
        "model": source.model,
        "model_generate_config": {
            name: source.sampling[name] for name in ("temperature", "top_p", "max_tokens") if name in source.sampling
        },
        "config": {
            "epochs": int(generations.num_samples_P.max()),
            "epochs_reducer": ["mean", *(f"pass_at_{k}" for k in ks)],
        },
        "packages": dict(source.last_launch.get("versions", {})),
        "revision": _revision(source),
        "metadata": {"sampling": dict(source.sampling), "reasons": dict(generations.reasons)},
        "scorers": [{"name": SCORER, "options": {}, "metrics": [{"name": "inspect_ai/accuracy", "options": {}}]}],
    }
    return {
        "version": _FORMAT,
        "status": "success",
        "eval": spec,
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": _results(generations, ks),
        "stats": {"started_at": source.created, "completed_at": source.created, "model_usage": {}},
        "invalidated": False,
    }


def _revision(source: ExportedAnswers) -> dict[str, Any] | None:
    commit = (source.last_launch.get("git") or {}).get("commit")
    return {"type": "git", "origin": "", "commit": commit} if commit else None


def _results(generations: Generations, ks: Sequence[int]) -> dict[str, Any]:
    mean = float((generations.num_correct_P / generations.num_samples_P).mean())
    pass_at_K = pass_at_k_table(generations.num_samples_P, generations.num_correct_P, ks).mean(axis=0)
    values = {"mean": mean} | {f"pass_at_{k}": float(value) for k, value in zip(ks, pass_at_K, strict=True)}
    return {
        "total_samples": generations.num_answers,
        "completed_samples": generations.num_answers,
        "scores": [
            {
                "name": SCORER,
                "scorer": SCORER,
                "reducer": reducer,
                "scored_samples": generations.num_problems,
                "unscored_samples": 0,
                "params": {},
                "metrics": {"accuracy": {"name": "accuracy", "value": value, "params": {}}},
            }
            for reducer, value in values.items()
        ],
    }
