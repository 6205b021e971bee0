"""The page as a reader sees it, in a browser: filters, links, two runs beside each other, and texts that would break it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, Page
from tests.viewer.pages import HOSTILE, evaluation, hostile_answers, rollouts, write_lines
from verl_ext.viewer.viewer_page import answer_link, write_viewer

LONG = "beginning " + "x" * 1_000_000 + " \\boxed{42} end"
CARDS = "Array.from(document.querySelectorAll('.card'))"
TURNING = r"/[\u0000-\u0008\u000e-\u001f\u007f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/"
LISTED = "Array.from(document.querySelectorAll('#list .key')).map(each => each.textContent)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three pages: an evaluation at three steps with a rollout log, hostile texts, and labels alone."""
    folder = tmp_path_factory.mktemp("pages")
    right = {0: {"p1": 4, "p2": 1, "p7": 0}, 20: {"p1": 2, "p2": 0, "p7": 0}, 40: {"p1": 4, "p2": 2, "p7": 1}}
    for step, counts in right.items():
        evaluation(folder / f"nsr-step{step}.jsonl", right=counts)
    places = [(None, f"{folder}/nsr-step*.jsonl"), ("psr", rollouts(folder / "psr"))]
    write_viewer(places, folder / "page.html", title="Answers of a test")
    hostile_answers(folder / "hostile.jsonl")
    write_lines(
        folder / "long.jsonl",
        {"question_id": "long", "response": LONG, "pred_answer": "42", "label": 1, "rule": "box", "generation_id": 0},
    )
    write_viewer([(None, folder / "hostile.jsonl"), (None, folder / "long.jsonl")], folder / "hostile.html")
    write_lines(folder / "labels.jsonl", *({"question_id": i % 2, "label": i % 3 == 0} for i in range(6)))
    write_viewer([(None, folder / "labels.jsonl")], folder / "labels.html")
    return folder


