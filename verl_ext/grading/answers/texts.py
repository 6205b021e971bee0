"""Are two answers in words the same, or a word and a formula that spells it?"""

import re

from verl_ext.grading.answers.leaf import Leaf
from verl_ext.grading.answers.nodes import Scalar, Text
from verl_ext.grading.answers.spelling import key
from verl_ext.grading.answers.statements import MISMATCHED

OPERATORS = frozenset("+-*/^=<>|")
ARTICLE = re.compile(r"^(?:there (?:is|are) |(?:a|an|the) )")
NOTHING = frozenset(
    {"no solution", "no solutions", "no real solution", "no real solutions", "none", "empty set", "the empty set"}
)
SAME_WORDS = (
    NOTHING,
    frozenset({"dne", "does not exist", "limit does not exist"}),
    frozenset({"infinitely many", "infinitely many solutions", "infinite solutions", "infinite number of solutions"}),
)
"""Words that say one thing, without an article."""


def same_words(reference: Text, answer: Text, _leaf: Leaf) -> bool:
    left, right = (ARTICLE.sub("", node.words) for node in (reference, answer))
    if any(left in words and right in words for words in SAME_WORDS):
        return True
    return _letters_and_digits(left) == _letters_and_digits(right)


def same_scalar_and_words(reference: Scalar, answer: Text, _leaf: Leaf) -> bool | None:
    words, spelled = _letters_and_digits(answer.words), _letters_and_digits(key(reference.text))
    if MISMATCHED.search(reference.text):
        return False
    if spelled == words and not OPERATORS.intersection(reference.text):
        return True
    # A word is no formula, unless the other side shows that it is a product of just these letters.
    return None if sorted(spelled) == sorted(words) and spelled.isalpha() else False


def _letters_and_digits(words: str) -> str:
    return "".join(char for char in words.lower() if char.isalnum())
