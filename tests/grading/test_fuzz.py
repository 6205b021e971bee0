r"""The whole grader on generated LaTeX: it never fails, and equality is what equality is.

The grammar below writes answers as models do: formulas, relations, tuples, sets, intervals, matrices, units and words, spelled
in several ways, some of them broken. ``VERL_EXT_FUZZ_EXAMPLES`` asks for more examples than a test run has time for.
"""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verl_ext.grading import Reason, check_reference, grade

NUM_EXAMPLES = int(os.environ.get("VERL_EXT_FUZZ_EXAMPLES", "150"))
VERDICTS = set(Reason) - {Reason.GRADER_ERROR}

NUMBERS = st.one_of(
    st.integers(0, 12).map(str),
    st.sampled_from(
        ["0.5", "1{,}000", "3.142", "10^{20}", "2^{100}", "12!", r"\pi", "e", "i", r"\infty", "50\\%", "1.2e3"]
    ),
)
NAMES = st.sampled_from(["x", "y", "n", "a_1", "f(x)", "f(2)", r"\theta", "AB", "z", "A", "P(3)"])
UNITS = st.sampled_from(
    [
        "",
        "",
        "",
        r"\text{ cm}",
        r"\text{ cm}^2",
        " meters",
        r"^\circ",
        r"\%",
        r"\text{ dollars}",
        " am",
        r"\text{ or so}",
    ]
)
FUNCTIONS = st.sampled_from([r"\sin", r"\ln", r"\lg", r"\log_2", r"\tan^2", r"\arctan", r"\exp", r"\cos^{-1}"])
RELATIONS = st.sampled_from(["=", "=", "<", ">", r"\le", r"\geq", r"\ne", r"\approx", r"\in", r"\equiv"])
ATOMS = st.one_of(NUMBERS, NUMBERS, NAMES)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", " ", r"\cdot ", r"\times ", "/", "^", r"\pm ", r"\bmod "]), inner
        ).map("".join),
        st.builds(r"\frac{{{}}}{{{}}}".format, inner, inner),
        st.builds(r"\sqrt{{{}}}".format, inner),
        st.builds(r"\sqrt[{}]{{{}}}".format, st.integers(2, 4), inner),
        st.builds(r"\left({}\right)".format, inner),
        st.builds("|{}|".format, inner),
        st.builds("-{}".format, inner),
        st.builds("({})^{{{}}}".format, inner, inner),
        st.builds(r"\lfloor {} \rfloor".format, inner),
        st.builds(r"\binom{{{}}}{{{}}}".format, inner, inner),
        st.builds("{}({})".format, FUNCTIONS, inner),
        st.builds("{} {}".format, FUNCTIONS, inner),
        st.builds(r"\sum_{{k=1}}^{{{}}} {}".format, st.integers(1, 4), inner),
    )


FORMULAS = st.recursive(ATOMS, _compound, max_leaves=5)
WORDS = st.sampled_from(
    [r"\text{even}", "no solution", r"\text{(C)}", "Evelyn", r"\text{at most }", r"\mathbb{R}", r"\emptyset"]
)
PARTS = st.one_of(FORMULAS, FORMULAS, st.builds("{}{}".format, NUMBERS, UNITS))
LISTS = st.lists(PARTS, min_size=1, max_size=3)
ANSWERS = st.one_of(
    PARTS,
    WORDS,
    st.builds("{} {} {}".format, PARTS, RELATIONS, PARTS),
    st.builds("{} {} {} {} {}".format, PARTS, RELATIONS, PARTS, RELATIONS, PARTS),
    st.builds("{}{}{}".format, st.sampled_from("(["), LISTS.map(",".join), st.sampled_from(")]")),
    LISTS.map(", ".join),
    LISTS.map(lambda items: r"\{" + ",".join(items) + r"\}"),
    st.builds(r"{}\cup {}".format, st.just("(1,2)"), st.builds("[{},{})".format, PARTS, PARTS)),
    st.builds(r"\begin{{pmatrix}} {} \\ {} \end{{pmatrix}}".format, PARTS, PARTS),
    st.builds(r"\begin{{cases}} {} & {} \\ {} & {} \end{{cases}}".format, PARTS, PARTS, PARTS, PARTS),
    st.builds("{}:{}".format, st.integers(0, 23), st.integers(0, 59)),
    st.builds("{} {}".format, PARTS, WORDS),
    st.builds("{} {}".format, WORDS, PARTS),
)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """An answer with a piece taken out or put in."""
    text = draw(ANSWERS)
    at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
    return (
        text[:at]
        + draw(st.sampled_from(["", "", "{", ")", "|", "\\", "^", "_", ",", "=", "\\\\"]))
        + text[at + length :]
    )


def reason(reference: str, answer: str) -> Reason | None:
    """The reason of the verdict; None for a reference that is refused."""
    try:
        check_reference(reference, "math")
    except ValueError:
        return None
    return grade(rf"\boxed{{{answer}}}", reference, "math").reason


def respelled(text: str) -> str:
    """The same in another spelling."""
    return (
        text.replace(r"\frac", r"\dfrac").replace(r"\left(", "(").replace(r"\right)", ")").replace(r"\cdot", r"\times")
    )


FUZZ = settings(
    max_examples=NUM_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=NUM_EXAMPLES == 150
)


@FUZZ
@given(ANSWERS, st.one_of(ANSWERS, broken()))
def test_two_answers_get_a_verdict_the_same_in_both_directions(left, right):
    there, back = reason(left, right), reason(right, left)
    assert {there, back} - {None} <= VERDICTS
    if there is not None and back is not None:
        assert (there is Reason.CORRECT) == (back is Reason.CORRECT)


@FUZZ
@given(ANSWERS)
def test_an_answer_is_itself_in_any_spelling(answer):
    assert reason(answer, answer) in {Reason.CORRECT, None}
    assert reason(answer, respelled(answer)) in {Reason.CORRECT, None}


@FUZZ
@given(broken())
def test_a_broken_answer_is_no_error(answer):
    assert reason("x+1", answer) in VERDICTS
    assert reason(answer, "x+1") in VERDICTS | {None}
