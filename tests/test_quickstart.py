"""The quickstart's commands, wherever it writes, and its report."""

import importlib.util
import json
import shlex
import sys
from pathlib import Path

import pytest

from verl_ext.training.configuration import compose_config, resolved
from verl_ext.training.several_runs import runs_of
from verl_ext.training.sharing import apart_because

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = [
    "a=b",
    "~x",
    "é ü",
    "a,b",
    "it's",
    'a"b',
    "{a}",
    "[a]",
    "a b#c",
    r"a\b",
    r"a\'b",
    "end\\",
    "${x}",
    "$HOME",
    "null",
]


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def quickstart():
    return load("quickstart")


@pytest.mark.parametrize("name", NAMES)
def test_any_folder_reaches_the_run_as_it_is(quickstart, name):
    folders = quickstart.Folders(Path("/tmp") / name)
    arguments = quickstart.training_command(folders, "nsr")
    config = compose_config(arguments[3:], device="cpu")
    assert config.trainer.output_dir == str(folders.run("nsr"))
    assert config.actor_rollout_ref.model.path == str(folders.base)
    assert config.data.train_files == str(folders.data / "countdown_train.parquet")
    assert config.data.val_files == str(folders.data / "countdown_test.parquet")


@pytest.mark.parametrize("name", ["quick", "a,b"])
def test_several_methods_are_the_runs_of_their_own_commands(quickstart, name):
    """In one command, whose runs may use one stack."""
    folders = quickstart.Folders(Path("/tmp") / name)
    together = runs_of(quickstart.training_command(folders, "psr", "nsr")[3:])
    configs = [compose_config(overrides, device="cpu") for overrides in together]
    alone = [
        compose_config(quickstart.training_command(folders, method)[3:], device="cpu") for method in ("psr", "nsr")
    ]
    assert [resolved(config) for config in configs] == [resolved(config) for config in alone]
    assert apart_because(configs[1], configs[0]) is None


def test_only_what_is_not_trained_is_trained(quickstart, tmp_path, monkeypatch, capsys):
    folders = quickstart.Folders(tmp_path)
    tracker = folders.run("psr") / "checkpoints" / "latest_checkpointed_iteration.txt"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(str(quickstart.NUM_STEPS))
    made = []
    monkeypatch.setattr(quickstart, "run", made.append)
    quickstart.train(folders, ["psr", "nsr", "grpo"])
    assert made == [quickstart.training_command(folders, "nsr", "grpo")]
    shown = capsys.readouterr().out
    assert f"already trained: {folders.run('psr')}" in shown
    assert f"nsr alone: {shlex.join(quickstart.training_command(folders, 'nsr'))}" in shown
    quickstart.train(folders, ["psr"])
    assert len(made) == 1


@pytest.mark.parametrize(("content", "is_done"), [("48", True), ("48\n", True), ("47", False), (None, False)])
def test_a_trained_method_is_known(quickstart, tmp_path, content, is_done):
    folders = quickstart.Folders(tmp_path)
    tracker = folders.run("nsr") / "checkpoints" / "latest_checkpointed_iteration.txt"
    tracker.parent.mkdir(parents=True)
    if content is not None:
        tracker.write_text(content)
    assert quickstart.is_trained(folders, "nsr") is is_done


@pytest.mark.parametrize("content", ["", "forty"])
def test_a_damaged_tracker_is_named(quickstart, tmp_path, content):
    folders = quickstart.Folders(tmp_path)
    tracker = folders.run("nsr") / "checkpoints" / "latest_checkpointed_iteration.txt"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(content)
    with pytest.raises(SystemExit, match=rf"{tracker} must hold the number of a step, got"):
        quickstart.is_trained(folders, "nsr")


def test_the_report_counts_expressions_and_not_their_spellings(tmp_path):
    """Two models, one problem, four answers each; 3*5+7 and 7+5*3 are one answer."""
    report = load("quickstart_report")
    answers = {"base": ["3*5+7", "7+5*3", "3+5+7", ""], "nsr": ["3*5+7", "3*5+7", "(7)+5*3", "3*5+7"]}
    (tmp_path / "generations").mkdir()
    (tmp_path / "base").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "base/build.json").write_text(json.dumps({"num_parameters": 1000, "train_seconds": 1.0}))
    for name, texts in answers.items():
        lines = [
            {
                "question_id": 0,
                "generation_id": number,
                "pred_answer": text,
                "label": int("*" in text),
                "reason": "correct",
            }
            for number, text in enumerate(texts)
        ]
        path = tmp_path / "generations" / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {
        "actor_rollout_ref": {
            "rollout": {"n": 4},
            "actor": {"optim": {"lr": 1e-4}, "ppo_mini_batch_size": 16},
        },
        "data": {"train_batch_size": 16},
        "trainer": {"total_training_steps": 1},
    }
    machine = {"platform": "here", "num_cpus": 2}
    record = {"config": config, "versions": {}, "git": None, "machine": machine, "argv": ["train", "nsr"]}
    (tmp_path / "runs/run.json").write_text(json.dumps(record))
    row = {"step": 1, "data": dict.fromkeys(report.TRAINING_KEYS.values(), 0.5)}
    (tmp_path / "runs/metrics.jsonl").write_text(json.dumps(row) + "\n")
    report.write_report(tmp_path, ["base", "nsr"], {"nsr": tmp_path / "runs"})
    diversity = json.loads((tmp_path / "metrics.json").read_text())["diversity"]
    assert [(each["name"], each["distinct"], each["distinct_correct"]) for each in diversity] == [
        ("base", 2.0, 1.0),
        ("nsr", 1.0, 1.0),
    ]
    assert {"report.html", "pass_at_k.png", "training.png"} <= {path.name for path in tmp_path.iterdir()}
