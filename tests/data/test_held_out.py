"""What is held out for validation has nothing in common with what stays, and is the same again."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.data.held_out import held_out
from verl_ext.data.rows import make_row

WORDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(" ".join)


def row(index, question, **info):
    made = make_row(data_source="math", prompt=question, ground_truth="1", split="train", index=index)
    return made | {"extra_info": made["extra_info"] | info}


def questions(rows):
    return Counter(" ".join(sorted(one["prompt"][-1]["content"].split())) for one in rows)


@given(st.lists(WORDS, min_size=2, max_size=40), st.integers(1, 19), st.integers(0, 3))
def test_a_question_and_its_copies_are_on_one_side(texts, twentieths, seed):
    rows = [row(index, text) for index, text in enumerate(texts)]
    share, num_different = Fraction(twentieths, 20), len(questions(rows))
    wanted = int(share * num_different + Fraction(1, 2))
    if wanted in (0, num_different):
        with pytest.raises(ValueError, match="leaves none for"):
            held_out(rows, share, seed)
        return
    kept, out = held_out(rows, share, seed)
    assert not questions(kept) & questions(out)
    assert len(questions(out)) == wanted
    assert sorted(one["extra_info"]["index"] for one in kept + out) == list(range(len(rows)))
    assert {one["extra_info"]["split"] for one in out} == {"validation"}
    assert {one["extra_info"]["split"] for one in kept} == {"train"}
    assert held_out(rows, share, seed) == (kept, out)


def test_every_level_and_subject_has_its_share():
    rows = [row(index, f"q{index}", level=f"Level {index % 5}", subject="ab"[index % 2]) for index in range(400)]
    _kept, out = held_out(rows, Fraction(1, 10), 0)
    assert Counter((one["extra_info"]["level"], one["extra_info"]["subject"]) for one in out) == {
        (f"Level {level}", subject): 4 for level in range(5) for subject in "ab"
    }
    assert out != held_out(rows, Fraction(1, 10), 1)[1]
