"""Where the problems of a task come from."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set on the Hugging Face hub and what its rows must hold."""

    data_source: str
    """verl's key for the task: picks the grader and names the validation metrics."""
    repo_id: str
    revision: str
    """Commit or branch of the data set; a commit brings the same rows back a year from now."""
    columns: tuple[str, ...]
    """Columns that are read, checked after loading."""


COUNTDOWN = Task(
    data_source="countdown",
    repo_id="justinphan3110/Countdown-Tasks-3to4",
    revision="main",
    columns=("nums", "target"),
)
