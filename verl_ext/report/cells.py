"""Pieces of a page: the template's environment, and cells as text."""

from base64 import b64encode
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from verl_ext.metrics.summary import PairedDifference
from verl_ext.report.findings import points

_FOLDER = Path(__file__).parent


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """A template of this folder, with filters beside Jinja's; what is put into it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"unbroken": _unbroken, **filters}
    environment.globals["file"] = lambda name: Markup((_FOLDER / name).read_text(encoding="utf-8"))
    return environment.get_template(name)


def interval(low: float, high: float) -> str:
    return "none" if isnan(low) else f"[{100 * low:.1f}, {100 * high:.1f}]"


def points_interval(row: PairedDifference) -> str:
    return "none" if isnan(row.low) else f"[{points(row.low)}, {points(row.high)}]"


def _unbroken(sentence: str) -> str:
    """Keep numbers and their units on one line."""
    for pair in (" %", "p = ", "p < ", " points", "k = "):
        sentence = sentence.replace(pair, pair.replace(" ", "\N{NO-BREAK SPACE}"))  # of Markup Markup again
    return sentence


def base64_text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
