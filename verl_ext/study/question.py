"""The comment at the top of a study's file, which says what it asks and how it is made, as Markdown."""

from pathlib import Path


def question_of(path: Path) -> str:
    """The comment; indented lines are commands. Empty where the file begins with something else."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" ").rstrip())
    shown = []
    is_code = False
    for line in lines:
        if line and is_code != line.startswith("  "):
            is_code = not is_code
            shown.append("```bash" if is_code else "```")
        shown.append(line.removeprefix("  ") if is_code else line)
    return "\n".join([*shown, *(["```"] if is_code else [])]).strip()
