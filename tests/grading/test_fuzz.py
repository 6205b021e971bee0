r"""The whole grader on generated LaTeX: it never fails, and equality is what equality is.

The grammar below writes answers as models do: formulas, relations, tuples, sets, intervals, matrices, cases, sums and
integrals, choices, units and words, in several spellings and scripts, some of them broken. Half of the second answers of a
pair are made from the first, since two answers drawn apart are hardly ever equal. ``VERL_EXT_FUZZ_EXAMPLES`` asks for more
examples than a test run has time for.
"""

import os
import re

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from verl_ext.grading import Reason, check_reference, grade

NUM_EXAMPLES = int(os.environ.get("VERL_EXT_FUZZ_EXAMPLES", "150"))
VERDICTS = set(Reason) - {Reason.GRADER_ERROR}

NUMBERS = st.one_of(
    st.integers(0, 12).map(str),
    st.sampled_from(
        [
            *("0.5", "3.142", "0.333", "1.2e3", "-4", "007", "25", "1,000", "1{,}000", r"10\,000", "1000"),
            *(r"10^{20}", "2^{100}", "12!", r"\pi", "e", "i", r"\infty", r"50\%", r"0.\overline{3}", "3.0"),
            *("1 1/2", r"2\frac{1}{3}", "12_5", r"101_{2}", "1/0", "0^0", "2i", r"\frac12", r"2\times10^{3}"),
        ]
    ),
)
NAMES = st.sampled_from(
    ["x", "x", "y", "n", "a_1", "f(x)", "f(2)", r"\theta", "AB", "z", "A", "P(3)", "m", "t", "x'", r"\alpha", "C", "d"]
)
UNITS = st.sampled_from(
    [
        *(
            "",
            "",
            r"\text{ cm}",
            r"\text{ cm}^2",
            " meters",
            r"^\circ",
            r"\%",
            r"\text{ dollars}",
            " am",
            r"\text{ pm}",
        ),
        *(r"\text{ or so}", r"\,\mathrm{m/s}", r"\text{ million}", " apples", r"^\circ 30'", r"\text{ square feet}"),
        *(r"\ \text{minutes}", " km/h", r"\text{ cents}", "°", "万", r"\text{ more}", "th", r"\text{ times}"),
    ]
)
FUNCTIONS = st.sampled_from(
    [
        r"\sin",
        r"\ln",
        r"\lg",
        r"\log",
        r"\log_2",
        r"\log_{10}",
        r"\tan^2",
        r"\arctan",
        r"\exp",
        r"\cos^{-1}",
        "sqrt",
        r"\cot",
    ]
)
RELATIONS = st.sampled_from(
    [
        "=",
        "=",
        "=",
        "<",
        ">",
        r"\le",
        r"\geq",
        r"\ne",
        r"\approx",
        r"\in",
        r"\equiv",
        ":",
        r"\to",
        r"\cup",
        r"\setminus",
    ]
)
OPERATORS = st.sampled_from(
    ["+", "-", " ", r"\cdot ", r"\times ", "/", "^", r"\pm ", r"\mp ", r"\bmod ", "*", r"\div "]
)
ATOMS = st.one_of(NUMBERS, NUMBERS, NAMES)

LONG_OPERATIONS = st.one_of(
    st.builds(
        r"\sum_{{k=1}}^{{{}}} {}".format,
        st.sampled_from(["3", "n", r"\infty"]),
        st.sampled_from(["k", "k^2", "2^{-k}"]),
    ),
    st.builds(r"\prod_{{k=1}}^{{{}}} {}".format, st.sampled_from(["3", "n"]), st.sampled_from(["k", "2", "(k+1)"])),
    st.builds(r"\int_0^{{{}}} {}\,dx".format, st.sampled_from(["1", r"\pi"]), ATOMS),
    st.builds(r"\int {}\,dx".format, ATOMS),
    st.builds(r"\lim_{{x\to {}}} {}".format, st.sampled_from(["0", r"\infty"]), ATOMS),
)
"""Sums, products, integrals and limits of little, since those of much take a long time and then have no verdict."""


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, OPERATORS, inner).map("".join),
        st.tuples(inner, OPERATORS, inner).map("".join),
        st.builds(r"\frac{{{}}}{{{}}}".format, inner, inner),
        st.builds(r"\sqrt{{{}}}".format, inner),
        st.builds(r"\sqrt[{}]{{{}}}".format, st.integers(2, 4), inner),
        st.builds(r"\left({}\right)".format, inner),
        st.builds("|{}|".format, inner),
        st.builds("-{}".format, inner),
        st.builds("({})^{{{}}}".format, inner, inner),
        st.builds("{}!".format, inner),
        st.builds(r"\lfloor {} \rfloor".format, inner),
        st.builds(r"\binom{{{}}}{{{}}}".format, inner, inner),
        st.builds("{}({})".format, FUNCTIONS, inner),
        st.builds("{} {}".format, FUNCTIONS, inner),
        st.builds(r"\sin {}^\circ".format, inner),
        st.builds(r"\sum_{{k=1}}^{{{}}} {}".format, st.integers(1, 3), inner),
        st.builds(r"\prod_{{k=1}}^{{{}}} {}".format, st.integers(1, 3), inner),
        LONG_OPERATIONS,
        st.builds(r"\vec{{{}}}".format, st.sampled_from(["a", "b", "AB"])),
        st.builds(r"{}\hat{{i}}+{}\hat{{j}}".format, NUMBERS, NUMBERS),
    )


