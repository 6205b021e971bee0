import pytest

from tests.analysis.runs import run
from verl_ext.analysis.same_problems import on_same_problems


def test_rows_are_brought_into_the_order_of_the_first():
    first, second = on_same_problems(
        [
            run("base", "abc", [0, 1, 2]),
            run("nsr", "cab", [2, 0, 1], references=["3", "1", "2"], reasons={"correct": 3}),
        ]
    )
    assert first.question_ids == second.question_ids == ["a", "b", "c"]
    assert second.num_correct_P.tolist() == [0, 1, 2]
    assert second.references == ["1", "2", "3"]
    assert second.reasons == {"correct": 3}


def test_a_field_of_one_run_is_given_to_all():
    runs = on_same_problems([run("base", "ab", [0, 1]), run("nsr", "ba", [1, 0], groups={"level": ["2", "1"]})])
    assert [each.groups for each in runs] == [{"level": ["1", "2"]}] * 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (run("nsr", "ab", [0, 0]), r"nsr\.jsonl lacks 1 of the 3 problems of base\.jsonl, the first is question_id c"),
        (
            run("nsr", "abcd", [0] * 4),
            r"base\.jsonl lacks 1 of the 4 problems of nsr\.jsonl, the first is question_id d",
        ),
        (run("nsr", "xyz", [0] * 3), "share no question_id"),
        (run("nsr", "abc", [0] * 3, references=["1", "9", "3"]), "question_id b has gold_answer '9' in one and '2'"),
        (
            run("nsr", "abc", [0] * 3, groups={"level": ["1", "1", "5"]}),
            r"nsr\.jsonl and base\.jsonl are about other problems: question_id c has level 5 in one and 1 in the other",
        ),
    ],
)
def test_other_problems_are_refused(other, message):
    base = run("base", "abc", [0, 1, 2], references=["1", "2", "3"], groups={"level": ["1", "1", "1"]})
    with pytest.raises(ValueError, match=message):
        on_same_problems([base, other])
