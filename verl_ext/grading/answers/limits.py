"""What an answer may be before anyone parses it: linear scans that turn a hostile text into a verdict."""

import re

from verl_ext.grading.answers.brackets import brackets, deepest

MAX_RESPONSE_CHARS = 200_000
"""Of a response only the end is searched for an answer."""
MAX_ANSWER_CHARS = 1500
MAX_NESTING = 40
MAX_DIGIT_RUN = 256

CODE = re.compile(
    r"__|(?<!\\)\b(?:import|lambda|eval|exec|getattr|setattr|globals|subprocess|pathlib)\b|\b(?:open\s*\(|os\s*\.)",
    re.ASCII,
)
"""Python that no mathematical answer needs. Nothing here runs an answer; this only says sooner why it is refused."""
LONG_DIGIT_RUN = re.compile(rf"\d{{{MAX_DIGIT_RUN + 1}}}")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
"""Also halves of surrogate pairs, which no file and no database takes."""


def breach(answer: str) -> str | None:
    """Why ``answer`` is refused unparsed, or None. Brackets need not match: ``[1,2)`` is an interval."""
    if len(answer) > MAX_ANSWER_CHARS:
        return f"longer than {MAX_ANSWER_CHARS} characters"
    if LONG_DIGIT_RUN.search(answer):
        return f"more than {MAX_DIGIT_RUN} digits in a row"
    if deepest(brackets(answer)) > MAX_NESTING:
        return f"nested deeper than {MAX_NESTING}"
    if CONTROL.search(answer):
        return "control characters"
    return "program code" if CODE.search(answer) else None
