"""The problems of an evaluation: from verl's rows in a file, or from a task by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_ext.evaluation.sampling_settings import CHAT
from verl_ext.grading import check_reference
from verl_ext.tasks.templates import BOX_INSTRUCTION, RAW_TEMPLATES, render_prompt


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question as it is put to the model."""

    question_id: str
    task: str
    """The row's ``data_source``, which picks the grader."""
    prompt: str | tuple[Mapping[str, str], ...]
    """The text that the model reads, or messages for its chat template."""
    reference: Any
    level: str | None = None
    subject: str | None = None
    paper_reference: str | None = None
    """What the paper graded against, where ``reference`` is a correction of it."""

    @property
    def texts(self) -> list[str]:
        """What the prompt holds for certain: all of it, or the messages without their chat template."""
        return [self.prompt] if isinstance(self.prompt, str) else [message["content"] for message in self.prompt]

    @property
    def num_bytes(self) -> int:
        return sum(len(text.encode()) for text in self.texts)

    def prompt_as_json(self) -> Any:
        return self.prompt if isinstance(self.prompt, str) else [dict(message) for message in self.prompt]


def problems_of_task(
    name: str, *, template: str, data_dir: Path | None = None, limit: int | None = None
) -> list[Problem]:
    """The problems of a task of ``verl_ext.tasks``, asked in ``template``.

    Raises:
        ValueError, FileNotFoundError: There is no such task or template, or its data cannot be had.
    """
    from verl_ext.data.sources import load_rows
    from verl_ext.tasks import task_named

    instruction = BOX_INSTRUCTION if task_named(name).asks_for_box else ""
    problems = []
    for row in load_rows(name, data_dir)[:limit]:
        try:
            check_reference(row.ground_truth, row.data_source)
        except ValueError as error:
            raise ValueError(f"{name}, row {row.question_id}, cannot be graded: {error}") from None
        question = row.messages[-1]["content"]
        text = render_prompt(template, question, instruction=instruction)
        problems.append(
            Problem(
                question_id=row.question_id,
                task=row.data_source,
                prompt=text if template in RAW_TEMPLATES else ({"role": "user", "content": text},),
                reference=row.ground_truth,
                level=row.level,
                subject=row.subject,
                paper_reference=row.paper_reference,
            )
        )
    return problems


def problems_of_file(path: Path, *, template: str = CHAT, limit: int | None = None) -> list[Problem]:
    """The problems of a file of verl's rows; a row's number is its question id.

    A row whose prompt was prepared with a raw template is taken as it is: the turn's tokens are in it already.

    Raises:
        ValueError, FileNotFoundError: The file cannot be used; names the row.
    """
    from verl_ext.data.parquet import check_rows, read_rows

    check_rows(path, is_graded_here=True)
    return [
        Problem(
            question_id=str(number),
            task=row["data_source"],
            prompt=_prompt_of_row(row["prompt"], template, f"{path}, row {number},"),
            reference=row["reward_model"]["ground_truth"],
            level=_text(row, "level"),
            subject=_text(row, "subject", "type"),
        )
        for number, row in enumerate(read_rows(path)[:limit])
    ]


def _prompt_of_row(
    messages: Sequence[Mapping[str, str]], template: str, where: str
) -> str | tuple[Mapping[str, str], ...]:
    if len(messages) == 1 and _is_rendered(messages[0]["content"]):
        return messages[0]["content"]
    if template not in RAW_TEMPLATES:
        return tuple({"role": message["role"], "content": message["content"]} for message in messages)
    if len(messages) != 1:
        raise ValueError(
            f"{where} has {len(messages)} messages, and --template {template} takes one: use --template chat."
        )
    # The rows of a file hold the instruction, if their task has one.
    return render_prompt(template, messages[0]["content"], instruction="")


def _is_rendered(text: str) -> bool:
    return any(text.startswith(before) and text.endswith(after) for before, after in RAW_TEMPLATES.values())


def _text(row: Mapping[str, Any], *names: str) -> str | None:
    extra = row.get("extra_info")
    for source in (row, extra if isinstance(extra, Mapping) else {}):
        for name in names:
            if source.get(name) is not None:
                return str(source[name])
    return None