class Reader:
    """Someone who looks at a page."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self._path = page, path
        self._is_open = False

    def open(self, fragment: str = "") -> None:
        """By a link from elsewhere, the first time; then by another address in the same tab."""
        if self._is_open:
            self._then(f"location.hash = {json.dumps(fragment)}")
            return
        self.page.open(self._path, fragment)
        self.page.wait_for("document.documentElement.dataset.turn")
        self._is_open = True

    def choose(self, name: str, value: str) -> None:
        """As with the mouse: another value of a control."""
        self._then(
            f"{{ const control = document.getElementById('{name}'); control.value = {json.dumps(value)};"
            "control.dispatchEvent(new Event(control.type === 'search' ? 'input' : 'change')); }"
        )

    def click(self, selector: str) -> None:
        self._then(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key: str) -> None:
        turn = self.page.evaluate("document.documentElement.dataset.turn")
        self.page.press(key, ord(key.upper()), key)
        self.page.wait_for(f"document.documentElement.dataset.turn !== '{turn}'")

    def _then(self, does: str) -> None:
        turn = self.page.evaluate("document.documentElement.dataset.turn")
        self.page.evaluate(f"{does}; 0")
        self.page.wait_for(f"document.documentElement.dataset.turn !== '{turn}'")

    def listed(self) -> list[str]:
        return self.page.evaluate(LISTED)

    def cards(self, of: str = "querySelector('.verdict').textContent") -> list[str]:
        return self.page.evaluate(f"{CARDS}.map(each => each.{of})")

    def text(self, selector: str) -> str:
        return self.page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    with browser.page() as page:
        yield page
        assert page.errors == [], "of the console"
        assert page.requests == []


@pytest.fixture
def reader(tab, folder) -> Reader:
    return Reader(tab, folder / "page.html")


def test_first_view_has_the_first_problem_and_its_answers(reader):
    reader.open()
    assert reader.listed() == ["p1", "p2", "p7"]
    assert reader.text("h1") == "Answers of a test"
    assert "What is p1?" in reader.text("#problem")
    assert reader.text(".reference code") == "1"
    assert reader.cards() == ["✓ correct"] * 4
    assert reader.page.evaluate(f"{CARDS}[2].querySelector('mark.answer').textContent") == "2"
    assert "decided by exact" in reader.cards("textContent")[0]
    assert "found by box" in reader.cards("textContent")[0]
    assert "5 of 12 answers to 3 problems are right." in reader.text("#summary")


def test_filters_are_of_answers_and_of_problems(reader):
    reader.open("#in=nsr%400")
    reader.choose("reason", "no_answer")
    assert reader.listed() == ["p2", "p7"]
    assert reader.cards() == ["✗ no answer"]
    reader.choose("which", "unsolved")
    assert reader.listed() == ["p7"]
    reader.click("#clear")
    assert reader.listed() == ["p1", "p2", "p7"]
    reader.choose("level", "2")
    assert reader.listed() == ["p7"]
    reader.choose("search", "nothing has this")
    assert reader.listed() == []
    assert "No answer of this file" in reader.text("#problem")


def test_text_is_found_whatever_its_case_and_marked(reader):
    reader.open("#in=nsr%4020")
    reader.choose("search", "ANSWER TO P2")
    assert reader.listed() == ["p2"]
    assert reader.page.evaluate("document.querySelector('mark.hit').textContent") == "answer to p2"
    reader.choose("search", "(")
    assert reader.listed() == [], "a text, not a pattern"


def test_right_at_one_step_and_wrong_at_another(reader):
    reader.open("#in=nsr%400&beside=nsr%4020")
    assert len(reader.cards()) == 8
    assert reader.text("#list .scores") == "4/4 → 2/4"
    reader.choose("which", "lost")
    assert reader.listed() == ["p2"]
    reader.choose("which", "gained")
    assert reader.listed() == []
    reader.choose("which", "")
    reader.choose("sort", "change")
    assert reader.listed() == ["p1", "p2", "p7"]
    reader.choose("beside", "psr@1")
    assert "This problem is not in this file." in reader.text("#answers")
    reader.choose("beside", "")
    assert reader.page.evaluate("document.getElementById('which').options[4].disabled")


def test_longest_first(reader):
    reader.open("#in=nsr%400&sort=longest")
    assert reader.page.evaluate(f"{CARDS}[0].querySelector('.links').textContent") == "#3"


def test_link_leads_to_an_answer_and_back(reader, folder):
    link = answer_link("page.html", "nsr", step=20, question_id="p7", generation_id=2)
    reader.open(link.removeprefix("page.html"))
    assert reader.text(".card.asked .links") == "#2"
    assert reader.page.evaluate("document.activeElement.className").endswith("asked")
    reader.click("#list a")
    assert "Problem p1" in reader.text("#problem")
    reader._then("history.back()")
    assert reader.text(".card.asked .links") == "#2"


def test_steps_of_a_problem_are_links(reader):
    reader.open("#in=nsr%400&problem=p2")
    assert reader.text(".history") == "step 0 1/4step 20 0/4step 40 2/4"
    reader.click(".history li:last-child a")
    assert reader.text("h3").startswith("nsr, step 40 2 of 4 answers right")


def test_keys_move_through_problems_and_steps(reader):
    reader.open()
    reader.press("j")
    assert "Problem p2" in reader.text("#problem")
    reader.press("k")
    reader.press("]")
    assert reader.text("h3").startswith("nsr, step 20")
    assert reader.page.evaluate("document.getElementById('later').disabled") is False
    reader.page.press("/", 191, "/")
    reader.page.wait_for("document.activeElement.id === 'search'")


def test_rollout_log_shows_what_was_kept_and_its_log_probs(reader):
    reader.open("#in=psr%402")
    assert reader.cards() == ["✗ incorrect", "✓ correct"]
    assert reader.text(".times") == "× 2", "two samples with the same text"
    wrong, right = reader.cards("querySelector('.facts').textContent")
    assert "advantage −1" in wrong
    assert "kept" in wrong
    assert "dropped" in right
    reader.choose("kept", "dropped")
    assert reader.cards() == ["✓ correct"]
    reader.choose("kept", "")
    reader.choose("shade", "gap")
    assert reader.page.evaluate(f"{CARDS}[0].querySelectorAll('.token').length") == 4, "one in two, half of it marked"
    assert reader.page.evaluate(f"{CARDS}[0].querySelectorAll('.token')[1].title") == "rollout -2.000, actor -2.300"
    assert reader.page.evaluate(f"{CARDS}[1].querySelectorAll('.token').length") == 0, "the actor did not look at it"
    reader.choose("shade", "rollout")
    assert reader.page.evaluate(f"{CARDS}.map(each => each.querySelectorAll('.token').length)") == [4, 4, 4]


def test_hostile_texts_are_shown_and_do_nothing(tab, folder):
    reader = Reader(tab, folder / "hostile.html")
    reader.open("#in=hostile")
    assert len(reader.listed()) == len(HOSTILE)
    visible = {name: text for name, text in HOSTILE.items() if text and len(text) < 400}
    for number, text in enumerate(HOSTILE.values()):
        reader.page.evaluate(f"location.hash = document.querySelectorAll('#list a')[{number}].hash; 0")
        reader.page.wait_for(f"document.querySelectorAll('#list a')[{number}].getAttribute('aria-current')")
        assert not tab.evaluate(f"{TURNING}.test(document.querySelector('.columns').textContent)")
        assert not tab.evaluate(f"{TURNING}.test(document.querySelector('body > header').textContent)")
        if text in visible.values() and text.isprintable():
            reader.page.wait_for(f"document.querySelector('.card .text')?.textContent === {json.dumps(text)}")
    assert tab.evaluate("window.broken") is None
    assert tab.evaluate("({}).broken") is None
    assert tab.evaluate("document.querySelectorAll('main img, main script, nav script').length") == 0
    assert tab.evaluate("getComputedStyle(document.body).display") != "none"


def test_signs_that_turn_lines_around_are_spelled(tab, folder):
    reader = Reader(tab, folder / "hostile.html")
    reader.open("#in=hostile&search=isolated")
    shown = reader.text(".card .text")
    assert shown == "U+202EabcU+202C U+2066isolatedU+2069 U+200FU+061Cend"
    reader.open("#in=hostile&search=alone")
    assert reader.text(".card .text") == "U+D83D alone, U+DE00 alone, 😀 whole"
    reader.open("#in=hostile&search=red")
    assert "␛[2J" in reader.text(".card .text")


def test_answer_of_a_megabyte_comes_in_portions(tab, folder):
    reader = Reader(tab, folder / "hostile.html")
    reader.open("#in=long")
    assert len(reader.text(".card .text")) < 3000
    assert reader.text("mark.answer") == "42"
    tab.evaluate("document.querySelector('.gap').click(); 0")
    assert 50_000 < len(reader.text(".card .text")) < 60_000
    assert "more" in reader.text(".gap")


def test_labels_alone_say_what_is_missing(tab, folder):
    reader = Reader(tab, folder / "labels.html")
    reader.open()
    assert reader.cards("querySelector('p.quiet').textContent") == ["The file has no text of this answer."] * 3
    assert "The answers have no text, only a verdict" in reader.text(".lacks")
    assert tab.evaluate("document.getElementById('shade').closest('label').hidden")


@pytest.mark.parametrize(("width", "page"), [(400, "page"), (400, "hostile"), (1280, "hostile")])
def test_nothing_is_wider_than_the_window(browser, folder, width, page):
    with browser.page(width=width) as tab:
        reader = Reader(tab, folder / f"{page}.html")
        reader.open("#beside=nsr%4020" if page == "page" else "")
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        if width == 400:
            assert not tab.evaluate("document.getElementById('problems').open"), "the answers come first on a phone"


@pytest.mark.parametrize("fragment", ["", "#in=psr%401&beside=psr%402&shade=gap"])
def test_nobody_is_shut_out(reader, axe, fragment):
    reader.open(fragment)
    assert reader.page.accessibility_faults(axe) == []


def test_file_that_was_cut_says_so(browser, folder):
    text = (folder / "page.html").read_text(encoding="utf-8")
    (folder / "cut.html").write_text(text[: text.index('id="block1"')], encoding="utf-8")
    with browser.page() as tab:
        tab.open(folder / "cut.html")
        tab.wait_for("!document.getElementById('fault').hidden")
        assert "This file is cut short" in tab.evaluate("document.getElementById('fault').textContent")
