"""What is known of a generations file besides its answers: from ``<file>.run.json`` beside it, where that is there."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from verl_ext.metrics.counter import ProblemCounts
from verl_ext.metrics.generations import Generations, read_generations, stem
from verl_ext.metrics.pass_at_k import FloatArray, pass_at_k_table, powers_of_two_up_to
from verl_ext.metrics.side_file import read_run, run_path

Prompt = str | list[dict[str, str]] | None


@dataclass(frozen=True)
class ExportedAnswers:
    """A generations file and its side file."""

    path: Path
    run: Mapping[str, Any] = field(default_factory=dict)
    """Empty where there is no side file."""

    @cached_property
    def model(self) -> str:
        return str(self.run.get("model", {}).get("name") or "unknown")

    @property
    def sampling(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.run.get("sampling", {})
        return found

    @cached_property
    def task(self) -> str:
        """The data source of its problems; the file's name where they are of several, or it is not known."""
        tasks = {str(entry["task"]) for entry in self.run.get("problems", {}).values()}
        return tasks.pop() if len(tasks) == 1 else stem(self.path)

    @cached_property
    def created(self) -> str:
        """When the first answers were drawn; without a side file, when the file was last changed. In UTC."""
        runs = self.run.get("runs") or [{}]
        changed = datetime.fromtimestamp(self.path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        return str(runs[0].get("started") or changed)

    @property
    def time_in_names(self) -> str:
        """``created`` as names of files have it."""
        return datetime.fromisoformat(self.created).replace(tzinfo=None).isoformat().replace(":", "-")

    @cached_property
    def last_launch(self) -> Mapping[str, Any]:
        """Facts of the latest evaluation that added to the file: versions, commit, machine."""
        runs = self.run.get("runs") or [{}]
        latest: Mapping[str, Any] = runs[-1]
        return latest

    def prompt_of(self, record: Mapping[str, Any]) -> Prompt:
        """What the model was given; None where neither the record nor the side file has it."""
        entry = self.run.get("problems", {}).get(str(record["question_id"]), {})
        prompt: Prompt = entry.get("prompt", record.get("prompt"))
        return prompt


def answers_with_facts(path: Path) -> ExportedAnswers:
    """Read the side file.

    Raises:
        ValueError: It is damaged.
    """
    return ExportedAnswers(path, read_run(run_path(path)) or {})


@dataclass
class Lacks:
    """What an exported file lacks because the answers do."""

    num_texts: int = 0
    num_prompts: int = 0
    num_answers: int = 0

    def note(self, record: Mapping[str, Any], prompt: Prompt) -> None:
        self.num_answers += 1
        self.num_texts += not isinstance(record.get("response"), str)
        self.num_prompts += not prompt

    def said(self, source: ExportedAnswers) -> list[str]:
        """A sentence for each thing that is missing."""
        lines = []
        if self.num_texts:
            lines.append(
                f"{self.num_texts:,} of {self.num_answers:,} answers have no text (no response in {source.path}): their texts "
                "are empty, their verdicts are there."
            )
        if self.num_prompts:
            lines.append(
                f"{self.num_prompts:,} of {self.num_answers:,} answers have no prompt ({run_path(source.path)} has none): "
                "the inputs are empty."
            )
        return lines


def records_by_problem(
    source: ExportedAnswers, verdict: str | None
) -> tuple[Generations, list[list[Mapping[str, Any]]], Lacks]:
    """All records of a file by their problems, in memory; the counts of the file, and what the records lack.

    Raises:
        ValueError: The file cannot be counted.
    """
    lacks = Lacks()
    records_P: list[list[Mapping[str, Any]]] = []

    def note(problem: ProblemCounts, record: Mapping[str, Any]) -> None:
        lacks.note(record, source.prompt_of(record))
        if problem.index == len(records_P):
            records_P.append([])
        records_P[problem.index].append(record)

    return read_generations(source.path, verdict=verdict, on_answer=note), records_P, lacks


def pass_at_common_k(generations: Generations) -> tuple[list[int], FloatArray]:
    """The powers of two up to the least number of samples, and pass@k of each problem (P, K)."""
    ks = powers_of_two_up_to(int(generations.num_samples_P.min()))
    return ks, pass_at_k_table(generations.num_samples_P, generations.num_correct_P, ks)


def text_of(prompt: Prompt) -> str:
    """A prompt as one text: messages are JSON."""
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False) if prompt else ""


def file_name(text: str) -> str:
    """A text that can be a part of a file's name anywhere."""
    return re.sub(r"[^\w.-]", "_", text, flags=re.ASCII).strip(". ") or "unnamed"


def path_parts(model: str) -> list[str]:
    """A model's name as folders in each other, none of which leads out of them."""
    return [file_name(part) for part in model.split("/") if part.strip(". ")] or ["unnamed"]


def mean_and_error(values_P: FloatArray) -> tuple[float, float | None]:
    """Mean over problems, and its standard error; None for one problem."""
    error = float(np.std(values_P, ddof=1) / np.sqrt(len(values_P))) if len(values_P) > 1 else None
    return float(values_P.mean()), error
