"""Pieces of a page: the template's environment, rows with the colors of the plots, and cells as text."""

from base64 import b64encode
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from matplotlib.figure import Figure

from verl_ext.metrics.summary import PairedDifference
from verl_ext.plots.figures import png
from verl_ext.plots.style import style_by_name
from verl_ext.report.findings import direction, label, points


def template(name: str) -> Template:
    """A template of this folder; what is put into it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["unbroken"] = _unbroken
    return environment.get_template(name)


class Rows:
    """Makes table rows that carry the name and color their method has in the plots."""

    def __init__(self, names: Sequence[str]) -> None:
        self._styles = style_by_name(names)

    def __call__(self, name: str, **values: Any) -> dict[str, Any]:
        style = self._styles[name]
        return {"label": style.label, "color": style.color, **values}


def cell(value: float, low: float, high: float) -> dict[str, str]:
    return {"value": f"{100 * value:.1f}", "interval": interval(low, high)}


def share_cell(count: int, total: int) -> dict[str, str]:
    return {"value": f"{count:,}", "interval": f"{100 * count / total:.1f} %"}


def interval(low: float, high: float) -> str:
    return "none" if isnan(low) else f"[{100 * low:.1f}, {100 * high:.1f}]"


def points_interval(row: PairedDifference) -> str:
    return "none" if isnan(row.low) else f"[{points(row.low)}, {points(row.high)}]"


def comparison(row: PairedDifference) -> dict[str, str | int]:
    return {
        "name": label(row.name),
        "base": label(row.base),
        "k": row.k,
        "difference": points(row.difference),
        "interval": points_interval(row),
        "p_value": f"{row.p_value:.4f}",
        "p_holm": f"{row.p_holm:.4f}",
        "verdict": direction(row),
    }


def _unbroken(sentence: str) -> str:
    """Keep numbers and their units on one line."""
    for pair in (" %", "p = ", "p < ", " points", "k = "):
        sentence = sentence.replace(pair, pair.replace(" ", "\N{NO-BREAK SPACE}"))
    return sentence


def image(figure: Figure) -> str:
    """The figure as a PNG in base64."""
    return base64_text(png(figure))


def base64_text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
