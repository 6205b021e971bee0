"""A page in HTML that needs nothing else: its pictures, its style and its script are in it."""

import re
from collections.abc import Mapping
from dataclasses import asdict

from markupsafe import Markup, escape

from verl_ext.report.cells import base64_text, template
from verl_ext.report.drawings import Drawing
from verl_ext.report.page_blocks import Block, Entry, Heading, PageContent


def render_html(page: PageContent, drawings: Mapping[str, Drawing], *, reload_seconds: float | None = None) -> str:
    """The page.

    Args:
        page: Its blocks.
        drawings: Name of each picture that the page shows -> how it is drawn.
        reload_seconds: After so many the page loads itself again, where the reader was; never if None.

    Returns:
        The text of an HTML file, UTF-8.
    """
    return template("page.html.jinja", inline=inline, anchor=anchor).render(
        title=page.title,
        page=page,
        headings=[block.text for block in page.rest if isinstance(block, Heading) and block.level == 2],
        drawings={
            name: {
                "wide": base64_text(drawing.wide_svg),
                "narrow": base64_text(drawing.narrow_svg),
                "width": round(96 * drawing.wide.get_figwidth()),
                "height": round(96 * drawing.wide.get_figheight()),
                "narrow_width": round(96 * drawing.narrow.get_figwidth()),
                "narrow_height": round(96 * drawing.narrow.get_figheight()),
            }
            for name, drawing in drawings.items()
        },
        kind_of=kind_of,
        entry_of=entry_of,
        reload_seconds=reload_seconds,
    )


def kind_of(block: Block) -> str:
    """Its name in the template."""
    return type(block).__name__


def entry_of(cell: str | Entry) -> dict[str, str]:
    return asdict(cell if isinstance(cell, Entry) else Entry(cell))


def anchor(heading: str) -> str:
    """What an address names a section by."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def inline(text: str) -> Markup:
    """A text with its `code` and **bold**, escaped."""
    shown = str(escape(text))
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", shown)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", shown))
