import os
import re
from pathlib import Path

import pytest

from verl_ext.grading.graders import TABLES
from verl_ext.grading.workers import decisions
from verl_ext.grading.workers.settings import GRADER_NAMES, GraderSettings, read_settings


def test_what_is_unset_or_empty_has_its_default():
    assert (
        read_settings({}) == read_settings({"VERL_EXT_GRADER": "", "VERL_EXT_GRADER_SECONDS": ""}) == GraderSettings()
    )


def test_every_variable_is_read(tmp_path):
    environment = {
        "VERL_EXT_GRADER": "default",
        "VERL_EXT_GRADER_WORKERS": "3",
        "VERL_EXT_GRADER_SECONDS": "2.5",
        "VERL_EXT_GRADER_CACHE": f"{tmp_path}/decisions.sqlite",
        "VERL_EXT_GRADER_CONVENTIONS": "list_order = as_given, units=optional",
    }
    settings = read_settings(environment)
    assert settings == GraderSettings(
        "default", 3, 2.5, tmp_path / "decisions.sqlite", "list_order=as_given,units=optional"
    )
    assert str(settings) == "default, list_order=as_given,units=optional"
    assert read_settings({"VERL_EXT_GRADER": "paper"}) == GraderSettings("paper")


def test_the_papers_grader_takes_no_conventions():
    environment = {"VERL_EXT_GRADER": "paper", "VERL_EXT_GRADER_CONVENTIONS": "units=required"}
    with pytest.raises(
        ValueError, match="VERL_EXT_GRADER_CONVENTIONS=units=required: the paper's grader has conventions of"
    ):
        read_settings(environment)


def test_the_cache_may_be_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_settings({"VERL_EXT_GRADER_CACHE": "~/decisions.sqlite"}).cache == tmp_path / "decisions.sqlite"


BAD = [
    ("VERL_EXT_GRADER", "x", " is not a grader. There is default, marked, paper, published_gsm8k."),
    ("VERL_EXT_GRADER_WORKERS", "2.5", " is not a number of processes: 1 or more."),
    ("VERL_EXT_GRADER_WORKERS", "0", " is not a number of processes: 1 or more."),
    ("VERL_EXT_GRADER_WORKERS", "-1", " is not a number of processes: 1 or more."),
    ("VERL_EXT_GRADER_SECONDS", "soon", " is not a number of seconds above 0."),
    ("VERL_EXT_GRADER_SECONDS", "0.0", " is not a number of seconds above 0."),
    ("VERL_EXT_GRADER_SECONDS", "nan", " is not a number of seconds above 0."),
    ("VERL_EXT_GRADER_SECONDS", "inf", " is not a number of seconds above 0."),
    ("VERL_EXT_GRADER_CONVENTIONS", "unit=any", ": there is no convention 'unit'. Did you mean units?"),
    ("VERL_EXT_GRADER_CONVENTIONS", "units=any", ": the convention units is optional or required, not 'any'."),
    ("VERL_EXT_GRADER_CACHE", "/nowhere/at/all", ": there is no folder /nowhere/at."),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_value_that_cannot_be_used_is_named(name, value, message):
    with pytest.raises(ValueError, match=re.escape(f"{name}={value}{message}")):
        read_settings({name: value})


def test_the_names_are_those_of_the_tables():
    assert tuple(TABLES) == GRADER_NAMES


def test_the_shared_pool_and_cache_are_made_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "_own", None)
    monkeypatch.setattr(decisions, "read_settings", lambda: GraderSettings("default", 3, 0.5, tmp_path / "file"))
    made = decisions.shared_decisions()
    assert (made.pool.num_workers, made.pool.timeout_seconds, made._file._path) == (3, 0.5, tmp_path / "file")
    assert decisions.shared_decisions() is made


def test_a_relative_cache_is_a_file_of_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_settings({"VERL_EXT_GRADER_CACHE": "relative.sqlite"}).cache == Path(os.getcwd(), "relative.sqlite")