FORMULAS = st.recursive(ATOMS, _compound, max_leaves=5)
WORDS = st.sampled_from(
    [
        *(
            r"\text{even}",
            "no solution",
            r"\text{(C)}",
            "Evelyn",
            r"\text{at most }",
            r"\mathbb{R}",
            r"\emptyset",
            "(E)",
        ),
        *(
            r"\text{for all } x>0",
            r"\text{B}",
            "C.",
            r"\textbf{(D)}\ ",
            "all real numbers",
            r"\text{ more}",
            "DNE",
            "无解",
        ),
        *(
            "about",
            "approximately 3.14",
            r"\text{ thousand}",
            r"\text{and}",
            "or",
            "The answer is",
            r"\text{if }x<1",
            "five",
        ),
    ]
)
PARTS = st.one_of(FORMULAS, FORMULAS, st.builds("{}{}".format, NUMBERS, UNITS))
LISTS = st.lists(PARTS, min_size=1, max_size=3)
BRACKETS = st.sampled_from(["()", "()", "[]", "(]", "[)", "][", r"\langle \rangle", "{}"])


def _bracketed(pair: str, items: list[str]) -> str:
    opening, closing = pair.split() if " " in pair else pair
    return f"{opening}{', '.join(items)}{closing}"


def _cells(environment: str, items: list[str]) -> str:
    cells = [*items, *items][:4]
    return rf"\begin{{{environment}}} {cells[0]} & {cells[1]} \\ {cells[-2]} & {cells[-1]} \end{{{environment}}}"


SETS = st.one_of(
    st.builds(_bracketed, BRACKETS, LISTS),
    st.builds(_bracketed, st.sampled_from(["()", "[]", "(]", "[)"]), st.lists(NUMBERS, min_size=2, max_size=2)),
    LISTS.map(lambda items: r"\{" + ",".join(items) + r"\}"),
    st.builds(r"(-\infty,{}) \cup [{},\infty)".format, PARTS, PARTS),
    st.builds(r"(1,2)\cup [{},{})".format, PARTS, PARTS),
    st.builds(r"\mathbb{{R}}\setminus\{{{}\}}".format, PARTS),
    st.builds("{}({})".format, PARTS, LISTS.map(",".join)),
)
ANSWERS = st.one_of(
    PARTS,
    FORMULAS,
    WORDS,
    SETS,
    SETS,
    st.builds("{} {} {}".format, PARTS, RELATIONS, PARTS),
    st.builds("{} {} {}".format, NAMES, RELATIONS, PARTS),
    st.builds("{} {} {} {} {}".format, PARTS, RELATIONS, PARTS, RELATIONS, PARTS),
    st.builds("x={}, y={}".format, PARTS, PARTS),
    LISTS.map(", ".join),
    LISTS.map(r" \text{ and } ".join),
    LISTS.map(" or ".join),
    st.builds(r"\begin{{pmatrix}} {} \\ {} \end{{pmatrix}}".format, PARTS, PARTS),
    st.builds(_cells, st.sampled_from(["pmatrix", "bmatrix", "cases", "array"]), LISTS),
    st.builds(r"\begin{{cases}} {} & x>{} \\ {} & {} \end{{cases}}".format, PARTS, PARTS, PARTS, PARTS),
    st.builds("{}:{}".format, st.integers(0, 23), st.integers(0, 59)),
    st.builds(
        "{}:{:02}{}".format, st.integers(0, 23), st.integers(0, 59), st.sampled_from([" am", r"\text{ p.m.}", ""])
    ),
    st.builds(r"{} \equiv {} \pmod{{{}}}".format, NAMES, NUMBERS, NUMBERS),
    st.builds("{} {}".format, PARTS, WORDS),
    st.builds("{} {}".format, WORDS, PARTS),
    st.builds("{} {}".format, WORDS, SETS),
    st.builds("{} {}".format, SETS, WORDS),
    st.builds(r"{}\approx {}".format, PARTS, NUMBERS),
)
REMADE = st.sampled_from(
    [
        *("x = {}", "{} = x", "-({})", "({})", "{} + 0", r"1\cdot({})", r"\{{}\}", "[{}]", "{}, {}", r"{}\text{ cm}", r"{}^\circ"),
        *(r"{}\%", r"\${}", r"{} \text{ for all } x", r"\text{(C)} {}", "The answer is {}", r"{} \approx 1", "({},1)", "|{}|"),
        *(r"\sum_{k=1}^{1} {}", r"\frac{{}}{1}", r"\sqrt{({})^2}", "{}.", r"\text{{}}", r"x \in {}", "{} more"),
        *("f(x)={}", r"y\in\{{}\}", r"\pm {}", "x < {}", r"\begin{pmatrix} {} \end{pmatrix}", r"\text{at most } {}"),
        *(r"\lim_{x\to 0} {}", r"{} \text{ and } {}", r"{} \cup {}", "{}={}", "2({})/2", "({})^1"),
    ]
)  # fmt: skip
PIECES = st.sampled_from(
    ["", "", "{", ")", "|", "\\", "^", "_", ",", "=", r"\\", "-", "0", "x", r"\text", "}", "(", " ", "½", "−"]
)


