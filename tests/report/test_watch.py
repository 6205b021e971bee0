"""A page that follows a run."""

import json
from pathlib import Path

import pytest

from tests.report.test_page import made_run
from verl_ext.commands.report_options import WatchOptions
from verl_ext.commands.watch_run import watch

pytestmark = pytest.mark.usefixtures("no_pixels")
RELOADS = 'data-reload-seconds="'


@pytest.fixture
def run(tmp_path):
    """Half of a run, and a function that logs a step of it."""
    folder = made_run(tmp_path / "psr", num_steps=20, validations=[(0, 2)])
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:18]))

    def log(text):
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(text)

    return folder, lines, log


def test_it_follows_the_run_to_its_end(run):
    folder, lines, log = run
    page = folder / "report.html"
    seen = []

    def sleep(seconds):
        """What happens between two looks."""
        seen.append((seconds, page.stat().st_mtime_ns, page.read_text()))
        if len(seen) == 1:
            log(lines[18][:30])
        elif len(seen) == 2:
            log(lines[18][30:])
        elif len(seen) == 4:
            log(lines[19])

    told = []
    watch(WatchOptions(run=folder, every=3.0), "python x", sleep=sleep, told=told.append)
    assert told == [f"step {step} of 20: {page}" for step in (18, 18, 19, 20)]
    assert {seconds for seconds, *_ in seen} == {3.0}
    assert all(f'{RELOADS}3.0"' in text for *_, text in seen)
    assert "line 19 of metrics.jsonl is cut and left out" in seen[1][2]
    assert "is cut" not in seen[2][2]
    assert seen[2][1] == seen[3][1], "nothing new, no new page"
    assert RELOADS not in page.read_text()
    assert "psr, step 20 of 20" in page.read_text()
    assert [path.name for path in folder.iterdir() if path.name.endswith(".tmp")] == []


def test_ctrl_c_leaves_a_page_that_stands_still(run, tmp_path):
    folder, *_ = run

    def sleep(seconds):
        raise KeyboardInterrupt

    told = []
    page = tmp_path / "elsewhere/page.html"
    watch(WatchOptions(run=folder, output=page), "python x", sleep=sleep, told=told.append)
    assert told[-1] == f"stopped at step 18 of 20: {page}"
    assert RELOADS not in page.read_text()


def test_a_run_that_ends_early(run):
    folder, *_ = run
    (folder / "checkpoints/ended.json").write_text(json.dumps({"step": 18, "reason": "below the base"}))
    watch(WatchOptions(run=folder), "python x", sleep=pytest.fail, told=lambda text: None)
    assert RELOADS not in Path(folder / "report.html").read_text()
