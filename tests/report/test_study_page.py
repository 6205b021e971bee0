import base64
import json
import re
from io import BytesIO

import pytest
from matplotlib.image import imread

from tests.analysis.runs import run
from tests.report.test_page import Page
from tests.report.test_study import NUM_PROBLEMS, studied
from verl_ext.plots import figures
from verl_ext.report.study_numbers import build_study, study_as_json
from verl_ext.report.study_page import render_study, study_figures


def rendered(runs, **more):
    study = build_study(runs, **more)
    return render_study(study, study_figures(study), title="A <study>", facts=[("seed", "0")], commands=["python <x>"])


@pytest.fixture(scope="module")
def html():
    return rendered(
        [studied("base", -2), studied("step<100>", 0), studied("step200", 2, num_samples=4)],
        base_again=studied("again", -1),
    )


def text_of(html):
    return re.sub(r"\s+", " ", Page(html).text.replace("\N{NO-BREAK SPACE}", " "))


def tables_of(html):
    return [[[cell.strip() for cell in row] for row in table] for table in Page(html).tables]


def test_it_needs_nothing_else_and_escapes_what_it_is_given(html):
    page = Page(html)
    assert len(page.links) == 7
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    for link in page.links:
        assert imread(BytesIO(base64.b64decode(link.partition(",")[2]))).shape[1] > 6 * figures.DPI
    assert "<title>A &lt;study&gt;</title>" in html
    assert "step<100>" in page.text
    assert "python <x>" in page.text


def test_both_estimates_stand_in_one_table(html):
    base, *_ = tables_of(html)
    assert base[0] == ["Base", "k = 1", "k = 2", "k = 4", "k = 8"]
    assert [row[0] for row in base[1:]] == ["unbiased", "bootstrap", "bootstrap − unbiased"]
    assert base[2][1] == base[1][1].split()[0]
    assert base[3][1] == "0.0"
    assert base[3][4].startswith("−")


def test_what_the_base_never_solves(html):
    text = text_of(html)
    assert "Base solves 15 of 24 problems at least once in its 8 samples, and never 9." in text
    assert "fresh samples of Base would also solve some" in text
    assert "The first row is that rate, from a second file of Base's answers." in text
    assert "The rows with 4 samples of Base split its samples" in text
    (table,) = [table for table in tables_of(html) if table[0][0] == "who"]
    assert [row[:5] for row in table[1:4]] == [
        ["Base again", "8", "8", "9", "3"],
        ["step<100>", "8", "8", "9", "6"],
        ["step200", "4", "8", "9", "9"],
    ]
    assert [row[0] for row in table[4:]] == ["Base again", "step<100>", "step200"]
    assert table[1][5].startswith("33.3 % [")
    (solved,) = [table for table in tables_of(html) if table[0][0] == "question_id"]
    assert solved[0] == ["question_id", "level", "subject", "reference", "Base", "step<100>", "step200"]
    assert solved[1] == ["0", "Level 1", "Geometry", r"\frac{1}{2}", "0 of 8", "0 of 8", "2 of 4"]
    assert len(solved) == 1 + 9


def test_least_squares_of_every_run(html):
    fits = [table for table in tables_of(html) if table[0][0] == "term"]
    assert [[row[0] for row in fit] for fit in fits] == [
        ["term", "intercept", "level (each step)", "subject Geometry"]
    ] * 3
    assert re.fullmatch(r"[+−]0\.\d{4}", fits[0][1][1])
    assert "Effects are differences from subject Algebra." in text_of(html)


def test_different_numbers_of_samples_are_said(html):
    assert (
        "different numbers of samples a problem (Base 8, step<100> 8, step200 4): compare them at the same k"
        in text_of(html)
    )


def test_a_section_without_data_says_what_is_missing():
    html = rendered([studied(name, shift, groups={}) for name, shift in (("base", -2), ("nsr", 0))])
    text = text_of(html)
    assert "Not shown. None of the files has the field level" in text
    assert "Not shown. None of the files has the field subject" in text
    assert text.count("has no field level and no field subject to fit accuracies on.") == 2
    assert len(Page(html).links) == 4  # pass@k twice, accuracies and new ability


def test_without_references_the_reason_is_said_once():
    html = rendered([studied("base", -2, references=[None] * NUM_PROBLEMS)])
    assert text_of(html).count("has a gold_answer that is a text or a number") == 1


def test_a_base_that_solves_everything():
    html = rendered([studied("base", 8), studied("nsr", 8)])
    assert "Base solves 24 of 24 problems at least once in its 8 samples, and never 0." in text_of(html)
    assert not [table for table in tables_of(html) if table[0][0] == "who"]


def test_the_same_study_gives_the_same_page():
    first, second = (rendered([studied("base", -2), studied("nsr", 0)]) for _ in range(2))
    assert first == second


def test_one_problem_has_a_page_without_intervals():
    html = rendered([run("base", "a", [0], references=["7"]), run("nsr", "a", [1], references=["7"])])
    assert "Base solves 0 of 1 problems" in text_of(html)
    (table,) = [table for table in tables_of(html) if table[0][0] == "who"]
    assert table[1][-1] == "100.0 % none"


def test_accuracies_that_are_a_sum_without_a_rest():
    """The errors are 0 up to rounding, and what is divided by them is huge or infinite: still a page and JSON."""
    groups = {"level": list("112233"), "subject": list("ABABAB")}
    study = build_study([run("base", "abcdef", [4, 3, 3, 2, 2, 1], groups=groups)])
    assert study.fits[0].coefficients[1].estimate == pytest.approx(-0.25)
    json.dumps(study_as_json(study), allow_nan=False)
    render_study(study, study_figures(study), title="x", facts=[])
