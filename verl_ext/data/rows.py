"""The row verl reads, and what makes one unusable."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from verl_ext.data.sources import Row
from verl_ext.grading import check_reference

COLUMNS = ("data_source", "prompt", "reward_model")
"""Columns without which verl cannot make a prompt or grade its responses."""

VerlRow = dict[str, Any]


def make_row(
    *,
    data_source: str,
    prompt: str,
    ground_truth: str,
    split: str,
    index: int,
    examples: Sequence[tuple[str, str]] = (),
) -> VerlRow:
    """Build the row of one problem: a user message, and a ground truth for the grader of ``data_source``.

    ``examples`` are other prompts and their answers, which the conversation begins with.
    """
    turns = [text for example in examples for text in example]
    return {
        "data_source": data_source,
        "prompt": [
            {"role": "assistant" if number % 2 else "user", "content": text}
            for number, text in enumerate([*turns, prompt])
        ],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": ground_truth},
        "extra_info": {"index": index, "split": split},
    }


def make_problem_row(row: Row, *, prompt: str, template: str, split: str) -> VerlRow:
    """Build verl's row of a problem of ``load_rows``.

    What results are broken down by goes into ``extra_info``, and so does ``paper_reference``: the reference to grade
    against where results under the paper's references are wanted, which is ``ground_truth`` in all but a few rows.

    Args:
        row: The problem.
        prompt: Its question in ``template``.
        template: Name of the prompt template, kept because a raw one needs the pass-through chat template.
        split: train or test.
    """
    verl_row = make_row(
        data_source=row.data_source,
        prompt=prompt,
        ground_truth=row.ground_truth,
        split=split,
        index=int(row.question_id),
    )
    verl_row["extra_info"] |= {
        "question_id": row.question_id,
        "level": row.level,
        "subject": row.subject,
        "template": template,
        "paper_reference": row.ground_truth if row.paper_reference is None else row.paper_reference,
    }
    return verl_row


def row_fault(row: Mapping[str, Any], graded: Collection[str]) -> str | None:
    """Say what is wrong with ``row``, or None.

    Args:
        row: A row with ``COLUMNS``.
        graded: The data sources this package grades; the ground truth of another one only has to be present.
    """
    messages, reward_model = row["prompt"], row["reward_model"]
    if not isinstance(messages, list) or not messages or not all(map(_has_content, messages)):
        return "has no prompt (a list of messages, each with content)"
    # verl prints the chat template's error and leaves such a row out of every step and of the validation.
    if not all(isinstance(message.get("role"), str) and message["role"] for message in messages):
        return "has a message without a role (user, system or assistant)"
    if not isinstance(row.get("extra_info"), Mapping | None):
        return f"has the extra_info {row['extra_info']!r:.80}, which must be a table of fields, or missing"
    ground_truth = reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else None
    is_missing = ground_truth is None or ground_truth == "" or ground_truth != ground_truth  # NaN: pandas' missing
    if is_missing:
        return "has no ground truth (reward_model.ground_truth)"
    if row["data_source"] in graded:
        try:
            check_reference(ground_truth, row["data_source"])
        except ValueError as error:
            return f"has a ground truth that cannot be graded against: {error}"
    return None


def _has_content(message: Any) -> bool:
    """Whether it is a message with a text, or with the parts of a multimodal one."""
    content = message.get("content") if isinstance(message, Mapping) else None
    return isinstance(content, str | list) and bool(content)
