"""What two runs are compared by."""

import json
from pathlib import Path

import pytest
import torch

from verl_ext.training.checkpoints import STEP_FOLDER
from verl_ext.training.run_digest import ROLLOUTS, digest


def run_of(folder: Path, *, answer: str, weight: float = 1.0, seconds: float = 1.0) -> Path:
    """A run of one step, its samples written as verl does: without escapes."""
    actor = folder / "checkpoints" / f"{STEP_FOLDER}1" / "actor"
    actor.mkdir(parents=True)
    torch.save({"layer": torch.tensor([weight])}, actor / "model_world_size_1_rank_0.pt")
    row = {"step": 1, "data": {"actor/loss": 0.5, "timing_s/step": seconds}}
    (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (folder / ROLLOUTS).mkdir()
    samples = [{"input": "3 5 7 = 22", "output": text, "score": 0.0} for text in (answer, "3*5+7")]
    (folder / ROLLOUTS / "1.jsonl").write_text(
        "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples), encoding="utf-8"
    )
    return folder


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x1c", "\r", "\n"])
def test_an_answer_may_hold_any_separator_of_lines(tmp_path: Path, separator: str) -> None:
    found = digest(run_of(tmp_path, answer=f"3{separator}5"), 1)
    assert found.answers == [sorted([("3 5 7 = 22", f"3{separator}5", 0.0), ("3 5 7 = 22", "3*5+7", 0.0)])]


def test_runs_differ_in_what_they_learned_and_not_in_their_seconds(tmp_path: Path) -> None:
    first = digest(run_of(tmp_path / "first", answer="3+5"), 1)
    slower = digest(run_of(tmp_path / "slower", answer="3+5", seconds=9.0), 1)
    other = digest(run_of(tmp_path / "other", answer="3-5", weight=2.0), 1)
    assert list(first.differences(slower)) == []
    assert list(first.differences(other)) == ["samples of 1 steps, first of step 1", "the last weights"]
