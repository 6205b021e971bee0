"""Coarse pictures: pixels take most of a page's time, and no test of a page is about them."""

import pytest

from verl_ext.plots import figures, study_figures


@pytest.fixture(autouse=True, scope="module")
def _coarse_pictures():
    with pytest.MonkeyPatch.context() as patch:
        for module in (figures, study_figures):
            patch.setattr(module, "DPI", 40)
        yield
