import pytest

from tests.analysis.runs import run
from verl_ext.analysis.breakdown import REFERENCE, breakdown, is_integer, with_kind_of_reference
from verl_ext.analysis.same_problems import MissingData


def test_by_hand():
    runs = [
        run("base", "abc", [0, 4, 2], groups={"level": ["Level 10", "Level 2", "Level 2"]}),
        run("nsr", "abc", [1, 4, 4], groups={"level": ["Level 10", "Level 2", "Level 2"]}),
    ]
    found = breakdown(runs, "level", [1, 4])
    assert (found.field, found.values, found.num_problems) == ("level", ("Level 2", "Level 10"), (2, 1))
    assert {name: [curve.pass_at_k for curve in curves] for name, curves in found.curves.items()} == {
        "base": [pytest.approx((0.75, 1.0)), pytest.approx((0.0, 0.0))],
        "nsr": [pytest.approx((1.0, 1.0)), pytest.approx((0.25, 1.0))],
    }


def test_a_missing_field_is_named():
    with pytest.raises(MissingData, match=r"None of the files has the field subject .*: base\.jsonl, nsr\.jsonl"):
        breakdown([run("base", "a", [1]), run("nsr", "a", [1])], "subject", [1])


@pytest.mark.parametrize(
    "text", ["7", "-3", "+5", "7.0", r"10,\!080", "58,500", r"\$36", r"90^\circ", r"\frac{6}{2}", 7, 7.0]
)
def test_integers(text):
    assert is_integer(text) is True


@pytest.mark.parametrize(
    "text", [r"\frac12", "1.25", r"10\%", "x=5", "2k", "25_8", "1,-2", "(3,4]", r"\sqrt{4}", "", 0.5]
)
def test_others(text):
    assert is_integer(text) is False


@pytest.mark.parametrize("reference", [None, True, {"numbers": [1], "target": 7}, ["7"]])
def test_what_is_neither_a_text_nor_a_number(reference):
    assert is_integer(reference) is None


def test_kinds_of_references():
    """The one without any reference is left out; a run may know what another does not say."""
    runs = with_kind_of_reference(
        [
            run("base", "abc", [0, 1, 2], references=["7", None, r"\pi"]),
            run("nsr", "abc", [1, 2, 3], references=[None, None, None]),
        ]
    )
    assert [each.question_ids for each in runs] == [["a", "c"]] * 2
    assert [each.groups for each in runs] == [{REFERENCE: ["integer", "not an integer"]}] * 2
    assert runs[1].num_correct_P.tolist() == [1, 3]
    with pytest.raises(MissingData, match="gold_answer that is a text or a number"):
        with_kind_of_reference([run("base", "a", [1], references=[{"target": 3}])])
