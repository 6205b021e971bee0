"""The command line: what it writes, and what it says when it cannot."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from verl_ext.data.parquet import check_rows, read_rows
from verl_ext.grading import grade
from verl_ext.grading.countdown_grader import parse_reference
from verl_ext.tasks.competition_math import MATH
from verl_ext.tasks.templates import render_prompt

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_data.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("prepare_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prepare(script, monkeypatch, tmp_path):
    """The script's ``main``; what it writes goes to ``tmp_path``."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    return lambda *arguments: script.main([*map(str, arguments), "--out", str(tmp_path)])


def references_of(rows):
    return {parse_reference(row["reward_model"]["ground_truth"]) for row in rows}


def test_generated_files_are_disjoint_and_the_same_again(prepare, tmp_path, capsys):
    sizes = {"train": 60, "test": 20}
    paths = {split: tmp_path / f"countdown_{split}.parquet" for split in sizes}
    prepare("countdown", "--num_train", 60, "--num_test", 20, "--short")
    assert capsys.readouterr().out == "".join(f"{paths[split]}: {size} problems\n" for split, size in sizes.items())
    rows = {split: read_rows(path) for split, path in paths.items()}
    for split, size in sizes.items():
        assert [row["extra_info"] for row in rows[split]] == [{"index": index, "split": split} for index in range(size)]
        for row in rows[split]:
            numbers, target = row["prompt"][0]["content"].split(" = ")
            reference = parse_reference(row["reward_model"]["ground_truth"])
            assert reference == (tuple(sorted(map(int, numbers.split()))), int(target))
    assert not references_of(rows["train"]) & references_of(rows["test"])

    before = [path.read_bytes() for path in paths.values()]
    prepare("countdown", "--num_train", 60, "--num_test", 20, "--short")
    assert [path.read_bytes() for path in paths.values()] == before


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (("--num_train", 0), "--num_train must be at least 1, got 0"),
        (("--num_test", -3), "--num_test must be at least 1, got -3"),
        (("--num_test", 100000), "Found only [0-9]+ test problems"),  # after the training problems are made
    ],
)
def test_a_refusal_leaves_the_files_that_are_there(prepare, tmp_path, sizes, message):
    prepare("countdown", "--num_train", 6, "--num_test", 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SystemExit, match=message):
        prepare("countdown", "--seed", 2, "--num_train", 5, "--num_test", 1, *sizes)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_published_set_is_taken_with_the_defaults(prepare, data_dir, tmp_path, monkeypatch):
    """Without the training problems that are also test problems it has a few less than 8,000."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    prepare("countdown", "--from", data_dir)
    assert check_rows(tmp_path / "countdown_train.parquet", is_graded_here=True) == 7996
    assert check_rows(tmp_path / "countdown_test.parquet", is_graded_here=True) == 400


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"nums": [1, 2, None], "target": 6}, r"\(train\), row 1, has None in nums"),
        ({"nums": [1, 2, 3], "target": None}, r"\(train\), row 1, has (None|nan) in target"),
        ({"nums": None, "target": 6}, r"\(train\), row 1, has the nums None"),
    ],
)
def test_a_broken_row_of_a_folder_replaces_no_file(prepare, tmp_path, monkeypatch, row, message):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    prepare("countdown", "--num_train", 6, "--num_test", 2)
    source = tmp_path / "source"
    source.mkdir()
    good = {"nums": [1, 2, 3], "target": 6}
    pyarrow.parquet.write_table(pa.Table.from_pylist([good, row, good]), source / "countdown_train.parquet")
    before = (tmp_path / "countdown_train.parquet").read_bytes()
    with pytest.raises(SystemExit, match=message):
        prepare("countdown", "--from", source)
    assert (tmp_path / "countdown_train.parquet").read_bytes() == before


def test_says_when_problems_come_again_in_another_order(prepare, capsys):
    prepare("countdown", "--num_train", 1800, "--num_test", 1)
    assert "1800 problems, 56 of them others in another order" in capsys.readouterr().out


def test_files_from_a_folder_in_the_hubs_format(prepare, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    source = tmp_path / "source"
    source.mkdir()
    for split, first in (("train", 1), ("test", 50)):
        table = pa.table({"target": [first + i for i in range(5)], "nums": [[first, 2, i] for i in range(5)]})
        pyarrow.parquet.write_table(table, source / f"{split}.parquet")
    prepare("countdown", "--from", source, "--num_train", 5, "--num_test", 3)
    rows = read_rows(tmp_path / "countdown_test.parquet")
    assert len(rows) == 3
    assert references_of(rows) <= {(tuple(sorted((50, 2, i))), 50 + i) for i in range(5)}
    assert "<answer>" in rows[0]["prompt"][0]["content"]
    with pytest.raises(SystemExit, match="has 5 test problems, not 6"):
        prepare("countdown", "--from", source, "--num_train", 5, "--num_test", 6)


def test_problems_that_a_small_model_was_not_taught(prepare, tmp_path):
    from verl_ext.small_model.build import TINY, Recipe, build_small_model, random_model, taught_problems
    from verl_ext.small_model.supervise import Schedule

    schedule = Schedule(num_steps=1, batch_size=2, num_warmup_steps=1)
    recipe = Recipe(architecture=TINY, schedule=schedule, num_problems=1500, high=9)
    model = build_small_model(tmp_path / "model", recipe=recipe, num_test_problems=1, num_samples=1)
    prepare("countdown", "--num_train", 100, "--num_test", 5, "--unseen_by", model)
    rows = read_rows(tmp_path / "countdown_train.parquet")
    taught = {parse_reference(problem.reference) for problem in taught_problems(model)}
    assert len(taught) == 1500
    assert not references_of(rows) & taught
    prepare("countdown", "--num_train", 100, "--num_test", 5)
    assert references_of(read_rows(tmp_path / "countdown_train.parquet")) & taught

    with pytest.raises(SystemExit, match="goes with problems that are generated, not with --from=hub"):
        prepare("countdown", "--from", "hub", "--unseen_by", model)
    with pytest.raises(SystemExit, match=r"has no build\.json that says which problems its model was taught"):
        prepare("countdown", "--unseen_by", random_model(tmp_path / "random"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_train", 100000], "Found only 8254 train problems"),
        (["--num_numbers", 1], "Countdown needs num_numbers >= 2"),
        (["--from", "nowhere"], "nowhere is not a folder"),
        (["--from", ""], "An empty name is not a folder"),
    ],
)
def test_refusals_say_why(prepare, arguments, message):
    with pytest.raises(SystemExit, match=message):
        prepare("countdown", *arguments)


def test_from_the_shell(tmp_path):
    command = [sys.executable, SCRIPT, "countdwn", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPT.parents[1])})
    assert done.returncode != 0
    assert "There is no task 'countdwn'. Did you mean countdown?" in done.stderr


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}], ids=["ASCII", "as it is"]
)
def test_any_folder_any_locale_no_home(tmp_path, environment):
    drop = ("HOME", "LANG", "LC_ALL", "PYTHONUTF8")
    env = {name: value for name, value in os.environ.items() if name not in drop} | environment
    rows = [{"problem": f"Größe {number} 漢?", "answer": str(number)} for number in range(30)]
    source = tmp_path / "é = [1]"
    source.mkdir()
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (source / "aime2024_test.jsonl").write_text(lines, encoding="utf-8")
    for arguments in (
        ["AIME 2024", "--data_dir", "é = [1]", "--out", "~ü, aus"],
        ["countdown", "--num_train", "3", "--num_test", "1", "--out", "~ü, aus"],
    ):
        command = [sys.executable, str(SCRIPT), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=env | {"PYTHONPATH": str(SCRIPT.parents[1])}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert read_rows(tmp_path / "~ü, aus" / "aime2024_test.parquet")[2]["prompt"][0]["content"].startswith(
        "Größe 2 漢?"
    )
    assert check_rows(tmp_path / "~ü, aus" / "countdown_train.parquet") == 3
    report = json.loads((tmp_path / "~ü, aus" / "report.json").read_text(encoding="utf-8"))
    assert report["aime2024"]["splits"]["test"]["num_rows"] == 30


def test_a_folder_of_any_name_in_the_hubs_format(prepare, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    source = tmp_path / "é =~ 1, b"
    source.mkdir()
    for split, first in (("train", 1), ("test", 50)):
        table = pa.table({"target": [first + i for i in range(5)], "nums": [[first, 2, i] for i in range(5)]})
        pyarrow.parquet.write_table(table, source / f"countdown_{split}.parquet")
    prepare("countdown", "--from", source)
    assert check_rows(tmp_path / "countdown_train.parquet") == 5


# Tasks with a fixed set of problems


@pytest.fixture
def aime_dir(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    rows = [{"problem": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(30)]
    rows[7] |= {"problem": "What is 6 + 1 ?"}
    (folder / "aime2024_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_task_becomes_verls_rows_and_a_report(prepare, aime_dir, tmp_path, capsys):
    prepare("aime2024", "--data_dir", aime_dir, "--template", "qwen")
    rows = read_rows(tmp_path / "aime2024_test.parquet")
    assert len(rows) == 30
    assert rows[3] == {
        "data_source": "aime2024",
        "prompt": [{"role": "user", "content": render_prompt("qwen", "What is 3 + 1?")}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "4"},
        "extra_info": {
            "index": 3,
            "split": "test",
            "question_id": "3",
            "level": None,
            "subject": None,
            "template": "qwen",
            "paper_reference": "4",
        },
    }
    out = capsys.readouterr().out
    assert f"{tmp_path / 'aime2024_test.parquet'}: 30 problems from {aime_dir / 'aime2024_test.jsonl'}" in out
    assert "questions that come twice: 1\n    test 6 = test 7" in out
    report = json.loads((tmp_path / "report.json").read_text())["aime2024"]
    assert report["splits"]["test"]["expected_rows"] == 30
    assert report["splits"]["test"]["ungradable_references"] == []


def test_rows_that_cannot_be_graded_replace_no_file(prepare, aime_dir, tmp_path):
    prepare("aime2024", "--data_dir", aime_dir)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    source = aime_dir / "aime2024_test.jsonl"
    source.write_text(source.read_text().replace('"answer": "5"', r'"answer": "\\frac{1}{2"'))
    message = r"aime2024_test.parquet, row 4, has a ground truth that cannot be graded .* Nothing was written\."
    with pytest.raises(SystemExit, match=message):
        prepare("aime2024", "--data_dir", aime_dir)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", ["AIME2024", "AIME 2024", "aime-2024", "HuggingFaceH4/aime_2024"])
def test_a_task_has_the_names_it_has_in_an_evaluation(prepare, aime_dir, tmp_path, name):
    prepare(name, "--data_dir", aime_dir)
    assert check_rows(tmp_path / "aime2024_test.parquet") == 30


def test_prompts_for_a_chat_template_are_the_default(prepare, aime_dir, tmp_path):
    prepare("aime2024", "--data_dir", aime_dir)
    assert read_rows(tmp_path / "aime2024_test.parquet")[3]["prompt"][0]["content"] == (
        "What is 3 + 1?\nPlease reason step by step, and put your final answer within \\boxed{}."
    )


def test_the_folder_that_is_read_is_not_written_to(prepare, aime_dir, tmp_path):
    (aime_dir / "aime2024_test.jsonl").rename(tmp_path / "aime2024_test.jsonl")
    with pytest.raises(SystemExit, match=r"--out .* is the folder .* is read from"):
        prepare("aime2024", "--data_dir", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["math"], "There is no math_train.parquet or math_train.jsonl"),
        (["aime2025", "--data_dir", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_refusals_of_tasks_say_why(prepare, aime_dir, arguments, message, monkeypatch):
    monkeypatch.setenv("VERL_EXT_DATA", str(aime_dir))
    with pytest.raises(SystemExit, match=message):
        prepare(*arguments)


def test_countdown_is_reported_too(prepare, tmp_path):
    prepare("countdown", "--num_train", 6, "--num_test", 2, "--short")
    report = json.loads((tmp_path / "report.json").read_text())["countdown"]
    assert {split: found["num_rows"] for split, found in report["splits"].items()} == {"train": 6, "test": 2}
    assert report["in_train_and_test"] == []


# A part of a task's problems


def invented(number, level, subject, question=None):
    question = question or f"What is {number} + 1?"
    return {"problem": question, "level": level, "type": subject, "solution": rf"\boxed{{{number + 1}}}"}


def test_train_and_test_are_drawn_apart_and_do_not_meet(script, tmp_path):
    """Half of 8 and of 4 training problems, half of 4 and of 2 test problems; three training problems are test problems."""
    strata = [("Level 1", "Algebra")] * 8 + [("Level 5", "Geometry")] * 4
    train = [invented(number, *stratum) for number, stratum in enumerate(strata)]
    test = [invented(100 + number, *stratum) for number, stratum in enumerate(strata[::2])]
    for place in (0, 3, 9):
        test[place // 2]["problem"] = train[place]["problem"]
    for split, rows in (("train", train), ("test", test)):
        (tmp_path / f"invented_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = replace(MATH, data_source="invented", file_stem="invented", num_rows={"train": 12, "test": 6})
    draws = set()
    for seed in range(20):
        arguments = argparse.Namespace(data_dir=tmp_path, stratified_fraction="0.5", seed=seed)
        parts = script.read_problems(task, arguments)
        drawn = {split: [row.question_id for row in part.rows] for split, part in parts.items()}
        draws.add(str(drawn))
        assert not {row.question for row in parts["train"].rows} & {row["problem"] for row in test}
        assert parts["train"].drawn == {"Level 1, Algebra": [4, 8], "Level 5, Geometry": [2, 4]}
        assert parts["test"].drawn == {"Level 1, Algebra": [2, 4], "Level 5, Geometry": [1, 2]}
        again = script.read_problems(task, arguments)
        assert drawn == {split: [row.question_id for row in part.rows] for split, part in again.items()}
        source = [row["problem"] for row in parts["train"].source_rows]
        assert source == [row.question for row in parts["train"].rows]
    assert len(draws) > 10


def test_a_part_of_a_task_from_the_command_line(prepare, tmp_path, capsys):
    folder = tmp_path / "source"
    folder.mkdir()
    subjects = ("Algebra", "Geometry", "Algebra", "Precalculus")
    rows = [
        {
            "problem": f"What is {number} + 1?",
            "answer": str(number + 1),
            "level": number % 5 + 1,
            "subject": subjects[number % 4],
        }
        for number in range(500)
    ]
    (folder / "math500_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare("math500", "--data_dir", folder, "--stratified_fraction", 0.25, "--seed", 3)
    drawn = read_rows(tmp_path / "math500_test.parquet")
    assert len(drawn) == 125
    assert f"{tmp_path / 'math500_test.parquet'}: 125 of the 500 problems from" in capsys.readouterr().out
    whole = Counter((f"Level {row['level']}", row["subject"]) for row in rows)
    part = Counter((row["extra_info"]["level"], row["extra_info"]["subject"]) for row in drawn)
    assert part.keys() == whole.keys()
    assert all(abs(part[stratum] - size / 4) < 1 for stratum, size in whole.items())
    for row in drawn:
        place = int(row["extra_info"]["question_id"])
        assert row["reward_model"]["ground_truth"] == str(place + 1)
        assert row["extra_info"]["index"] == place, "its place in the whole split"
    found = json.loads((tmp_path / "report.json").read_text())["math500"]["splits"]["test"]
    assert (found["num_rows"], found["drawn"]["of"], found["drawn"]["seed"]) == (125, 500, 3)
    assert found["drawn"]["strata"]["Level 1, Geometry"] == [part["Level 1", "Geometry"], whole["Level 1", "Geometry"]]


def test_a_validation_part_from_the_command_line(prepare, aime_dir, tmp_path, capsys):
    prepare("countdown", "--num_train", 50, "--num_test", 5, "--validation_share", "0.2")
    validation, train = tmp_path / "countdown_validation.parquet", tmp_path / "countdown_train.parquet"
    said = f"{validation}: 10 of the training problems, which are not in countdown_train.parquet: 40 are left\n"
    assert said in capsys.readouterr().out
    assert not references_of(read_rows(validation)) & references_of(read_rows(train))
    assert json.loads((tmp_path / "report.json").read_text())["countdown"]["validation"]["num_rows"] == 10
    for share, message in (
        ("1", "leaves none for training"),
        ("2", "--validation_share must be above 0 and at most 1"),
    ):
        with pytest.raises(SystemExit, match=message):
            prepare("countdown", "--num_train", 50, "--validation_share", share)
    with pytest.raises(SystemExit, match="part of the training problems, which this task does not have"):
        prepare("aime2024", "--data_dir", aime_dir, "--validation_share", "0.5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["aime2024"], "which 30 of the 30 problems of .*aime2024_test.jsonl do not have. Leave it out"),
        (["aime2024", "--stratified_fraction", 0], "--stratified_fraction must be above 0 and at most 1, got 0"),
        (["aime2024", "--stratified_fraction", "1.1"], "must be above 0 and at most 1, got 1.1"),
        (["aime2024", "--stratified_fraction", "a"], "must be a number above 0 and at most 1, got a"),
        (["countdown"], "draws by level and subject, which problems of countdown do not have"),
        (
            ["reasoning_gym/chain_sum"],
            "draws by level and subject, which problems of reasoning_gym/chain_sum do not have",
        ),
    ],
)
def test_a_part_that_cannot_be_drawn(prepare, aime_dir, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("VERL_EXT_DATA", str(aime_dir))
    with pytest.raises(SystemExit, match=message):
        prepare(arguments[0], "--stratified_fraction", 0.25, *arguments[1:])
    assert not list(tmp_path.glob("*.parquet"))


def test_a_seed_without_a_draw_is_refused(prepare, aime_dir):
    with pytest.raises(SystemExit, match="--seed is that of --stratified_fraction, which is not given"):
        prepare("aime2024", "--data_dir", aime_dir, "--seed", 1)


def test_a_quarter_of_the_papers_data(script, data_dir):
    arguments = argparse.Namespace(data_dir=data_dir, stratified_fraction="0.25", seed=0)
    parts = script.read_problems(MATH, arguments)
    assert {split: len(part.rows) for split, part in parts.items()} == {"train": 1875, "test": 1250}
    for part in parts.values():
        assert all(abs(some - of / 4) < 1 for some, of in part.drawn.values())
    assert script.same_questions(parts["train"].rows, parts["test"].rows) == []


def test_the_papers_data(prepare, data_dir, tmp_path, capsys):
    prepare("math", "--data_dir", data_dir, "--template", "qwen")
    train, test = (read_rows(tmp_path / f"math_{split}.parquet") for split in ("train", "test"))
    assert (len(train), len(test)) == (7500, 5000)
    assert check_rows(tmp_path / "math_train.parquet", is_graded_here=True) == 7500
    info = test[333]["extra_info"]
    assert (test[333]["reward_model"]["ground_truth"], info["paper_reference"]) == ("-3", "3")
    assert (info["level"], info["subject"], info["question_id"]) == ("Level 5", "Algebra", "333")
    different = [
        row for row in train + test if row["reward_model"]["ground_truth"] != row["extra_info"]["paper_reference"]
    ]
    assert len(different) == 35  # 36 corrected; in one of them the paper's is one of two right answers, and is kept
    report = json.loads((tmp_path / "report.json").read_text())["math"]
    assert [len(report["splits"][split]["corrected_references"]) for split in ("train", "test")] == [20, 16]
    assert [report["splits"][split]["ungradable_references"] for split in ("train", "test")] == [[], []]
    assert len(report["in_train_and_test"]) == 4
    out = capsys.readouterr().out
    assert "test 333: 3 -> -3: the last box is the magnitude" in out
    assert "questions in both train and test: 4" in out


GYM = (
    "reasoning_gym/chain_sum",
    "--num_train",
    6,
    "--num_test",
    2,
    "--option",
    "max_terms=2",
    "--option",
    "max_digits=1",
)


@pytest.fixture
def gym_rows(prepare, tmp_path):
    """The rows of the test file that ``GYM`` with more options makes."""
    pytest.importorskip("reasoning_gym", reason="its dependency pycosat needs a C compiler")

    def rows(*more):
        prepare(*GYM, *more)
        path = tmp_path / "reasoning_gym_chain_sum_test.parquet"
        assert check_rows(path, is_graded_here=True) == 2
        assert check_rows(path.with_name("reasoning_gym_chain_sum_train.parquet"), is_graded_here=True) == 6
        return read_rows(path)

    return rows


def test_problems_of_reasoning_gym_carry_what_makes_and_what_grades_them(gym_rows):
    (row, _), (again, _) = gym_rows(), gym_rows()
    assert row == again
    assert row["data_source"] == "reasoning_gym/chain_sum"
    truth = json.loads(row["reward_model"]["ground_truth"])
    assert truth["options"] == {"max_terms": 2, "max_digits": 1}
    assert (truth["seed"], truth["threshold"], truth["answer_form"]) == (1, 1.0, "tag")
    (message,) = row["prompt"]
    assert message["content"].startswith(truth["entry"]["question"] + "\n")
    assert "<answer> </answer>" in message["content"]
    assert grade(
        f"<answer>{truth['entry']['answer']}</answer>", row["reward_model"]["ground_truth"], row["data_source"]
    ).is_correct


def test_examples_of_reasoning_gym_are_earlier_turns(gym_rows):
    row, _ = gym_rows("--num_examples", 2, "--bare", "--threshold", 0.5)
    assert [message["role"] for message in row["prompt"]] == ["user", "assistant", "user", "assistant", "user"]
    first_answer = row["prompt"][1]["content"]
    assert first_answer.lstrip("-").isdigit()
    truth = json.loads(row["reward_model"]["ground_truth"])
    assert (truth["threshold"], truth["answer_form"]) == (0.5, "bare")
    assert row["prompt"][-1]["content"] == truth["entry"]["question"]
    tagged, _ = gym_rows("--num_examples", 1)
    assert tagged["prompt"][1]["content"] == f"<answer>{first_answer}</answer>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reasoning_gym/chain_sun",), r"Did you mean reasoning_gym/chain_sum\?"),
        (("reasoning_gym/",), "reasoning_gym has no generator ''"),
        ((*GYM, "--option", "min_term=2"), r"has no option min_term. Did you mean min_terms\?"),
        ((*GYM, "--option", "min_terms"), "--option min_terms is not of the form key=value"),
        ((*GYM, "--threshold", 0), "--threshold must be above 0 and at most 1, got 0"),
        ((*GYM, "--num_examples", -1), "--num_examples must be at least 0, got -1"),
        ((*GYM[:-4], "--num_test", 0), "--num_test must be at least 1, got 0"),
        ((*GYM, "--num_train", 5000), r"has only \d+ of 5000 train"),
    ],
)
def test_what_reasoning_gym_cannot_make_is_a_line_and_no_file(prepare, tmp_path, arguments, message):
    pytest.importorskip("reasoning_gym", reason="its dependency pycosat needs a C compiler")
    with pytest.raises(SystemExit, match=message):
        prepare(*arguments)
    assert list(tmp_path.iterdir()) == []
