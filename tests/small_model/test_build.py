import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from verl_ext.small_model import build
from verl_ext.small_model.build import TINY, Recipe, build_small_model, measure, random_model
from verl_ext.small_model.sampling import Response
from verl_ext.small_model.supervise import Schedule
from verl_ext.tasks.countdown import CountdownProblem

THREE_STEPS = Recipe(
    architecture=TINY, schedule=Schedule(num_steps=3, batch_size=4, num_warmup_steps=1), num_problems=20
)


def built(folder, recipe=THREE_STEPS):
    return build_small_model(folder, recipe=recipe, num_test_problems=2, num_samples=4)


def test_folder_loads_and_explains_itself(tmp_path):
    folder = built(tmp_path / "deep" / "base")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    assert model(torch.tensor([tokenizer.encode("3 5 7 = 22")])).logits.isfinite().all()

    record = json.loads((folder / "build.json").read_text())
    assert record["recipe"]["schedule"]["num_steps"] == 3
    assert record["recipe"]["seed"] == 0
    assert record["num_parameters"] == model.num_parameters()
    assert record["acceptance"]["num_problems"] == 2
    assert set(record["versions"]) == {"torch", "transformers", "tokenizers"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["base"]


def test_same_recipe_same_bytes(tmp_path):
    first, again = built(tmp_path / "first"), built(tmp_path / "again")
    assert (first / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


def test_skips_what_is_built_and_replaces_what_is_old(tmp_path, monkeypatch, capsys):
    folder = built(tmp_path / "base")
    old = (folder / "model.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(build, "supervise", None)  # would fail if it were called
        built(folder)
    assert "has this model already" in capsys.readouterr().out

    built(folder, replace(THREE_STEPS, seed=1))
    assert (folder / "model.safetensors").read_bytes() != old


def test_another_prompt_makes_the_model_old(tmp_path, monkeypatch):
    folder = random_model(tmp_path / "model")
    before = (folder / "build.json").stat().st_ino
    random_model(folder)
    assert (folder / "build.json").stat().st_ino == before
    monkeypatch.setattr(build, "prompt_text", lambda problem, tokenizer: "another prompt")
    random_model(folder)
    assert (folder / "build.json").stat().st_ino != before


def test_an_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", interrupted)  # build.json, the last file
    with pytest.raises(KeyboardInterrupt):
        random_model(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(FileExistsError, match="holds something other than a small model"):
        random_model(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "chapter 1"


def test_measure_worked_example(monkeypatch):
    """Two problems, four samples: two of eight are right, for one of the problems; a cut answer is not right."""
    problems = [CountdownProblem((3, 5, 7), 22), CountdownProblem((1, 2, 3), 6)]
    texts = [["3*5+7", "7+5*3", "3+5", "3*5*7"], ["1-2-3", "1+2", "?", "1+2+3"]]
    groups = [[Response(text, is_truncated=False) for text in group] for group in texts]
    groups[1][3] = Response("1+2+3", is_truncated=True)
    monkeypatch.setattr(build, "sample_responses", lambda *arguments, **options: groups)
    monkeypatch.setattr(build, "prompt_text", lambda *arguments: "")
    acceptance = measure(None, None, problems, num_samples=4, seed=0)
    assert (acceptance.pass_at_1, acceptance.pass_at_n) == (2 / 8, 1 / 2)
    assert acceptance.distinct_texts == (4 + 4) / 2
    assert acceptance.distinct_answers == (3 + 4) / 2
    assert acceptance.well_formed == 4 / 8


def test_a_weak_base_is_named(tmp_path, capsys):
    built(tmp_path / "base")
    assert "Warning: a good base has pass@1 of 15% to 40%" in capsys.readouterr().out


def run_script(monkeypatch, *arguments):
    path = Path(__file__).resolve().parents[2] / "scripts" / "build_small_model.py"
    specification = importlib.util.spec_from_file_location("build_small_model", path)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    monkeypatch.setattr("sys.argv", [str(path), *map(str, arguments)])
    script.main()


def test_command_line(tmp_path, monkeypatch):
    run_script(monkeypatch, "--out", tmp_path / "model", "--random", "--tiny", "--untied", "--seed", 5)
    record = json.loads((tmp_path / "model" / "build.json").read_text())
    assert record["recipe"] == {"architecture": vars(TINY) | {"is_tied": False}, "seed": 5}


def test_command_line_refuses(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as refusal:
        run_script(monkeypatch, "--out", tmp_path / "model", "--tiny")
    assert refusal.value.code == 2
    assert "--tiny needs --random" in capsys.readouterr().err
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(SystemExit, match="holds something other than a small model"):
        run_script(monkeypatch, "--out", tmp_path, "--random")
