"""Pieces of a study's page."""

from collections.abc import Sequence

from verl_ext.plots.style import style_by_name
from verl_ext.report.page_blocks import Entry, Paragraph, PictureShown
from verl_ext.report.study_numbers import Missing

_ALTS = {
    "pass_at_k": "pass@k of each run against k, unbiased and by bootstrap",
    "accuracy": "Number of problems in each bin of accuracy, a bar per run",
    "by_level": "pass@1 by level, with intervals",
    "by_subject": "pass@1 by subject, with intervals",
    "not_integers": "pass@k on the problems whose reference answer is not an integer",
    "new_ability": "Share of the problems unsolved by the base that each run solves",
    "least_squares": "Effects of level and subject with their intervals",
}


def study_picture(name: str) -> PictureShown:
    """A picture of a study with what it shows."""
    return PictureShown(name, _ALTS[name])


def not_shown(missing: Missing) -> Paragraph:
    """Why a section has nothing."""
    return Paragraph(f"Not shown. {missing.why}", is_quiet=True)


def method_entry(study_names: Sequence[str], name: str, text: str = "") -> Entry:
    """A run in the color of its curves."""
    style = style_by_name(study_names)[name]
    return Entry(text or style.label, color=style.color)
