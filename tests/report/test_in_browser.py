"""Pages as a reader has them: Chromium opens, sorts, folds, filters, saves, and axe-core looks for what shuts readers out."""

import csv
import io
import json

import pytest

from tests.report.test_page import made_run, run
from tests.report.test_study import studied
from verl_ext.host.files import write_whole
from verl_ext.plots.training_curves import PANELS
from verl_ext.report import run_blocks
from verl_ext.report.html_page import render_html
from verl_ext.report.page import ReportInputs, compose_report
from verl_ext.report.results import build_results
from verl_ext.report.run_logs import read_run_log
from verl_ext.report.study_numbers import build_study
from verl_ext.report.study_page import study_content, study_drawings

WIDTHS = (1280, 400)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages with everything that a page can have, with a name that would run if it could."""
    made = tmp_path_factory.mktemp("pages")
    names = ["base", "psr", "nsr", HOSTILE, *(f"more {number}" for number in range(5))]
    results = build_results(
        [run(name, [(number + shift) % 12 + 1 for number in range(20)]) for shift, name in enumerate(names)]
    )
    logs = [read_run_log(made_run(made / name, **{"data.val_files": HOSTILE}), name) for name in ("psr", "nsr")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_blocks, "LOGGED_PANELS", PANELS[:2])  # the others look the same
        page, drawings = compose_report(
            ReportInputs(results=results, logs=logs),
            title=f"A report {HOSTILE}",
            commands=["python -m verl_ext.report " + "outputs/some/long/path " * 12],
        )
    (made / "report.html").write_text(render_html(page, drawings))
    (made / "live.html").write_text(render_html(page, drawings, reload_seconds=0.3))
    study = build_study([studied(name, shift, groups={}) for name, shift in (("base", -2), ("nsr", 0))])
    content = study_content(study, title="A study", facts=[("seed", "0")], commands=["python x"])
    (made / "study.html").write_text(render_html(content, study_drawings(study)))
    return made


@pytest.mark.parametrize("name", ["report", "study"])
def test_it_needs_nothing_else_and_shuts_nobody_out(browser, axe, folder, tmp_path, name):
    for width in WIDTHS:
        with browser.page(width=width) as page:
            page.open(folder / f"{name}.html")
            assert page.evaluate(
                "[...document.images].every(image => image.naturalWidth > 100 && image.alt.length > 20)"
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "only tables scroll to the side"
            widths = page.evaluate("[...document.images].map(image => image.getBoundingClientRect().width)")
            assert all(shown <= width for shown in widths)
            page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
            assert page.accessibility_faults(axe) == []
            page.screenshot(tmp_path / f"{name}-{width}.png", is_whole=True)
            assert page.errors == page.requests == []


def test_a_phone_gets_pictures_of_its_own(browser, folder):
    shown = []
    for width in WIDTHS:
        with browser.page(width=width) as page:
            page.open(folder / "report.html")
            shown.append(page.evaluate("document.images[0].naturalWidth"))
    assert shown[0] > 800
    assert shown[1] < 400


def test_sorting(browser, folder):
    column = "[...document.querySelectorAll('[data-name=comparisons] tbody tr')].map(row => row.cells[2].innerText)"
    with browser.page() as page:
        page.open(folder / "report.html")
        before = page.evaluate(column)
        head = "document.querySelectorAll('[data-name=comparisons] th')[2]"
        page.evaluate(f"{head}.querySelector('button').focus()")
        for state, is_reversed in (("descending", True), ("ascending", False)):
            page.press("Enter", 13, "\r")
            numbers = [float(text.replace("\N{MINUS SIGN}", "-")) for text in page.evaluate(column)]
            assert numbers == sorted(numbers, reverse=is_reversed)
            assert page.evaluate(f"{head}.getAttribute('aria-sort')") == state
        assert sorted(before) == sorted(page.evaluate(column))
        page.evaluate("document.querySelectorAll('[data-name=comparisons] th button')[0].click()")
        names = page.evaluate(
            "[...document.querySelectorAll('[data-name=comparisons] tbody th')].map(head => head.innerText)"
        )
        assert names == sorted(names, key=str.lower, reverse=True)


def test_filtering_and_saving(browser, folder):
    with browser.page() as page:
        page.open(folder / "report.html")
        num_rows = page.evaluate("document.querySelectorAll('[data-name=comparisons] tbody tr').length")
        page.evaluate("document.querySelector('[data-name=comparisons] input').focus()")
        page.send("Input.insertText", text="nsr base")
        assert (
            page.evaluate("document.querySelector('[data-name=comparisons] [role=status]').innerText")
            == f"2 of {num_rows} rows"
        )
        buttons = "document.querySelectorAll('[data-name=comparisons] .tools button')"
        page.evaluate(f"{buttons}[0].click()")
        lines = list(csv.reader(io.StringIO(page.downloaded("comparisons.csv").decode())))
        assert lines[0][:4] == ["comparison", "k", "difference", "95 % interval"]
        assert [line[0] for line in lines[1:]] == ["NSR - Base"] * 2
        page.evaluate(f"{buttons}[1].click()")
        latex = page.downloaded("comparisons.tex").decode()
        assert latex.startswith(
            "\\begin{tabular}{lrrrrrrr}\n  \\hline\n  comparison & k & difference & 95 \\% interval &"
        )
        assert latex.count("\\\\\n") == 3
        page.evaluate("document.querySelectorAll('.table[data-name=pass_at_k] .tools button')[0].click()")
        lines = list(csv.reader(io.StringIO(page.downloaded("pass_at_k.csv").decode())))
        assert lines[0][:3] == ["method", "k = 1", "k = 1, interval"], "an interval is a column of its own"
        assert float(lines[1][1]) > 0
        assert lines[4][0] == HOSTILE


def test_pictures_are_saved(browser, folder):
    with browser.page() as page:
        page.open(folder / "report.html")
        for number, (ending, start) in enumerate((("svg", b"<?xml"), ("png", b"\x89PNG"))):
            page.evaluate(f"document.querySelectorAll('figure[data-name=pass_at_k] button')[{number}].click()")
            assert page.downloaded(f"pass_at_k.{ending}").startswith(start)


def test_folding(browser, folder):
    with browser.page(width=400) as page:
        page.open(folder / "report.html")
        fold = "document.querySelectorAll('.said details')[1]"
        assert not page.evaluate(f"{fold}.open")
        height = page.evaluate("document.body.scrollHeight")
        page.evaluate(f"{fold}.querySelector('summary').focus()")
        page.press("Enter", 13, "\r")
        page.wait_for(f"{fold}.open")
        assert page.evaluate("document.body.scrollHeight") > height
        assert page.evaluate(f"{fold}.querySelectorAll('li').length") > 3


def test_the_page_of_a_run_loads_itself_where_the_reader_is(browser, folder):
    page_file = folder / "live.html"
    with browser.page() as page:
        page.open(page_file)
        page.wait_for("(document.querySelector('.said details').open = true, scrollTo(0, 1200), scrollY === 1200)")
        write_whole(page_file, page_file.read_text().replace("The run goes on", "The run has gone on"))
        page.wait_for(
            "document.readyState === 'complete' && document.querySelector('.live').innerText.includes('has gone on')"
        )
        folds = "[...document.querySelectorAll('.said details')].slice(0, 2).map(fold => fold.open).join()"
        page.wait_for(f"scrollY === 1200 && {folds} === 'true,false'")
        assert page.errors == page.requests == []


def test_hostile_names_stay_text(folder):
    text = (folder / "report.html").read_text()
    assert HOSTILE not in text
    assert json.dumps("<b>") not in text
