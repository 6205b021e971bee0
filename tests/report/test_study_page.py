import json
import re

import pytest

from tests.analysis.runs import run
from tests.report.blocks_of import tables_of, texts
from tests.report.test_study import NUM_PROBLEMS, studied
from verl_ext.plots.figures import svg
from verl_ext.report.markdown import render_markdown
from verl_ext.report.study_numbers import build_study, study_as_json
from verl_ext.report.study_page import study_content, study_drawings


def content(runs, **more):
    study = build_study(runs, **more)
    return study_content(study, title="A <study>", facts=[("seed", "0")], commands=["python <x>"])


@pytest.fixture(scope="module")
def page():
    return content(
        [studied("base", -2), studied("step<100>", 0), studied("step200", 2, num_samples=4)],
        base_again=studied("again", -1),
    )


def rows_of(page, name):
    table = tables_of(page)[name]
    return [list(table.header), *map(texts, table.rows)]


def test_question_and_answer(page):
    assert page.question == "What did training change between Base and step<100> and step200, problem by problem?"
    assert [said.label for said in page.answer] == ["Decided", "Not decided", "Keep in mind"]
    assert page.picture.name == "pass_at_k"
    study = build_study([studied("base", -2)])
    assert "only Base was evaluated" in study_content(study, title="x", facts=[]).answer[0].text


def test_both_estimates_stand_in_one_table(page):
    rows = rows_of(page, "pass_at_k")
    assert rows[0] == ["run", "estimate", "k = 1", "k = 2", "k = 4", "k = 8"]
    assert [row[:2] for row in rows[1:4]] == [
        ["Base", "unbiased"],
        ["Base", "bootstrap"],
        ["Base", "bootstrap \N{MINUS SIGN} unbiased"],
    ]
    assert rows[2][2] == rows[1][2].split()[0]
    assert rows[3][2] == "0.0"
    assert rows[3][5].startswith("\N{MINUS SIGN}")
    assert rows[7][5] == "\N{EN DASH}", "step200 has four samples"


def test_what_the_base_never_solves(page):
    text = render_markdown(page)
    assert "Base solves 15 of 24 problems at least once in its 8 samples, and never 9." in text
    assert "fresh samples of Base would also solve some" in text
    assert "The first row is that rate, from a second file of Base's answers." in text
    assert "The rows with 4 samples of Base split its samples" in text
    table = rows_of(page, "new_ability")
    assert [row[:5] for row in table[1:4]] == [
        ["Base again", "8", "8", "9", "3"],
        ["step<100>", "8", "8", "9", "6"],
        ["step200", "4", "8", "9", "9"],
    ]
    assert [row[0] for row in table[4:]] == ["Base again", "step<100>", "step200"]
    assert table[1][5].startswith("33.3 % [")
    solved = rows_of(page, "solved")
    assert solved[0] == ["question_id", "level", "subject", "reference", "Base", "step<100>", "step200"]
    assert solved[1] == ["0", "Level 1", "Geometry", r"\frac{1}{2}", "0 of 8", "0 of 8", "2 of 4"]
    assert len(solved) == 1 + 9


def test_least_squares_of_every_run(page):
    fits = [rows_of(page, f"least_squares_{number}") for number in (1, 2, 3)]
    assert [[row[0] for row in fit] for fit in fits] == [
        ["term", "intercept", "level (each step)", "subject Geometry"]
    ] * 3
    assert re.fullmatch(r"[+−]0\.\d{4}", fits[0][1][1])
    assert "Effects are differences from subject Algebra." in render_markdown(page)


def test_different_numbers_of_samples_are_said(page):
    assert (
        "different numbers of samples a problem (Base 8, step<100> 8, step200 4): compare them at the same k"
        in render_markdown(page)
    )


def test_a_section_without_data_says_what_is_missing():
    page = content([studied(name, shift, groups={}) for name, shift in (("base", -2), ("nsr", 0))])
    text = render_markdown(page)
    assert "Not shown. None of the files has the field level" in text
    assert "Not shown. None of the files has the field subject" in text
    assert text.count("has no field level and no field subject to fit accuracies on.") == 2
    assert "least_squares" not in text


def test_without_references_the_reason_is_said_once():
    page = content([studied("base", -2, references=[None] * NUM_PROBLEMS)])
    assert render_markdown(page).count("has a gold_answer that is a text or a number") == 1


def test_a_base_that_solves_everything():
    page = content([studied("base", 8), studied("nsr", 8)])
    assert "Base solves 24 of 24 problems at least once in its 8 samples, and never 0." in render_markdown(page)
    assert "new_ability" not in tables_of(page)


def test_the_same_study_gives_the_same_pictures():
    study = build_study([studied("base", -2), studied("nsr", 0)])
    first, second = (svg(study_drawings(study)["by_level"].wide) for _ in range(2))
    assert first == second


def test_a_section_without_data_has_no_picture():
    study = build_study([studied(name, shift, groups={}) for name, shift in (("base", -2), ("nsr", 0))])
    assert set(study_drawings(study)) == {"pass_at_k", "accuracy", "not_integers", "new_ability"}


def test_one_problem_has_a_page_without_intervals():
    page = content([run("base", "a", [0], references=["7"]), run("nsr", "a", [1], references=["7"])])
    assert "Base solves 0 of 1 problems" in render_markdown(page)
    assert rows_of(page, "new_ability")[1][-1] == "100.0 % none"


def test_accuracies_that_are_a_sum_without_a_rest():
    """The errors are 0 up to rounding, and what is divided by them is huge or infinite: still a page and JSON."""
    groups = {"level": list("112233"), "subject": list("ABABAB")}
    study = build_study([run("base", "abcdef", [4, 3, 3, 2, 2, 1], groups=groups)])
    assert study.fits[0].coefficients[1].estimate == pytest.approx(-0.25)
    json.dumps(study_as_json(study), allow_nan=False)
    render_markdown(study_content(study, title="x", facts=[]))
    study_drawings(study)["least_squares"].narrow.canvas.draw()