@st.composite
def broken(draw: st.DrawFn, text: str) -> str:
    """An answer with a piece taken out or put in."""
    at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
    return (text[:at] + draw(PIECES) + text[at + length :]).rstrip("\\")  # which would escape the brace of the box


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two answers that have nothing to do with each other, or of which one is made from the other."""
    left = draw(ANSWERS)
    how = draw(st.sampled_from(["apart", "broken", "remade", "remade"]))
    if how == "apart":
        return left, draw(ANSWERS)
    return left, draw(broken(left)) if how == "broken" else draw(REMADE).replace("{}", left)


BROKEN = ANSWERS.flatmap(broken)


def reason(reference: str, answer: str) -> Reason | None:
    """The reason of the verdict; None for a reference that is refused."""
    try:
        check_reference(reference, "math")
    except ValueError:
        return None
    return grade(rf"\boxed{{{answer}}}", reference, "math").reason


RESPELLED = {
    r"\frac{": r"\dfrac {",
    r"\left(": "(",
    r"\right)": ")",
    r"\cdot": r"\times",
    r"\geq": r"\ge",
    r"\pi": "π ",
    r"\begin{pmatrix}": r"\begin{bmatrix}",
    r"\end{pmatrix}": r"\end{bmatrix}",
    "-": "−",
    r"\infty": "∞ ",
}
COMMANDS = "|".join(re.escape(text) + ("(?![a-zA-Z])" if text[-1].isalpha() else "") for text in RESPELLED)
RESPELL = re.compile(rf"(?<!\\)(?:{COMMANDS})")


def respelled(text: str) -> str:
    """The same in another spelling."""
    return RESPELL.sub(lambda match: RESPELLED[match[0]], text)


def is_decided(*reasons: Reason | None) -> bool:
    """Whether no reference was refused and no comparison ran out of its budget, which says nothing of the other way."""
    return not {None, Reason.TIMED_OUT}.intersection(reasons)


FUZZ = settings(
    max_examples=NUM_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=NUM_EXAMPLES == 150
)


@FUZZ
@given(pairs())
def test_two_answers_get_a_verdict_the_same_in_both_directions(pair):
    left, right = pair
    there, back = reason(left, right), reason(right, left)
    assert {there, back} - {None} <= VERDICTS
    assume(is_decided(there, back))
    assert (there is Reason.CORRECT) == (back is Reason.CORRECT)


@FUZZ
@given(pairs())
def test_a_verdict_does_not_depend_on_the_spelling(pair):
    left, right = pair
    plain, spelled = reason(left, right), reason(left, respelled(right))
    assume(is_decided(plain, spelled))
    assert (plain is Reason.CORRECT) == (spelled is Reason.CORRECT)


@FUZZ
@given(ANSWERS)
def test_an_answer_is_itself_in_any_spelling(answer):
    assert reason(answer, answer) in {Reason.CORRECT, None}
    assert reason(answer, respelled(answer)) in {Reason.CORRECT, None}


@FUZZ
@given(FORMULAS)
def test_a_formula_and_a_number_more_are_two_answers(formula):
    assume(r"\infty" not in formula)
    assert reason(formula, f"({formula})+7919") is not Reason.CORRECT
    assert reason(f"({formula})+7919", formula) is not Reason.CORRECT


@FUZZ
@given(BROKEN)
def test_a_broken_answer_is_no_error(answer):
    assert reason("x+1", answer) in VERDICTS
    assert reason(answer, "x+1") in VERDICTS | {None}
