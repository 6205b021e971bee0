"""A browser, started once for all pages; a test is skipped, with the reason, where there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import NO_AXE, NO_BROWSER, Browser, browser_in, find_axe, find_browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip(NO_BROWSER)
    with browser_in(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="session")
def axe() -> Path:
    """axe-core, which looks for what shuts readers out."""
    found = find_axe()
    if found is None:
        pytest.skip(NO_AXE)
    return found
