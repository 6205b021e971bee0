"""How to make what a page shows again: commands, commit, versions, hardware, seeds."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from verl_ext.report.page_blocks import Block, Commands, DataTable, Fold, Heading
from verl_ext.report.run_logs import RunLog
from verl_ext.report.sentences import listed

_FEW = 3
"""Commands: more stand behind a line."""


def reproduction_blocks(
    logs: Sequence[RunLog], *, facts: Sequence[tuple[str, str]] = (), commands: Sequence[str] = ()
) -> list[Block]:
    """The section, nothing where nothing is on record.

    Args:
        logs: The runs.
        facts: (name, value) rows that the runs do not tell.
        commands: That make the page, or the rest of it.
    """
    of_runs = [shlex.join(map(str, log.record["argv"])) for log in logs if log.record.get("argv")]
    rows = [*facts, *_facts_of(logs)]
    blocks: list[Block] = []
    if commands or of_runs:
        shown = [*of_runs[:_FEW], *commands] if len(of_runs) <= _FEW else [of_runs[0], *commands]
        blocks.append(Commands(shown))
    if len(of_runs) > _FEW:
        blocks.append(Fold(f"The commands of all {len(of_runs)} runs", [Commands(of_runs)]))
    if rows:
        blocks.append(facts_table(rows))
    return [Heading("How to reproduce it"), *blocks] if blocks else []


def facts_table(rows: Sequence[tuple[str, str]]) -> DataTable:
    return DataTable(name="made_with", caption="What it was made with", header=["", ""], rows=rows, num_left=2)


def _facts_of(logs: Sequence[RunLog]) -> list[tuple[str, str]]:
    recorded = [log for log in logs if log.record]
    if not recorded:
        return []
    began = sorted(str(log.record.get("started", "")) for log in recorded)
    rows = [("runs", f"{len(recorded)}, begun {began[0]}" + (f" to {began[-1]}" if len(began) > 1 else ""))]
    for name, value_of in _FACTS.items():
        if value := _by_run(recorded, value_of):
            rows.append((name, value))
    return rows


def _by_run(logs: Sequence[RunLog], value_of: Callable[[RunLog], str]) -> str:
    """One value where all runs share it, else each with its runs."""
    runs: dict[str, list[str]] = {}
    for log in logs:
        if value := value_of(log):
            runs.setdefault(value, []).append(log.name)
    if len(runs) <= 1:
        return next(iter(runs), "")
    return "; ".join(
        f"{listed(names) if len(names) <= 4 else f'{len(names)} runs'}: {value}" for value, names in runs.items()
    )


def _training(log: RunLog) -> str:
    names = ("trainer.total_training_steps", "data.train_batch_size", "actor_rollout_ref.rollout.n")
    steps, prompts, samples = (log.option(name) for name in names)
    return f"{steps} steps of {prompts} prompts x {samples} samples" if steps and prompts and samples else ""


def _option(name: str) -> Callable[[RunLog], str]:
    def value_of(log: RunLog) -> str:
        value = log.option(name)
        return "" if value is None else str(value)

    return value_of


def _pairs(section: str) -> Callable[[RunLog], str]:
    def value_of(log: RunLog) -> str:
        found = log.record.get(section)
        return ", ".join(f"{name} {value}" for name, value in found.items()) if isinstance(found, dict) else ""

    return value_of


def _machine(log: RunLog) -> str:
    machine: Mapping[str, Any] = log.record.get("machine") or {}
    named = machine.get("processor") or machine.get("platform")
    return f"{named}, {machine.get('num_cpus')} cores" if named else ""


def _code(log: RunLog) -> str:
    git = log.record.get("git")
    if not isinstance(git, dict):
        return "not from a checkout"
    return f"commit {git.get('commit')}{', with changes' if git.get('is_modified') else ''}"


_FACTS: dict[str, Callable[[RunLog], str]] = {
    "objective": _option("algorithm.adv_estimator"),
    "model": _option("actor_rollout_ref.model.path"),
    "problems": _option("data.train_files"),
    "validated on": _option("data.val_files"),
    "training": _training,
    "learning rate": _option("actor_rollout_ref.actor.optim.lr"),
    "seeds": _pairs("seeds"),
    "processor": _machine,
    "versions": _pairs("versions"),
    "code": _code,
}
