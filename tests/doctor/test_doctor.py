"""The doctor's output on a machine that is well, and with faults that are planted: each is named with its way out."""

import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.training.conftest import countdown_rows, overrides_of, save_byte_tokenizer, save_weights
from verl_ext.data.parquet import write_rows
from verl_ext.doctor import examine, of_machine
from verl_ext.doctor.__main__ import _read, main
from verl_ext.host.accelerator_memory import Accelerator
from verl_ext.host.finding import Level
from verl_ext.host.free_memory import GIB, Memory
from verl_ext.training import memory
from verl_ext.training.checks import machine, other_rays, surroundings
from verl_ext.training.configuration import compose_config

ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "model_type": "qwen2", "hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1,
    "num_hidden_layers": 2, "intermediate_size": 128, "vocab_size": 256, "tie_word_embeddings": True,
    "max_position_embeddings": 64, "dtype": "float32",
}  # fmt: skip


@pytest.fixture(autouse=True)
def a_machine_that_is_well(monkeypatch):
    """Whatever else runs here."""
    for name in (*machine.STARTED_BY_TORCHRUN, *surroundings.LEFT_BY_TORCHRUN, "RAY_ADDRESS", "VERL_EXT_GRADER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(other_rays.ray_processes, "instances", list)
    monkeypatch.setattr(other_rays.ray_processes, "ended_sessions", lambda *_: [])
    monkeypatch.setattr(surroundings, "space_of", lambda _path: surroundings.Space(100 * GIB, 90 * GIB))
    monkeypatch.setattr(of_machine, "usable_cores", lambda: 2)
    plenty = Memory(20 * GIB, 24 * GIB, "free on this machine", "all of this machine's")
    monkeypatch.setattr(of_machine, "read_memory", lambda: plenty)
    monkeypatch.setattr(memory, "read_memory", lambda: plenty)


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return compose_config([*overrides_of(tmp_path_factory.mktemp("none")), "trainer.save_freq=1"], device="cpu")


@pytest.fixture
def run(tmp_path, composed, monkeypatch):
    """The options of a run on files of its own, which a test may break. They are put into a configuration that is composed once."""

    def compose(overrides):
        config = deepcopy(composed)
        for override in overrides:
            name, _, value = override.partition("=")
            if name != "device":
                OmegaConf.update(config, name, int(value) if value.isdigit() else value)
        return config

    monkeypatch.setattr(examine, "compose_on_device", compose)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(SIZES))
    save_weights(model)
    save_byte_tokenizer(model)
    write_rows(countdown_rows(32), tmp_path / "train.parquet")
    test_rows = [row | {"extra_info": row["extra_info"] | {"split": "test"}} for row in countdown_rows(8, first=100)]
    write_rows(test_rows, tmp_path / "test.parquet")
    return [*overrides_of(tmp_path), f"data.val_files={tmp_path}/test.parquet", "device=cpu", "trainer.save_freq=1"]


def findings(capsys, *arguments: str) -> tuple[int, dict[str, dict]]:
    """The exit code, and of each subject its worst finding."""
    code = main([*arguments, "--json"])
    worst: dict[str, dict] = {}
    order = [Level.OK, Level.WARN, Level.FAIL]
    for finding in json.loads(capsys.readouterr().out)["findings"]:
        before = worst.get(finding["subject"])
        if before is None or order.index(finding["level"]) > order.index(before["level"]):
            worst[finding["subject"]] = finding
    return code, worst


def test_a_run_that_is_well(run, capsys):
    assert main(run) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[-1].startswith("22 ok, 0 warn, 0 fail, in "), shown
    assert "ok    versions" in shown
    assert "data.train_files: 32 rows of train.parquet, countdown; split train" in shown
    assert 'countdown: 1 2 3 = 6 (0) -> {"numbers": [1, 2, 3], "target": 6}' in shown
    assert "tokens in the first prompt of train.parquet, by the model's chat template" in shown
    assert "by phase, GiB: rollout" in shown
    assert "countdown: <answer>1*2*3</answer> is right and <answer>6 + 1</answer> is wrong" in shown


def plant_version(_run, tmp_path, monkeypatch):
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "cpu.txt").write_text("verl==9.9.9\n")
    monkeypatch.setattr(surroundings, "LOCKS", tmp_path / "locks")


def plant_no_template(_run, tmp_path, _monkeypatch):
    path = tmp_path / "model" / "tokenizer_config.json"
    path.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def plant_broken_parquet(_run, tmp_path, _monkeypatch):
    path = tmp_path / "train.parquet"
    path.write_bytes(path.read_bytes()[:500])


def plant_torchrun(_run, _tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "8")


