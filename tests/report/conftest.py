"""Coarse pictures, or none: pixels take most of a page's time, and no test of a page is about them."""

import pytest

from verl_ext.plots import figures
from verl_ext.report import drawings


@pytest.fixture(autouse=True, scope="module")
def _coarse_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "DPI", 40)
        yield


@pytest.fixture
def no_pixels(monkeypatch):
    """Pictures are planned, but not drawn."""
    monkeypatch.setattr(drawings, "svg", lambda figure: b"<svg/>")
    monkeypatch.setattr(drawings, "png", lambda figure: b"\x89PNG")
