"""A page in Markdown, which stands beside its pictures."""

from collections.abc import Collection, Sequence

from verl_ext.report.page_blocks import (
    Block,
    Bullets,
    Commands,
    DataTable,
    Entry,
    Fold,
    Heading,
    PageContent,
    PageLink,
    Paragraph,
    PictureShown,
    Said,
)

NARROW_MARK = "_narrow"
"""What the name of a picture for a phone has more than that of the other."""
_PHONE = "(max-width: 640px)"


def render_markdown(page: PageContent, narrow: Collection[str] = ()) -> str:
    """The page.

    Args:
        page: Its blocks; of each picture there is a file of its name, and ``.png``, beside the page.
        narrow: The pictures that have one for a phone too.
    """
    parts = [f"# {page.title}", *(_shown(block, narrow) for block in page.blocks)]
    return "\n\n".join(parts) + "\n"


def _shown(block: Block, narrow: Collection[str]) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Bullets(items):
            return bullets(items)
        case PictureShown(name, alt):
            return picture(f"{name}.png", alt, f"{name}{NARROW_MARK}.png" if name in narrow else "")
        case PageLink(text, file):
            return f"[{text}]({file})"
        case DataTable():
            rows = [[_cell(cell) for cell in row] for row in block.rows]
            return table(block.header, rows, num_left=block.num_left)
        case Commands(lines):
            return code(lines)
        case Fold(summary, blocks):
            return _fold(summary, [_shown(each, narrow) for each in blocks])
        case Said(label, text, evidence, evidence_summary):
            behind = [_fold(evidence_summary, [bullets(evidence)])] if evidence else []
            return "\n\n".join([f"**{label}:** {text}", *behind])


def _fold(summary: str, parts: Sequence[str]) -> str:
    return "\n\n".join([f"<details><summary>{summary}</summary>", *parts, "</details>"])


def _cell(cell: str | Entry) -> str:
    text = f"{cell.text} {cell.below}".strip() if isinstance(cell, Entry) else cell
    return text.replace("|", "\\|")


def bullets(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, num_left: int = 1) -> str:
    """A table, aligned to the right but for its first columns."""
    marks = [":---" if number < num_left else "---:" for number in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, marks, *rows))


def picture(file: str, alt: str, narrow: str = "") -> str:
    """A picture with what it shows in words; on a phone the narrow file, if there is one."""
    if not narrow:
        return f"![{alt}]({file})"
    quoted = alt.replace("&", "&amp;").replace('"', "&quot;")
    return f'<picture><source media="{_PHONE}" srcset="{narrow}"><img src="{file}" alt="{quoted}"></picture>'


def code(lines: Sequence[str]) -> str:
    return "\n".join(["```bash", *lines, "```"])
