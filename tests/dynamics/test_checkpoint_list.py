import json

import pytest

from verl_ext.dynamics.checkpoint_list import find_run


def model(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_runs_output_in_the_order_of_its_steps(tmp_path):
    for step in (8, 16, 120):
        (tmp_path / "checkpoints" / f"global_step_{step}" / "actor").mkdir(parents=True)
    (tmp_path / "checkpoints" / "notes").mkdir()
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "data": {}}))
    run = find_run("nsr", str(tmp_path))
    assert [(each.path.name, each.step) for each in run.checkpoints] == [
        ("global_step_8", 8),
        ("global_step_16", 16),
        ("global_step_120", 120),
    ]
    assert run.metrics == tmp_path / "metrics.jsonl"


def test_a_folder_of_exports_behind_a_base(tmp_path):
    for name in ("export-2", "export-10", "empty-3"):
        model(tmp_path / "runs" / name)
    (tmp_path / "runs" / "empty-3" / "config.json").unlink()
    base = model(tmp_path / "base")
    run = find_run("nsr", str(tmp_path / "runs"), str(base))
    assert [(each.path.name, each.step) for each in run.checkpoints] == [
        ("base", 0),
        ("export-2", 2),
        ("export-10", 10),
    ]
    assert run.metrics is None


def test_one_model(tmp_path):
    run = find_run("small", str(model(tmp_path / "small")))
    assert [each.step for each in run.checkpoints] == [0]


def test_what_holds_none(tmp_path):
    with pytest.raises(ValueError, match="nsr: there is no folder"):
        find_run("nsr", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="has no checkpoints"):
        find_run("nsr", str(tmp_path), str(tmp_path))
    model(tmp_path / "a-3")
    model(tmp_path / "b-3")
    with pytest.raises(ValueError, match="step 3 comes twice"):
        find_run("nsr", str(tmp_path))
