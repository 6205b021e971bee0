"""Every check leaves a line with a level, the one that breaks too, and a script reads the worst of them."""

import json

import pytest

from verl_ext.doctor.examination import Examination, shown
from verl_ext.host.finding import Level, fail, first_of, ok, warn
from verl_ext.training.checks.resume import NothingLeftError


def raises(error):
    def check():
        raise error

    return check


@pytest.fixture
def said():
    return []


@pytest.fixture
def examination(said):
    return Examination(said.append)


def test_the_exit_code_is_that_of_the_worst_line(examination, said):
    assert examination.make("one", lambda: ok("one", "fine"))
    assert examination.make("two", lambda: [warn("two", "so so", "look"), ok("two", "fine")])
    assert (examination.level, examination.exit_code) == (Level.WARN, 0)
    assert not examination.make("three", lambda: fail("three", "broken", "mend it"))
    assert (examination.level, examination.exit_code) == (Level.FAIL, 1)
    assert len(said) == 4
    assert examination.summary().startswith("2 ok, 1 warn, 1 fail, in ")


def test_a_check_that_breaks_is_a_fault_and_the_rest_go_on(examination, said):
    assert not examination.make("disk", raises(ZeroDivisionError("by zero")))
    assert examination.make("next", lambda: ok("next", "fine"))
    (line, _) = said
    assert line.startswith(
        "fail  disk               the check itself broke: ZeroDivisionError: by zero (test_examination.py, line"
    )
    assert examination.exit_code == 1


def test_a_check_that_breaks_after_it_has_found_something_is_no_ok(examination):
    def half():
        yield ok("data", "the first file")
        raise OSError("the second is gone")

    assert not examination.make("data", half)
    assert [line.finding.level for line in examination.lines] == [Level.FAIL]


def test_a_users_mistake_is_said_as_it_is(examination, said):
    examination.make("data", raises(ValueError("data.seed=x must be a number.")))
    assert said == ["fail  data               data.seed=x must be a number."]


def test_a_run_that_is_finished_is_not_ill(examination):
    assert examination.make("steps", raises(NothingLeftError("there is nothing left to train")))
    assert examination.level is Level.WARN


def test_for_a_program(examination):
    examination.make("one", lambda: fail("one", "a\nb", "mend it"))
    read = json.loads(examination.as_json())
    (finding,) = read["findings"]
    assert read["level"] == "fail"
    assert {name: finding[name] for name in ("subject", "level", "text", "remedy")} == {
        "subject": "one",
        "level": "fail",
        "text": "a\nb",
        "remedy": "mend it",
    }


def test_a_longer_text_and_the_remedy_stand_below():
    assert shown(fail("one", "a\nb", "mend it")).splitlines() == [
        "fail  one                a",
        "                         b",
        "                      -> mend it",
    ]


def test_a_long_list_is_cut():
    assert first_of([1, 2]) == "1, 2"
    assert first_of(range(8)) == "0, 1, 2, 3, 4 and 3 more"
