"""The side file of a generations file: which model, sampling and prompts its answers come from, and who drew them when.

It is what a resumed evaluation is checked against: answers drawn in another way never get into the same file.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from verl_ext.evaluation.problems import Problem
from verl_ext.grading.workers.decisions import GRADER_VERSION
from verl_ext.grading.workers.settings import read_settings
from verl_ext.host.files import write_whole
from verl_ext.host.provenance import git_state, versions
from verl_ext.metrics.side_file import FORMAT

_SHOWN_CHARS = 200


def write_run(path: Path, run: Mapping[str, Any]) -> None:
    """Write the side file, whole or not at all."""
    write_whole(path, json.dumps(run, ensure_ascii=False, indent=1) + "\n")


def entry_of(problem: Problem) -> dict[str, Any]:
    """What the side file says of a problem."""
    return {"task": problem.task, "prompt": problem.prompt_as_json(), "gold_answer": problem.reference}


def new_run(model: Mapping[str, Any], sampling: Mapping[str, Any], problems: Sequence[Problem]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": dict(model),
        "sampling": dict(sampling),
        "runs": [],
        "problems": {problem.question_id: entry_of(problem) for problem in problems},
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """How the answers wanted now differ from those of the file; empty where they can be added to it.

    A model is the same if its weights and tokenizer are, whatever it is called; without a fingerprint of both, if its
    name is. Problems that only one of the two has do not matter.
    """
    found = []
    prints = [run["model"].get("fingerprint") for run in (old, new)]
    if (prints[0] != prints[1]) if all(prints) else (old["model"]["name"] != new["model"]["name"]):
        names = [run["model"]["name"] for run in (old, new)]
        found.append(
            f"model was {names[0]} and is {names[1]}"
            if names[0] != names[1]
            else f"model {names[0]} has other weights or another tokenizer now"
        )
    for name in sorted({*old["sampling"], *new["sampling"]}):
        before, now = old["sampling"].get(name), new["sampling"].get(name)
        if before != now:
            found.append(f"{name} was {before!r} and is {now!r}")
    for question_id, entry in new["problems"].items():
        before = old["problems"].get(question_id)
        for name in ("prompt", "gold_answer", "task"):
            if before is not None and before[name] != entry[name]:
                found.append(
                    f"{name} of question {question_id} was {_short(before[name])} and is {_short(entry[name])}"
                )
                return found  # one is enough to see what changed, and there may be thousands
    return found


def merged_run(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The side file after problems of ``new`` were added to ``old``."""
    return {**old, "problems": {**old["problems"], **new["problems"]}}


def grader_name() -> str:
    """Which grader gives the labels (``verl_ext.grading.graders.TABLES``), and under which conventions."""
    return str(read_settings())


def code_facts() -> dict[str, Any]:
    """Which code answers and grades: versions of the grader, of the libraries and of this package."""
    return {"grader_version": GRADER_VERSION, "versions": versions(), "git": git_state(Path(__file__).parent)}


def time_text(seconds: float) -> str:
    """A time in seconds since 1970, as text in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
