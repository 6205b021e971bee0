"""The README.md of an exported model: what a reader has to know of the run, from its ``run.json`` and ``metrics.jsonl``."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from verl_ext.checkpoint.saved_weights import SavedWeights
from verl_ext.metrics.json_lines import read_objects
from verl_ext.pretrained.hub import HUB_ID, dataset_name

METRICS = "metrics.jsonl"
SCORES = "val-core/"
SETTINGS = {
    "objective": "algorithm.adv_estimator",
    "weight of correct responses": "algorithm.positive_advantage_weight",
    "base model": "actor_rollout_ref.model.path",
    "LoRA rank": "actor_rollout_ref.model.lora_rank",
    "LoRA alpha": "actor_rollout_ref.model.lora_alpha",
    "learning rate": "actor_rollout_ref.actor.optim.lr",
    "prompts a step": "data.train_batch_size",
    "samples a prompt": "actor_rollout_ref.rollout.n",
    "sampling temperature": "actor_rollout_ref.rollout.temperature",
    "prompt tokens, at most": "data.max_prompt_length",
    "response tokens, at most": "data.max_response_length",
    "training data": "data.train_files",
    "validation data": "data.val_files",
    "validation samples a problem": "actor_rollout_ref.rollout.val_kwargs.n",
    "validation temperature": "actor_rollout_ref.rollout.val_kwargs.temperature",
}
"""What is in the table, and which option has it."""

Scores = dict[str, float]


def card(weights: SavedWeights, facts: Mapping[str, Any], record: Mapping[str, Any] | None) -> str:
    """The text of the card.

    Args:
        weights: What was exported.
        facts: Of the export.
        record: The run's ``run.json``; None where there is none, which the card says.
    """
    from huggingface_hub import ModelCard

    scores = _scores(weights)
    parts = [
        f"# {_name(weights, record)}",
        _what_it_is(weights, facts, record),
        _score_table(weights.step, scores),
        _setting_table(record),
        _how_made(facts, record),
    ]
    text = "\n\n".join(part for part in parts if part)
    return str(ModelCard(f"---\n{_metadata(weights, record, scores)}\n---\n\n{text}\n"))


def _name(weights: SavedWeights, record: Mapping[str, Any] | None) -> str:
    name = option(record, "trainer.experiment_name") or weights.folder.resolve().name
    return str(name) if weights.step is None else f"{name}, step {weights.step}"


def option(record: Mapping[str, Any] | None, name: str) -> Any:
    """The value of an option in a run's record; None where it has none."""
    value: Any = record and record.get("config")
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _metadata(weights: SavedWeights, record: Mapping[str, Any] | None, scores: Mapping[int, Scores]) -> str:
    """What the hub reads, in YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    base = option(record, "actor_rollout_ref.model.path")
    objective = option(record, "algorithm.adv_estimator")
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=dataset_name(source),
            dataset_name=source,
            metric_type=metric,
            metric_name=metric,
            metric_value=value,
        )
        for name, value in _own(weights.step, scores).items()
        for source, metric in [_parts(name)]
    ]
    data = ModelCardData(
        model_name=_name(weights, record),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["reinforcement-learning", "verl", *([str(objective)] if objective else [])],
        base_model=base if isinstance(base, str) and HUB_ID.fullmatch(base) and not Path(base).exists() else None,
        eval_results=results or None,
    )
    if not results:
        data.model_name = None
    text: str = data.to_yaml()
    return text


def _parts(name: str) -> tuple[str, str]:
    """Data source and metric of ``val-core/<source>/<metric>/<which>``; a source may have a / itself."""
    source, metric, which = name.partition("/")[2].rsplit("/", 2)
    return source, f"{metric} {which}"


def _scores(weights: SavedWeights) -> dict[int, Scores]:
    """Validation's scores before training and at the step, as far as the run has them; none where the step is not known."""
    file = None if weights.run is None or weights.step is None else weights.run / METRICS
    if file is None or not file.is_file():
        return {}
    found: dict[int, Scores] = {}
    for _number, row, _text in read_objects(file):
        if row is None or row.get("step") not in (0, weights.step):
            continue
        data = row.get("data", {})
        scores = {name: value for name, value in data.items() if name.startswith(SCORES) and name.count("/") >= 3}
        if scores:
            found[row["step"]] = scores
    return found


def _own(step: int | None, scores: Mapping[int, Scores]) -> Scores:
    """Those of the weights themselves."""
    return {} if step is None else scores.get(step, {})


def _what_it_is(weights: SavedWeights, facts: Mapping[str, Any], record: Mapping[str, Any] | None) -> str:
    base = option(record, "actor_rollout_ref.model.path")
    objective = option(record, "algorithm.adv_estimator")
    origin = (
        f"`{base}`, trained with `{objective}` on rewards that a program verifies" if base else "A trained checkpoint"
    )
    lora = (
        " The adapter (LoRA) is merged into the weights."
        if weights.kind == "adapter" or option(record, "actor_rollout_ref.model.lora_rank")
        else ""
    )
    if facts["logit_difference"] is None:
        check = "Not checked against the weights that it was made from (--no-check)."
    else:
        check = (
            f"Its logits differ from those of the weights that it was made from by at most {facts['logit_difference']:.2g} of "
            "the largest."
        )
    return f"{origin}, as a model of transformers in {facts['dtype']}.{lora} {check}"


def _score_table(step: int | None, scores: Mapping[int, Scores]) -> str:
    own = _own(step, scores)
    if not own:
        return ""
    base = scores.get(0, {}) if step else {}
    rows = [
        ["validation", "before training", f"step {step}"] if base else ["validation", f"step {step}"],
        *([*_parts(name), *([_number(base.get(name))] if base else []), _number(value)] for name, value in own.items()),
    ]
    rows[1:] = [[f"{source}, {metric}", *values] for source, metric, *values in rows[1:]]
    return "## Scores\n\n" + _table(rows) + "\n\nOn the run's own validation data, during training."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _setting_table(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "The run left no run.json, so its settings are not known."
    rows = [["setting", "value"]]
    rows += [
        [label, _shown(value)] for label, name in SETTINGS.items() if (value := option(record, name)) not in (None, 0)
    ]
    rows += [[f"seed ({name})", _shown(value)] for name, value in record.get("seeds", {}).items() if value is not None]
    return "## Settings\n\n" + _table(rows)


def _shown(value: Any) -> str:
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    return ", ".join(f"`{one}`" if isinstance(one, str) else str(one) for one in values)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; no cell ends a cell."""
    lines = [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in [lines[0], " | ".join("---" for _ in rows[0]), *lines[1:]])


def _how_made(facts: Mapping[str, Any], record: Mapping[str, Any] | None) -> str:
    exported = f"Exported {facts['made']} by `python -m verl_ext.checkpoint export`; `export.json` has the digest of the weights."
    return "\n\n".join(["## How it was made", *_facts_of_run(record or {}), exported])


def _facts_of_run(record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("argv"):
        yield _fenced(shlex.join(record["argv"]))
    if record.get("started"):
        machine = record.get("machine") or {}
        git = record.get("git") or {}
        changed = " with changes" if git.get("is_modified") else ""
        commit = f"commit {git['commit']}{changed}" if git.get("commit") else "an unknown commit"
        yield f"Started {record['started']} from {commit}, on {machine.get('num_cpus')} cores of {machine.get('platform')}."
    if record.get("versions"):
        yield "Versions: " + ", ".join(f"{name} {version}" for name, version in record["versions"].items()) + "."


def _fenced(text: str) -> str:
    """A block that no line of ``text`` ends."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}bash\n{text}\n{fence}"