def plant_small_shm(_run, _tmp_path, monkeypatch):
    monkeypatch.setattr(
        surroundings,
        "space_of",
        lambda path: surroundings.Space(GIB // 16, GIB // 16 if path == surroundings.SHM else 90 * GIB),
    )


def plant_full_disk(_run, _tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(GIB, GIB, 1000))


def plant_little_memory(_run, _tmp_path, monkeypatch):
    monkeypatch.setattr(
        memory,
        "read_memory",
        lambda: Memory(GIB, GIB, "left of the control group's 1.0 GiB", "all of the control group's limit"),
    )


def plant_broken_check(_run, _tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("no /proc here")

    monkeypatch.setattr(other_rays.ray_processes, "instances", broken)


FAULTS = {
    "a wrong version": (plant_version, "versions", "verl 0.9.1 (locked 9.9.9)", "bash scripts/install.sh --cpu"),
    "no chat template": (plant_no_template, "tokenizer", "has no chat template", "custom_chat_template"),
    "a broken parquet": (plant_broken_parquet, "data", "train.parquet cannot be read as .parquet", ""),
    "torchrun's variables": (plant_torchrun, "variables", "RANK and WORLD_SIZE are set", "unset RANK WORLD_SIZE"),
    "a small /dev/shm": (plant_small_shm, "shared memory", "ranks exchange 0.2 GiB there", "--shm-size=8g"),
    "a full disk": (plant_full_disk, "disk", "A checkpoint of this model takes about", "Point trainer.output_dir at"),
    "too little memory": (plant_little_memory, "memory", "there are 1.0 GiB", "Take a smaller model"),
    "a check that breaks": (
        plant_broken_check,
        "Ray",
        "the check itself broke: RuntimeError: no /proc",
        "Nothing is known",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_its_way_out(fault, run, tmp_path, monkeypatch, capsys):
    plant, subject, text, remedy = FAULTS[fault]
    plant(run, tmp_path, monkeypatch)
    code, worst = findings(capsys, *run)
    assert code == 1
    assert [name for name, finding in worst.items() if finding["level"] == "fail"] == [subject]
    assert text in worst[subject]["text"]
    assert remedy in worst[subject]["remedy"] + worst[subject]["text"]


def test_what_depends_on_a_fault_is_not_called_right(run, tmp_path, capsys):
    (tmp_path / "model" / "config.json").unlink()
    code, worst = findings(capsys, *run, "--generate")
    assert code == 1
    for name in ("memory", "tokenizer", "steps", "disk", "grading", "generation"):
        assert worst[name]["level"] == "warn", worst[name]
        assert worst[name]["text"].startswith("not "), worst[name]


def test_an_unknown_option_is_a_fault_and_the_machine_is_looked_at(capsys):
    code, worst = findings(capsys, "trainer.total_training_step=3")
    assert code == 1
    assert "Did you mean trainer.total_training_steps?" in worst["options"]["text"]
    assert {"versions", "Ray", "shared memory"} <= set(worst)


def test_rows_of_the_other_split_are_doubtful(run, tmp_path, capsys):
    code, worst = findings(capsys, *run, f"data.val_files={tmp_path}/train.parquet")
    assert code == 0
    assert worst["data"]["level"] == "warn"
    assert "split train: is it the right file?" in worst["data"]["remedy"]
    assert main([*run, f"data.val_files={tmp_path}/train.parquet"]) == 0
    assert "32 of the 32 prompts of data.val_files are in data.train_files too" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpu"], "--gpu is no option of the doctor"),
        (["--recipe"], "--recipe needs a file"),
        (["--recipe", "none.sh"], "--recipe none.sh: there is no such file"),
    ],
)
def test_a_mistake_in_the_command(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_stages_is_a_recipe():
    """Its first stage; the words behind it win."""
    file = ROOT / "recipes/countdown_stages.yaml"
    overrides, flags = _read(["--json", "--recipe", str(file), "trainer.save_freq=7"])
    assert "actor_rollout_ref.model.target_modules=[q_proj,k_proj]" in overrides
    assert overrides[-2:] == ["trainer.total_training_steps=30", "trainer.save_freq=7"]
    assert flags == {"--json"}


def test_the_script_by_the_other_name(tmp_path):
    """Also as a program, whose exit code a script sees."""
    command = [sys.executable, ROOT / "scripts/verify_installation.py", "--json", "algorithm.adv_estimator=nrs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    read = json.loads(done.stdout)
    assert read["level"] == "fail"
    (fault,) = (one for one in read["findings"] if one["level"] == "fail" and one["subject"] == "algorithm")
    assert "Did you mean nsr?" in fault["text"]


# ---------------------------------------------------------------------- accelerators and cores


def gpus(monkeypatch, *found: Accelerator):
    monkeypatch.setattr(of_machine, "visible_accelerators", lambda: {"cuda": len(found)})
    return of_machine.accelerator(lambda: list(found))


def test_accelerators_are_named_and_busy_ones_too(monkeypatch):
    free, busy = Accelerator(0, "H100", 80 * GIB, 0), Accelerator(1, "H100", 80 * GIB, 30 * GIB)
    assert gpus(monkeypatch, free).text == "1 of cuda visible: H100, 80 GiB"
    found = gpus(monkeypatch, free, busy)
    assert (found.level, "in use: 1 (30.0 GiB)" in found.text) == (Level.WARN, True)

    def no_driver():
        raise FileNotFoundError("nvidia-smi")

    assert of_machine.accelerator(no_driver).level is Level.WARN


def test_cores_of_a_container():
    found = of_machine.cores(None, usable=2, total=64)
    assert (found.level, found.text) == (Level.OK, "2 of 64 may be used (affinity or a control group's quota)")
    assert of_machine.cores(None, usable=1, total=64).level is Level.WARN


def test_memory_of_the_machine():
    levels = [
        of_machine.machine_memory(Memory(free * GIB, total * GIB, "free", "all")).level
        for free, total in ((1, 1), (3, 8), (8, 8))
    ]
    assert levels == [Level.FAIL, Level.WARN, Level.OK]
