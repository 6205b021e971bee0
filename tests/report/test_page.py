import base64
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from verl_ext.metrics.generations import Generations
from verl_ext.plots import figures
from verl_ext.plots.training_curves import TrainingCurve
from verl_ext.report.page import render_report
from verl_ext.report.results import build_results


def run(name, num_correct):
    num_problems = len(num_correct)
    return Generations(
        name=name,
        path=f"{name}.jsonl",
        question_ids=list(range(num_problems)),
        num_samples_P=np.full(num_problems, 16),
        num_correct_P=np.array(num_correct),
        references=[None] * num_problems,
        answers=[{"1": 9, "2": 3}] * num_problems,
        correct_answers=[{"1": 9}] * num_problems,
        reasons={"correct": 50, "incorrect": 40, "no_answer": 10, "odd <reason>": 1},
    )


class Page(HTMLParser):
    """Text of each table cell, and every address the page names; fails on a tag that is not closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.links, self.tables, self.text = [], [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "img"}:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "action", "srcset"}]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data.strip() + " "


@pytest.fixture(scope="module")
def html():
    counts = np.arange(30) % 12 + 1
    training = [TrainingCurve("nsr", [1, 2], {"correct_ratio": [0.2, 0.3], "entropy": [1.0, 0.9]})]
    return render_report(
        build_results([run("base", counts), run("nsr", counts + 3), run("<script>", counts)]),
        title="Countdown & <b>more</b>",
        facts=[("model", "0.8M <parameters>"), ("seed", "1")],
        commands=["bash scripts/quickstart.sh --only nsr", "echo '<done>'"],
        training=training,
        caveats=["The base is weak."],
    )


def test_it_needs_nothing_else(html):
    page = Page(html)
    assert len(page.links) == 3
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    assert "<script" not in html
    for link in page.links:
        assert imread(BytesIO(base64.b64decode(link.partition(",")[2]))).shape[1] > 6 * figures.DPI


def test_text_is_escaped(html):
    assert "<title>Countdown &amp; &lt;b&gt;more&lt;/b&gt;</title>" in html
    page = Page(html)
    assert "Countdown & <b>more</b>" in page.text
    assert "0.8M <parameters>" in page.text
    assert "echo '<done>'" in page.text


def test_tables(html):
    numbers, noise, differences, tested, diversity, reasons, facts = Page(html).tables
    assert [cell.strip() for cell in numbers[0]] == ["method", "k = 1", "k = 2", "k = 4", "k = 8", "k = 16"]
    assert [each[0].strip() for each in numbers[1:]] == ["Base", "NSR", "<script>"]
    assert re.fullmatch(r"36\.9 \[\d+\.\d, \d+\.\d\] ", numbers[1][1])
    assert [each[-1].strip() for each in noise[1:]] == ["none"] * 3
    assert [each[0].strip() for each in differences[1:]] == ["NSR", "<script>"]
    assert differences[1][1].startswith("+18.8 [")
    assert [cell.strip() for cell in tested[1]][:3] == ["NSR − Base", "1", "+18.8"]
    assert tested[1][-1].strip() == "higher"
    assert len(tested) == 1 + 4 + 2
    assert tested[3][-1].strip() == "not decided"
    assert diversity[1][1].startswith("2.0 [")
    assert diversity[1][3].strip() == "56.2 %"
    assert [cell.strip() for cell in reasons[0]][1:] == ["correct", "incorrect", "no answer", "odd <reason>", "all"]
    assert reasons[1][1] == "50 49.5 % "
    assert [cell.strip() for cell in facts[0]] == ["model", "0.8M <parameters>"]


def test_sentences(html):
    text = Page(html).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "3 models, 30 problems: 1,440 graded answers" in text
    assert "NSR against Base: pass@1 is higher by 18.8 points" in text
    assert "Whether <script> and Base differ at pass@1: they score the same on each of the 30 problems." in text
    assert "The base is weak." in text
    assert "Corrected by Holm over the 4 comparisons with Base, and separately over the 2 between methods" in re.sub(
        r"\s+", " ", text
    )


def test_the_same_results_give_the_same_page():
    results = build_results([run("base", [1, 2, 3]), run("nsr", [2, 3, 4])])
    pages = [render_report(results, title="x", facts=[]) for _ in range(2)]
    assert pages[0] == pages[1]


def test_only_a_base():
    page = Page(render_report(build_results([run("base", [1, 2, 3])]), title="x", facts=[]))
    assert "There is nothing to compare: only Base was evaluated." in page.text
    assert "Differences" not in page.text
    assert "Training" not in page.text
