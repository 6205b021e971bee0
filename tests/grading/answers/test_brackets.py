r"""Brackets against slow and obvious readings: one character after the other, or one pair taken out after the other."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from verl_ext.grading.answers.brackets import (
    ANY,
    CURLY,
    braces,
    brackets,
    closing,
    deepest,
    is_balanced,
    is_outer_pair,
    last_pair,
    outside,
    pairs,
)
from verl_ext.grading.mathematics import parse_reference

TEXTS = st.lists(st.sampled_from(["\\", "{", "}", "(", ")", "[", "]", r"\{", r"\\{", r"\begin", r"\end", "a", ","]))
TEXTS = TEXTS.map("".join)


def obvious_braces(text):
    """The braces of LaTeX: whatever follows a backslash is passed over."""
    found, place = [], 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] in "{}":
            found.append((place, 1 if text[place] == "{" else -1))
        place += 1
    return found


def obvious_depth(text, position, opening="([{", closing=")]}"):
    """How many brackets are open before ``position``."""
    before = text[:position]
    return sum(map(before.count, opening)) - sum(map(before.count, closing))


def obvious_pairs(steps):
    """Each bracket with its partner: a bracket that opens, directly before one that closes, is taken out with it."""
    found, left = [], list(steps)
    while True:
        for index in range(len(left) - 1):
            if left[index][1] == 1 and left[index + 1][1] == -1:
                found.append((left[index][0], left[index + 1][0]))
                del left[index : index + 2]
                break
        else:
            return sorted(found), left


@given(TEXTS, st.integers(0, 20))
def test_braces(text, start):
    assert list(braces(text)) == obvious_braces(text)
    shifted = [(position + start, step) for position, step in obvious_braces(text[start:])]
    assert list(braces(text, start)) == shifted


@given(TEXTS)
def test_brackets(text):
    assert list(brackets(text)) == [(i, 1 if c in "([{" else -1) for i, c in enumerate(text) if c in "([{)]}"]
    assert list(brackets(text, CURLY)) == [(i, 1 if c == "{" else -1) for i, c in enumerate(text) if c in "{}"]


@given(TEXTS, st.sampled_from([braces, brackets]))
def test_pairs_and_balance(text, read):
    found, left = obvious_pairs(read(text))
    assert sorted(pairs(read(text))) == found
    assert is_balanced(read(text)) == (not left)


@given(TEXTS, st.sampled_from([braces, brackets]))
def test_what_closes_the_first_bracket_is_its_partner(text, read):
    steps = list(read(text))
    if not steps or steps[0][1] < 0:
        return
    partners = dict(obvious_pairs(steps)[0])
    assert closing(steps) == partners.get(steps[0][0])


@given(TEXTS, st.sampled_from([ANY, CURLY]))
def test_outer_pair(text, kinds):
    steps = list(brackets(text, kinds))
    if not steps or steps[0] != (0, 1):
        return
    assert is_outer_pair(text, kinds) == ((0, len(text) - 1) in obvious_pairs(steps)[0])


@pytest.mark.parametrize(
    ("text", "is_outer"), [("()", True), ("(1,2]", True), ("{(})", True), ("(1)(2)", False), ("(1)!", False)]
)
def test_outer_pairs(text, is_outer):
    assert is_outer_pair(text) == is_outer


@given(TEXTS)
def test_deepest(text):
    assert deepest(brackets(text)) == max(obvious_depth(text, position) for position in range(len(text) + 1))


@given(TEXTS, st.sampled_from([",", r"a\}", r"\\|a", "[,{]"]))
def test_outside(text, token):
    plain = text.replace(r"\begin", "(     ").replace(r"\end", ")   ")  # as long, and as deep as one bracket
    expected = [match.span() for match in re.finditer(token, text) if obvious_depth(plain, match.start()) == 0]
    assert [match.span() for match in outside(text, re.compile(token))] == expected


@pytest.mark.parametrize(
    "text", [r"\begin{pmatrix}1\\{2}\end{pmatrix}", r"\{1,2\}", r"\left\{x\right.", r"a\\\{b", "{{}}", ""]
)
def test_braces_that_match(text):
    r"""``\\{`` is a new row and a brace that opens; ``\{`` is a character."""
    assert is_balanced(braces(text))


@pytest.mark.parametrize("text", [r"\frac{1}{2", "}{", r"\\{", r"{\}", r"\\\}}"])
def test_braces_that_do_not(text):
    assert not is_balanced(braces(text))


def test_a_new_row_does_not_make_a_reference_look_cut():
    matrix = r"\begin{pmatrix}1\\{2}\end{pmatrix}"
    assert parse_reference(matrix) == matrix
    with pytest.raises(ValueError, match="its braces do not match"):
        parse_reference(r"\begin{pmatrix}1\\{2\end{pmatrix}")


@pytest.mark.parametrize("piece", ["{", "}", r"\{", "{}", r"\begin", ","])
def test_linear_in_the_text(piece):
    text = piece * (100_000 // len(piece))
    steps = [lambda: list(pairs(braces(text))), lambda: deepest(brackets(text)), lambda: closing(brackets("{" + text))]
    steps.append(lambda: list(outside(text, re.compile(","))))
    for step in steps:
        within(100, step)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2(3,4)", 1),
        ("(1)(2)", 3),
        ("((1)(2))", 0),
        ("(1/2)[3,4)", 5),
        ("x", None),
        ("(1)+2", None),
        ("(1", None),
        ("1)", None),
    ],
)
def test_the_last_pair(text, start):
    assert last_pair(text) == start


@given(TEXTS)
def test_the_last_pair_is_an_outer_one(text):
    start = last_pair(text)
    if start is not None and is_balanced(brackets(text)):
        assert is_outer_pair(text[start:])
        assert is_balanced(brackets(text[:start]))
