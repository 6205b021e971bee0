"""The answer viewer on many answers: how large the page is, and how long a browser takes to its first view.

    python benchmarks/viewer.py [--answers 50000]        real ones: 8 of a problem, from the file of --responses
    python benchmarks/viewer.py --words 150              made up: no two are alike, words as often as words of a text come

``--responses`` is a file of JSON lines with ``id`` (problem and number of the answer behind its last dash) and ``pred``, by default
that of ``benchmarks/grading.py``. Its answers come again, as those to other problems, until there are enough: so far apart that
the compression does not see it. Needs Chromium (``tests/browser.py``). Prints the page's size, the seconds to write it, of several
openings the seconds from the start of loading to the first answers on the screen, and those of a search through all answers.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser import NO_BROWSER, browser_in, find_browser

from verl_ext.viewer.viewer_page import write_viewer

RESPONSES = Path(__file__).resolve().parents[2] / "shared" / "grading" / "qwen_math_responses.jsonl"
PER_PROBLEM = 100
VOCABULARY = 8000
OPENINGS = 5


def real_answers(path: Path, num_answers: int) -> Iterator[tuple[str, str]]:
    """Problem and response."""
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    for number in range(num_answers):
        again, place = divmod(number, len(rows))
        yield f"{rows[place]['id'].rpartition('-')[0]}-{again}", rows[place]["pred"]


def made_up_answers(num_answers: int, num_words: int, draw: random.Random) -> Iterator[tuple[str, str]]:
    """Problem and response, with a formula in each line."""
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(VOCABULARY)]
    weights = [1 / (rank + 2) for rank in range(VOCABULARY)]
    for number in range(num_answers):
        text = draw.choices(words, weights, k=max(10, int(draw.expovariate(1 / num_words))))
        for place in range(0, len(text), 12):
            text[place] = f"${draw.randint(2, 999)}x + {draw.randint(2, 99)} = {draw.randint(2, 9999)}$.\n"
        yield str(number // PER_PROBLEM), f"{' '.join(text)} So the answer is $\\boxed{{{draw.randint(0, 99)}}}$."


def write_answers(path: Path, answers: Iterable[tuple[str, str]], draw: random.Random) -> int:
    """A generations file with verdicts that are drawn; returns how many characters its responses have."""
    total = 0
    with path.open("w", encoding="utf-8") as file:
        for number, (problem, response) in enumerate(answers):
            is_right = draw.random() < 0.4
            record = {
                "question_id": problem,
                "generation_id": number,
                "response": response,
                "pred_answer": response.rpartition("boxed{")[2].partition("}")[0],
                "gold_answer": "17",
                "label": is_right,
                "reason": "correct" if is_right else draw.choice(["incorrect", "incorrect", "no_answer", "truncated"]),
                "tier": "exact",
                "rule": "box",
                "num_tokens": len(response) // 3,
                "level": str(draw.randint(1, 5)),
            }
            file.write(json.dumps(record) + "\n")
            total += len(response)
    return total


def seconds_in_browser(page_path: Path, folder: Path) -> tuple[list[float], float]:
    """To the first view, of each opening; and of a search in all texts."""
    first = []
    with browser_in(folder) as browser:
        for _ in range(OPENINGS):
            with browser.page() as page:
                page.open(page_path)
                page.wait_for("document.documentElement.dataset.seconds")
                first.append(float(page.evaluate("document.documentElement.dataset.seconds")))
        with browser.page() as page:
            page.open(page_path)
            page.wait_for("document.documentElement.dataset.turn === '1'")
            page.evaluate(
                "window.since = performance.now(); location.hash = '#search=' + encodeURIComponent('no answer has this'); 0"
            )
            page.wait_for("document.documentElement.dataset.turn === '2'")
            search = float(page.evaluate("(performance.now() - window.since) / 1000"))
    return first, search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=50_000)
    parser.add_argument("--responses", type=Path, default=RESPONSES, help="default: %(default)s")
    parser.add_argument("--words", type=int, help="make answers up, of so many words in the mean")
    parser.add_argument("--keep", type=Path, help="write the page here")
    options = parser.parse_args()
    if find_browser() is None:
        sys.exit(f"error: {NO_BROWSER}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw = random.Random(0)
        answers = (
            real_answers(options.responses, options.answers)
            if options.words is None
            else made_up_answers(options.answers, options.words, draw)
        )
        num_chars = write_answers(folder / "answers.jsonl", answers, draw)
        page = options.keep or folder / "page.html"
        started = time.perf_counter()
        written = write_viewer([(None, folder / "answers.jsonl")], page)
        seconds = time.perf_counter() - started
        size = (folder / "answers.jsonl").stat().st_size
        print(
            f"{written.num_answers:,} answers, {num_chars / written.num_answers:,.0f} characters each, {size / 1e6:.1f} MB of JSON lines"
        )
        print(f"page: {written.num_bytes / 1e6:.1f} MB, written in {seconds:.1f} s")
        first, search = seconds_in_browser(page, folder)
        print(f"first view: {median(first):.2f} s (median of {OPENINGS}; {min(first):.2f} to {max(first):.2f})")
        print(f"search in all texts: {search:.1f} s")


if __name__ == "__main__":
    main()
