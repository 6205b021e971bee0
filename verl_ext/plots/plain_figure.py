"""Figures whose texts are what they say: names of runs, files, levels and subjects come from users and data sets."""

from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text


class PlainFigure(Figure):
    """A figure in which no text is a formula: of ``a$5_$x`` matplotlib would draw one, or stop at what is none."""

    def draw(self, renderer: Any) -> None:
        for text in self.findobj(Text):
            assert isinstance(text, Text)
            text.set_parse_math(False)
        with rc_context({"text.parse_math": False}):  # of the labels that axes make when they are drawn
            super().draw(renderer)
