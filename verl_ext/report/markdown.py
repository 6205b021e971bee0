"""Pieces of a page in Markdown."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, num_left: int = 1) -> str:
    """A table, aligned to the right but for its first columns."""
    marks = [":---" if number < num_left else "---:" for number in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, marks, *rows))


def picture(file: str, alt: str) -> str:
    return f"![{alt}]({file})"


def code(lines: Sequence[str]) -> str:
    return "\n".join(["```bash", *lines, "```"])
