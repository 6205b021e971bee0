"""Which files a path stands for, and of which run and step they are."""

import json

import pytest

from tests.viewer.pages import rollouts, write_lines
from verl_ext.viewer.answer_places import find_answers, place_of

LINE = {"question_id": 0, "label": 1}


def names(*places):
    return [(file.run, file.step) for file in find_answers(list(places)).files]


def test_names_say_run_and_step(tmp_path):
    for name in ("nsr-step20", "nsr-step5", "base", "grpo-seed1-step40", "math"):
        write_lines(tmp_path / f"{name}.jsonl", LINE)
    (tmp_path / "base.run.json").write_text("{}")
    assert names((None, tmp_path)) == [
        ("base", None), ("grpo-seed1", 40), ("math", None), ("nsr", 5), ("nsr", 20)
    ]  # fmt: skip


def test_a_name_of_ones_own(tmp_path):
    for name in ("a-step1", "a-step2", "b", "c"):
        write_lines(tmp_path / f"{name}.jsonl", LINE)
    assert names(("run", f"{tmp_path}/a-*.jsonl")) == [("run", 1), ("run", 2)]
    assert names(("run", f"{tmp_path}/[bc].jsonl")) == [("run, b", None), ("run, c", None)], "no step tells them apart"
    assert names((None, tmp_path / "b.jsonl"), (None, tmp_path / "b.jsonl"))[1][0].startswith("b ("), (
        "told apart by path"
    )


def test_folder_of_a_run_has_its_rollouts_in_order(tmp_path):
    folder = rollouts(tmp_path / "nsr", num_steps=11)
    (folder / "rollouts" / "12.jsonl").write_text("")
    assert names((None, folder)) == [("nsr", step) for step in range(1, 12)], "10 after 9, and no file that is empty"
    write_lines(folder / "validation" / "5.jsonl", LINE)
    assert names(("mine", folder))[-1] == ("mine, validation", 5)


def test_folder_that_the_option_names_is_found_where_the_run_was_moved(tmp_path):
    folder = rollouts(tmp_path / "run")
    (folder / "rollouts").rename(folder / "samples")
    (folder / "run.json").write_text(json.dumps({"config": {"trainer": {"rollout_data_dir": "/gone/run/samples"}}}))
    assert names((None, folder)) == [("run", 1), ("run", 2)]


def test_run_without_rollout_log_says_so_and_the_rest_is_shown(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(
        ValueError, match=r"run has no rollout log, and no dumped validations either: train with trainer.roll"
    ):
        find_answers([(None, tmp_path / "run")])
    write_lines(tmp_path / "base.jsonl", LINE)
    found = find_answers([(None, tmp_path / "run"), (None, tmp_path / "base.jsonl")])
    assert [file.run for file in found.files] == ["base"]
    assert len(found.missing) == 1


def test_missing_file_is_named(tmp_path):
    write_lines(tmp_path / "base.jsonl", LINE)
    with pytest.raises(ValueError, match="bose.jsonl does not exist. Did you mean .*base.jsonl"):
        find_answers([(None, tmp_path / "bose.jsonl")])


def test_a_path_with_an_equals_sign_is_a_path_where_it_exists(tmp_path):
    path = write_lines(tmp_path / "a=b" / "base.jsonl", LINE)
    assert place_of(str(path)) == (None, str(path))
    assert place_of(f"mine={path}") == ("mine", str(path))
    assert place_of("base.jsonl") == (None, "base.jsonl")
