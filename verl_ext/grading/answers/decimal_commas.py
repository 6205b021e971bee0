"""Decimal commas: ``1,22`` is 1.22 in a text that writes all its decimals so.

Alone, ``1,225`` is a number of thousands and ``1,22`` may be a list; the other numbers of the text tell. It has decimal
commas throughout if two of them cannot be anything else, and none has a point or a comma of thousands.
"""

import re

from verl_ext.grading.answers.passages import MAX_TAIL_CHARS

COMMA = re.compile(r"(?<![\d.,([{_])\b\d{1,9}(?:,|\{,\})(?:\d{1,2}|\d{4,9})(?![\d,)\]}]|\.\d|\{,)")
POINT = re.compile(r"\d\.\d|\d(?:,|\{,\})\d{3}(?!\d)(?![,.]?\d)")
GROUPED_BY_POINTS = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+)(?![\d.])")
ANSWER_COMMA = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d)")
LIST = re.compile(r"[()\[\]]|,\s|\d,\d+,\d")
NUM_WITNESSES = 2


def with_decimal_points(answer: str, text: str) -> str:
    """The answer with points for its decimal commas, if the text around it has decimal commas throughout."""
    if "," not in answer or not ANSWER_COMMA.search(answer) or LIST.search(answer):
        return answer
    around = text[-2 * MAX_TAIL_CHARS :].replace(answer, " ")
    witnesses = {match[0] for match in COMMA.finditer(around)}
    if len(witnesses) < NUM_WITNESSES or POINT.search(GROUPED_BY_POINTS.sub(" ", around)):
        return answer
    ungrouped = GROUPED_BY_POINTS.sub(lambda match: match[1].replace(".", ""), answer)
    return ANSWER_COMMA.sub(".", ungrouped)
