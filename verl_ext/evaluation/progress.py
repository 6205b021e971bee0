"""What is shown of an evaluation: the progress while it runs, and a table of pass@k at its end."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from verl_ext.evaluation.answer_file import Done
from verl_ext.grading import Reason
from verl_ext.grading.verdict import WITHHELD_REASON
from verl_ext.metrics.pass_at_k import pass_at_k_table, powers_of_two_up_to

_LOG_SECONDS = 15.0
"""Between two states of the bar where nobody watches a terminal."""


class Progress:
    """Samples a second, share done, accuracy so far, time left."""

    def __init__(self, total: int, done: int, num_correct: int) -> None:
        is_terminal = sys.stderr.isatty()
        self._num_done, self._num_correct = done, num_correct
        self._is_drawing = False
        self._bar: tqdm[Any] = tqdm(
            total=total,
            initial=done,
            unit=" samples",
            smoothing=0.1,
            dynamic_ncols=is_terminal,
            ncols=None if is_terminal else 100,
            mininterval=0.2 if is_terminal else _LOG_SECONDS,
            bar_format="{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {rate_fmt}{postfix}, {remaining} left",
        )
        self._say()

    def add(self, num_samples: int, num_correct: int) -> None:
        if not self._is_drawing:
            # The rate counts from here: until now the model was loading.
            self._is_drawing = True
            self._bar.start_t = self._bar.last_print_t = time.time()
        self._num_done += num_samples
        self._num_correct += num_correct
        self._say()
        self._bar.update(num_samples)

    def close(self) -> None:
        self._bar.close()

    def _say(self) -> None:
        if self._num_done:
            self._bar.set_postfix_str(f"{self._num_correct / self._num_done:.1%} correct", refresh=False)


def summary_table(tasks: Sequence[tuple[str, Done]]) -> str:
    """pass@k of each task at the powers of two that all of its problems have samples for, and what went wrong."""
    names: dict[str, str] = {Reason.NO_ANSWER: "no answer", Reason.TRUNCATED: "cut", Reason.TIMED_OUT: "timed out"}
    names |= {Reason.GRADER_ERROR: "not graded", WITHHELD_REASON: "withheld by the server"}
    lines = []
    rows: list[Mapping[str, str]] = []
    for name, done in tasks:
        num_samples_P = np.array([len(ids) for ids in done.generation_ids.values()])
        num_correct_P = np.array([done.num_correct[question_id] for question_id in done.generation_ids])
        ks = powers_of_two_up_to(int(num_samples_P.min()))
        shares = pass_at_k_table(num_samples_P, num_correct_P, ks).mean(axis=0)
        row = {"task": name, "problems": f"{len(num_samples_P):,}", "answers": f"{num_samples_P.sum():,}"}
        row |= {f"pass@{k}": f"{share:.1%}" for k, share in zip(ks, shares, strict=True)}
        rows.append(row)
        faults = [f"{label} {done.reasons[key]:,}" for key, label in names.items() if done.reasons.get(key)]
        lines.append(f"{name}: {', '.join(faults)}" if faults else "")
    columns = sorted({column for row in rows for column in row}, key=_place)
    table = [{column: column for column in columns}, *rows]
    widths = {column: max(len(row.get(column, "")) for row in table) for column in columns}
    shown = [
        "  ".join(
            row.get(column, "").ljust(widths[column]) if column == "task" else row.get(column, "").rjust(widths[column])
            for column in columns
        )
        for row in table
    ]
    return "\n".join(line.rstrip() for line in (*shown, *filter(None, lines)))


def _place(column: str) -> tuple[int, int]:
    fixed = ("task", "problems", "answers")
    return (fixed.index(column), 0) if column in fixed else (len(fixed), int(column.partition("@")[2]))
