"""What a task is: a data set, pinned, and how one of its rows becomes a problem."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.answers.number_text import number_text

Split = Literal["train", "test"]
TEST_SHARE = 5
"""Of problems that are made, one in this many is a test problem."""
SourceRow = Mapping[str, Any]
"""A row as the data set has it, on the hub or in a local file."""


def _nothing(_row: SourceRow) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set on the Hugging Face hub, and what its rows hold. The functions raise KeyError for a row of another shape."""

    data_source: str
    """The task's name and verl's key for it: picks the grader and names the validation metrics."""
    other_data_sources: tuple[str, ...] = ()
    """What ready rows of others have as their ``data_source``."""
    grader: str
    """A name of ``verl_ext.grading.graders.GRADERS``."""
    conventions: Conventions = DEFAULTS
    """What counts as the same answer where mathematics does not say; of mathematical graders."""
    repo_id: str
    revision: str
    """Commit or branch of the data set; a commit brings the same rows back a year from now."""
    config: str | None = None
    """Which of the repository's configurations, where it has several."""
    num_rows: Mapping[Split, int | None]
    """The splits there are, with their rows, checked after loading; None where the set has no fixed size."""
    hub_splits: Mapping[Split, str] = field(default_factory=dict)
    """A split's name on the hub, where it is another one."""
    file_stem: str
    """Of a local copy: <file_stem>_<split>.parquet or .jsonl."""
    question_of: Callable[[SourceRow], str]
    """The bare question, without a prompt template."""
    answer_of: Callable[[SourceRow], str]
    """What responses are graded against."""
    printed_answer_of: Callable[[SourceRow], str | None] = _nothing
    """The reference as the data set prints it, where ``answer_of`` had to read it elsewhere; for the report."""
    level_of: Callable[[SourceRow], str | None] = _nothing
    subject_of: Callable[[SourceRow], str | None] = _nothing
    asks_for_box: bool = True
    r"""Whether a prompt has to ask for \boxed{}; False where the question says itself how to answer."""
    aliases: tuple[str, ...] = ()
    """Other names people call it; case, spaces, - and _ never matter."""


def split_of(key: str) -> Split:
    """The split of a problem that is made, whatever seed made it.

    Args:
        key: What two problems have in common that are the same.
    """
    return "test" if int.from_bytes(sha256(key.encode()).digest()[:8], "big") % TEST_SHARE == 0 else "train"


def text_of(row: SourceRow, name: str) -> str:
    """The text or number under ``name``, as text.

    Raises:
        KeyError: The row has no such field.
        ValueError: The field holds something else, such as nothing or NaN, or a number that was rounded.
    """
    return _as_text(row[name], name)


def optional_text(row: SourceRow, name: str) -> str | None:
    """As ``text_of``; None where the row has the field and nothing is in it."""
    return None if row[name] is None else text_of(row, name)


def texts_of(row: SourceRow, name: str) -> list[str]:
    """As ``text_of``, of a field that may also hold a list."""
    value = row[name]
    return [_as_text(part, name) for part in (value if isinstance(value, list) else [value])]


def _as_text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"has the {name} {value!r:.80}, which is not text.")
    try:
        return number_text(value)
    except ValueError as error:
        raise ValueError(f"has the wrong {name}: {error}") from None
