import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.nodes import (
    OTHERWISE,
    BaseNumber,
    Cases,
    Clock,
    Collection,
    Group,
    Matrix,
    Ratio,
    Relation,
    Scalar,
    Text,
    to_latex,
)
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.answers.structure import read_structure, split_multiple


def scalars(*texts):
    return tuple(map(Scalar, texts))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("x+1", Scalar("x+1")),
        ("(x+1)", Scalar("(x+1)")),
        ("[5]", Scalar("[5]")),
        ("((1,2))", Group("(", ")", scalars("1", "2"))),
        ("(1,2]", Group("(", "]", scalars("1", "2"))),
        ("(1,(2,3))", Group("(", ")", (Scalar("1"), Group("(", ")", scalars("2", "3"))))),
        ("(1,2", Scalar("(1,2")),
        ("1,2,3", Collection(scalars("1", "2", "3"))),
        ("1,234", Scalar("1,234")),
        ("1,23", Collection(scalars("1", "23"))),
        (r"6\text{or}8", Collection(scalars("6", "8"))),
        (r"\{1,2\}", Collection(scalars("1", "2"))),
        (r"\{1,\{2,3\}\}", Collection((Scalar("1"), Collection(scalars("2", "3"))))),
        (r"\emptyset", Collection(())),
        (r"1\pm x", Collection(scalars("1+ x", "1- x"))),
        (r"\sqrt{1\pm x}", Collection(scalars(r"\sqrt{1+ x}", r"\sqrt{1- x}"))),
        (r"f(1\pm x, 2)", Scalar(r"f(1\pm x, 2)")),
        (r"(1,2)\cup[3,4)", Collection((Group("(", ")", scalars("1", "2")), Group("[", ")", scalars("3", "4"))))),
        (r"\begin{matrix}1&2\\3&4\end{matrix}", Matrix((scalars("1", "2"), scalars("3", "4")))),
        (r"2\begin{matrix}1\\2\end{matrix}", Scalar(r"2\begin{matrix}1\\2\end{matrix}")),
        ("204_5", BaseNumber("204", 5)),
        (r"a5_{\text{sixteen}}", BaseNumber("A5", 16)),
        ("x_1", Scalar("x_1")),
        (r"1\pm x,2", Collection(scalars("1+ x", "1- x", "2"))),
        (r"1\pm 2\mp 3", Collection(scalars("1+ 2- 3", "1- 2+ 3"))),
        (r"\pm 1\pm x", Collection(scalars("1+ x", "1- x", "- 1+ x", "- 1- x"))),
        ("]1,3]", Group("(", "]", scalars("1", "3"))),
        ("-(1,x)", Group("(", ")", scalars("-1", "(-1)*(x)"))),
        (
            r"\begin{cases}x=1\\y=2\end{cases}",
            Collection((Relation(("=",), ("x", "1"), "x=1"), Relation(("=",), ("y", "2"), "y=2"))),
        ),
        ("5:30", Clock(5, 30, 0, "", "5:30")),
        (r"5:30\text{p.m.}", Clock(5, 30, 0, "p", r"5:30\text{p.m.}")),
        ("9 AM", Clock(9, 0, 0, "a", "9 AM")),
        ("5:75", Ratio(scalars("5", "75"))),
        ("13:00 pm", Ratio(scalars("13", "00 pm"))),
        ("10:20:30", Ratio(scalars("10", "20", "30"))),
        ("3:4:5", Ratio(scalars("3", "4", "5"))),
        ("x=5", Relation(("=",), ("x", "5"), "x=5")),
        (r"2<x\le 7", Relation(("<", r"\le"), ("2", "x", "7"), r"2<x\le 7")),
        ("f(x=1)", Scalar("f(x=1)")),
        (r"\text{Even number}", Text("even number")),
        ("x-axis", Text("x axis")),
        ("x-y", Scalar("x-y")),
        ("abc", Text("abc")),
        ("dxy", Scalar("dxy")),
        ("cos", Scalar("cos")),
        ("", Scalar("")),
    ],
)
def test_reads(text, node):
    assert read_structure(text) == node


numbers = st.integers(0, 999).map(lambda number: Scalar(str(number)))
leaves = st.one_of(
    numbers,
    st.sampled_from([Scalar("x+1"), Scalar(r"\frac{1}{2}"), Text("even"), BaseNumber("204", 5), Collection(())]),
)


def larger(items):
    several = st.lists(items, min_size=2, max_size=3).map(tuple)
    rows = st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[numbers] * width), min_size=1, max_size=3))
    return st.one_of(
        st.builds(Group, st.sampled_from("(["), st.sampled_from(")]"), several),
        st.builds(Collection, several),
        st.builds(Matrix, rows.map(tuple)),
    )


@given(st.recursive(leaves, larger, max_leaves=8))
def test_reads_what_it_prints(node):
    assert read_structure(to_latex(node)) == node


@given(st.text(alphabet="0123xyz+-=<>,;:_()[]{}\\&| orand", max_size=30))
def test_any_text_is_read_and_what_is_printed_can_be_read(text):
    assert isinstance(to_latex(read_structure(normalize(text))), str)


@pytest.mark.parametrize(
    ("text", "multiple"),
    [
        ("2(3,4)", ("2", ["3", "4"])),
        ("-(3,4)", ("-1", ["3", "4"])),
        (r"\frac{1}{2} * (a,b,c)", (r"\frac{1}{2}", ["a", "b", "c"])),
        ("(1/2)(3,4)", ("(1/2)", ["3", "4"])),
        ("2(3)", None),
        ("[3,4)", None),
        ("(1,2)(3,4)", None),
        ("(3,4)+1", None),
    ],
)
def test_multiples_of_tuples(text, multiple):
    assert split_multiple(text) == multiple


def test_pieces_of_a_function():
    text = normalize(r"\begin{cases} 2x, & \text{if } x>1, \\ 3 & \text{otherwise.} \end{cases}")
    pieces = ((Scalar("2x"), read_structure("x>1")), (Scalar("3"), OTHERWISE))
    assert read_structure(text) == Cases(pieces, text)
    assert to_latex(read_structure(text)) == text


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (r"3\hat{i}-\hat{j}", ("3", "-1")),
        (r"\mathbf{i}+2\mathbf{k}", ("1", "0", "2")),
        (r"2\hat{\imath}+x\hat{\jmath}-\hat{\imath}", ("(2)+(-1)", "x")),
    ],
)
def test_unit_vectors(text, entries):
    assert read_structure(normalize(text)) == Group("(", ")", tuple(map(Scalar, entries)))


@pytest.mark.parametrize("text", ["3i", r"3\mathbf{i}+2", r"\frac{\hat{i}+\hat{j}}{2}", "i+j"])
def test_no_unit_vectors(text):
    assert isinstance(read_structure(normalize(text)), Scalar)
