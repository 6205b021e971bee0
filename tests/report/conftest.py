"""A browser, and coarse pictures, or none: pixels take most of a page's time, and no test of a page is about them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import NO_AXE, NO_BROWSER, Browser, browser_in, find_axe, find_browser
from verl_ext.plots import figures, study_figures
from verl_ext.report import drawings


@pytest.fixture(autouse=True, scope="module")
def _coarse_pictures():
    with pytest.MonkeyPatch.context() as patch:
        for module in (figures, study_figures):
            patch.setattr(module, "DPI", 40)
        yield


@pytest.fixture
def no_pixels(monkeypatch):
    """Pictures are planned, but not drawn."""
    monkeypatch.setattr(drawings, "svg", lambda figure: b"<svg/>")
    monkeypatch.setattr(drawings, "png", lambda figure: b"\x89PNG")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, started once for all pages; skips the test where there is none."""
    if find_browser() is None:
        pytest.skip(NO_BROWSER)
    with browser_in(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="session")
def axe() -> Path:
    """axe-core, which looks for what shuts readers out; skips the test where there is none."""
    found = find_axe()
    if found is None:
        pytest.skip(NO_AXE)
    return found
