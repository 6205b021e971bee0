"""What a page is made of: blocks that are shown as HTML (``html_page``) and as Markdown (``markdown``).

Texts are plain, but for `code` and **bold**. A number is never taken out of a text again: who sorts or copies a table gets the
entry's own value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Heading:
    """2 opens a section of the page, 3 a part of one."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A text; a quiet one says how to read what stands above."""

    text: str
    is_quiet: bool = False


@dataclass(frozen=True)
class Bullets:
    """Sentences, one below the other."""

    items: Sequence[str]


@dataclass(frozen=True)
class PictureShown:
    """A picture of the page, by its name."""

    name: str
    alt: str


@dataclass(frozen=True)
class PageLink:
    """A page beside this one."""

    text: str
    file: str


@dataclass(frozen=True)
class Entry:
    """A field of a table."""

    text: str
    below: str = ""
    """In small letters, such as an interval."""
    color: str = ""
    """Of the method's curves, shown before the text."""


Row = Sequence[str | Entry]
"""Of a table."""


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """A table that a reader can sort and take along."""

    name: str
    """Of the file that it is saved as."""
    caption: str
    """What is in it, for those who do not see it."""
    header: Sequence[str]
    rows: Sequence[Row]
    num_left: int = 1
    """So many of the first columns are texts."""


@dataclass(frozen=True)
class Commands:
    """Lines of a shell."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Fold:
    """Blocks behind one line."""

    summary: str
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Said:
    """A line of the answer, with what stands behind it."""

    label: str
    text: str
    evidence: Sequence[str] = ()
    evidence_summary: str = "the evidence"


Block = Heading | Paragraph | Bullets | PictureShown | PageLink | DataTable | Commands | Fold | Said


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """A page: what was asked, what is answered in at most three lines, the picture to it, and the rest."""

    title: str
    subtitle: str
    question: str
    answer: Sequence[Said]
    picture: PictureShown | None
    rest: Sequence[Block]

    @property
    def blocks(self) -> list[Block]:
        """All below the title."""
        asked = [Paragraph(self.question)] if self.question else []
        shown = [self.picture] if self.picture else []
        return [*asked, *self.answer, *shown, *self.rest]


def renamed(block: Block, prefix: str) -> Block:
    """The same with names of pictures and tables that no other page has."""
    match block:
        case PictureShown() | DataTable():
            return replace(block, name=f"{prefix}{block.name}")
        case Fold(summary, blocks):
            return Fold(summary, [renamed(each, prefix) for each in blocks])
        case _:
            return block
