"""What the doctor looks at of a run: the launcher's checks one by one, then what they do not need to know."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from verl_ext.data.parquet import read_rows
from verl_ext.doctor.examination import Examination
from verl_ext.doctor.of_machine import memory_of_accelerators
from verl_ext.host.disk import nearest_existing
from verl_ext.host.finding import Finding, ok, warn
from verl_ext.host.free_memory import GIB, read_memory
from verl_ext.training import head, memory
from verl_ext.training.checks.prompts import has_plain_prompts, length_of
from verl_ext.training.checks.surroundings import space_of
from verl_ext.training.device_memory import device_memory
from verl_ext.training.model_size import num_parameters
from verl_ext.training.paths import is_remote, local_files, local_path
from verl_ext.training.preflight import SUBJECTS, Subject
from verl_ext.training.resources import num_ranks

FILE_OPTIONS = ("train_files", "val_files")
ROW_CHARS = 120
"""Of a prompt or a ground truth that is shown."""
SPLITS = {"train_files": "train", "val_files": "test"}


def examine_run(examination: Examination, config: Any) -> bool:
    """Every check of the launcher; returns whether all are right. What one settles, the later ones find."""
    wrong: set[str] = set()
    for subject in SUBJECTS:
        because = [name for name in subject.needs if name in wrong]
        if because:
            examination.note(warn(subject.name, f"not looked at: {because[0]} has to be right first", ""))
            wrong.add(subject.name)
        elif not examination.make(subject.name, partial(_look, subject, config)):
            wrong.add(subject.name)
    return not wrong


def _look(subject: Subject, config: Any) -> Iterator[Finding]:
    for check in subject.checks:
        check(config)
    yield from SAID[subject.name](config)


def _says(subject: str, text: Callable[[Any], str]) -> Callable[[Any], list[Finding]]:
    return lambda config: [ok(subject, text(config))]


def _of_algorithm(config: Any) -> str:
    return f"{config.algorithm.adv_estimator}, in {config.trainer.output_dir}"


def _of_model(config: Any) -> str:
    path = config.actor_rollout_ref.model.path
    number = num_parameters(path)
    size = "" if number is None else f", {number / 1e6:,.1f} million parameters"
    return f"{path}{size}\n{head.described(config)}"


def _of_devices(config: Any) -> str:
    return f"{num_ranks(config)} of {config.trainer.device} for {config.trainer.nnodes} node(s)"


# ---------------------------------------------------------------------- data


def _of_data(config: Any) -> list[Finding]:
    """A line for each file: its rows by task and split, and a row of each task; then whether training saw the validation."""
    prompts: dict[str, set[str]] = {option: set() for option in FILE_OPTIONS}
    findings = []
    for option in FILE_OPTIONS:
        for file in local_files(config.data[option]):
            if is_remote(file):
                findings.append(warn("data", f"data.{option}={file} cannot be looked at from here", ""))
                continue
            rows = read_rows(local_path(file))
            prompts[option] |= {json.dumps(row[config.data.prompt_key], default=str) for row in rows}
            findings.append(_of_file(option, file, rows, config.data.prompt_key))
    both = prompts["train_files"] & prompts["val_files"]
    if both:
        findings.append(
            warn(
                "data",
                f"{len(both):,} of the {len(prompts['val_files']):,} prompts of data.val_files are in data.train_files too",
                "Validation then shows what was learned by heart: take files of different splits.",
            )
        )
    return findings


def _of_file(option: str, file: str, rows: Sequence[Mapping[str, Any]], prompt_key: str) -> Finding:
    tasks = Counter(str(row["data_source"]) for row in rows)
    splits = Counter(str((row.get("extra_info") or {}).get("split", "unnamed")) for row in rows)
    first = {str(row["data_source"]): row for row in reversed(rows)}
    lines = [f"data.{option}: {len(rows):,} rows of {Path(file).name}, {_counted(tasks)}; split {_counted(splits)}"]
    lines += [
        f"{task}: {_short(row[prompt_key][-1]['content'])} -> {_short(row['reward_model']['ground_truth'])}"
        for task, row in first.items()
    ]
    text = "\n".join(lines)
    other = {"train": "test", "test": "train"}[SPLITS[option]]
    if splits.get(other):
        return warn(
            "data", text, f"{splits[other]:,} rows say that they are of the split {other}: is it the right file?"
        )
    return ok("data", text)


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(name if len(names) == 1 else f"{name} {number:,}" for name, number in names.items())


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= ROW_CHARS else f"{text[: ROW_CHARS - 3]}..."


# ---------------------------------------------------------------------- memory, tokenizer, disk


def _of_memory(config: Any) -> list[Finding]:
    if config.trainer.device != "cpu":
        accelerator = memory_of_accelerators()
        if accelerator is None:
            return [warn("memory", "that of the accelerators is not known here, so nothing is compared", "")]
        return [device_memory(config, accelerator.total, accelerator.name)]
    found, free = memory.estimate(config), read_memory()
    if found is None:
        return [warn("memory", "the sizes of the model are not in its config.json, so nothing is estimated", "")]
    text = memory.described(config, free).removeprefix("memory: ")
    if found.peak > free.available:
        return [warn("memory", text, "Wait until others have ended, or give more.")]
    return [ok("memory", text)]


def _of_tokenizer(config: Any) -> list[Finding]:
    if not has_plain_prompts(config):
        return [warn("tokenizer", "not tried: the prompts are made by what is out of reach here, or hold tools", "")]
    length = length_of(config)
    file = local_files(config.data.train_files)[0]
    messages = read_rows(local_path(file))[0][config.data.prompt_key]
    own = config.actor_rollout_ref.model.custom_chat_template is None
    template = "the model's chat template" if own else "actor_rollout_ref.model.custom_chat_template"
    return [ok("tokenizer", f"{length(messages)} tokens in the first prompt of {Path(file).name}, by {template}")]


def _of_disk(config: Any) -> str:
    folder = nearest_existing(local_path(config.trainer.default_local_dir).absolute())
    space = space_of(folder)
    return f"{space.free / GIB:.1f} of {space.total / GIB:.1f} GiB free in {folder}, which holds the checkpoints"


SAID: Mapping[str, Callable[[Any], list[Finding]]] = {
    "types": _says("types", lambda _config: "every option has a value of its kind"),
    "algorithm": _says("algorithm", _of_algorithm),
    "model": _says("model", _of_model),
    "devices": _says("devices", _of_devices),
    "data": _of_data,
    "memory": _of_memory,
    "tokenizer": _of_tokenizer,
    "steps": _says(
        "steps", lambda config: f"there are some to make, in batches of {config.data.train_batch_size} prompts"
    ),
    "disk": _says("disk", _of_disk),
}
"""What is said of a subject whose checks have found nothing wrong."""
