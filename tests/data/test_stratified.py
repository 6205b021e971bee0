"""A part of a split has the proportions of the whole, is the same again, and train and test do not meet in it."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.data.sources import Row
from verl_ext.data.stratified import strata_of, stratified_places, stratum_quotas

LEVELS, SUBJECTS = ("Level 1", "Level 5"), ("Algebra", "Geometry", "Number Theory")
STRATA = st.tuples(st.sampled_from(LEVELS), st.sampled_from(SUBJECTS))
FRACTIONS = st.fractions(min_value=Fraction(1, 100), max_value=1, max_denominator=100)


def places_by_stratum(strata):
    """The rows of a split, given by the stratum of each."""
    places = {}
    for place, stratum in enumerate(strata):
        places.setdefault(stratum, []).append(place)
    return places


def row(number, *, level="Level 1", subject="Algebra"):
    return Row(str(number), [{"role": "user", "content": f"Question {number}"}], "1", "math", level, subject)


def test_worked_example():
    """A quarter of 10, 7 and 5 is 2.5, 1.75 and 1.25: 22 / 4 = 5.5 rounds to 6, and two of the three are rounded up."""
    sizes = {("1", "a"): 10, ("1", "b"): 7, ("2", "a"): 5}
    assert stratum_quotas(sizes, Fraction(1, 4)) == {("1", "a"): 3, ("1", "b"): 2, ("2", "a"): 1}


def test_equal_remainders_go_by_name():
    sizes = {("2", "a"): 2, ("1", "b"): 2, ("1", "a"): 2}
    assert stratum_quotas(sizes, Fraction(1, 4)) == {("1", "a"): 1, ("1", "b"): 1, ("2", "a"): 0}
    assert stratum_quotas(dict(reversed(sizes.items())), Fraction(1, 4)) == stratum_quotas(sizes, Fraction(1, 4))


@given(sizes=st.dictionaries(STRATA, st.integers(1, 400), min_size=1), fraction=FRACTIONS)
def test_each_stratum_is_within_one_problem_of_exact(sizes, fraction):
    quotas = stratum_quotas(sizes, fraction)
    assert quotas.keys() == sizes.keys()
    for stratum, quota in quotas.items():
        assert abs(quota - fraction * sizes[stratum]) < 1
        assert 0 <= quota <= sizes[stratum]
    assert abs(sum(quotas.values()) - fraction * sum(sizes.values())) <= Fraction(1, 2)


@given(strata=st.lists(STRATA, min_size=1, max_size=120), fraction=FRACTIONS, seed=st.integers(0, 1000))
def test_what_is_drawn_has_the_quotas_and_is_the_same_again(strata, fraction, seed):
    places = places_by_stratum(strata)
    drawn = stratified_places(places, fraction, seed=seed, split="train")
    assert drawn == sorted(set(drawn))
    counts = {stratum: len(set(drawn) & set(members)) for stratum, members in places.items()}
    assert counts == stratum_quotas({stratum: len(members) for stratum, members in places.items()}, fraction)
    assert drawn == stratified_places(dict(reversed(places.items())), fraction, seed=seed, split="train")


@given(
    strata=st.lists(STRATA, min_size=1, max_size=80),
    fraction=FRACTIONS,
    seed=st.integers(0, 1000),
    avoided=st.sets(st.integers(0, 79)),
)
def test_what_is_avoided_comes_only_where_a_stratum_has_no_other_left(strata, fraction, seed, avoided):
    places = places_by_stratum(strata)
    drawn = set(stratified_places(places, fraction, seed=seed, split="train", avoided=avoided))
    for members in places.values():
        if drawn & avoided & set(members):
            assert set(members) - avoided <= drawn


def test_the_draw_is_random():
    places = {("Level 1", "Algebra"): list(range(40)), ("Level 5", "Algebra"): list(range(40, 80))}
    half = Fraction(1, 2)
    draws = [stratified_places(places, half, seed=seed, split=split) for seed in (0, 1) for split in ("train", "test")]
    assert len({tuple(draw) for draw in draws}) == 4
    of_the_strata = [[place % 40 for place in draws[0] if place // 40 == index] for index in (0, 1)]
    assert of_the_strata[0] != of_the_strata[1]


def test_a_row_without_level_or_subject_is_refused():
    assert strata_of([row(0), row(1, level="Level 5"), row(2)], "math_train") == {
        ("Level 1", "Algebra"): [0, 2],
        ("Level 5", "Algebra"): [1],
    }
    message = r"draws by level and subject, which 2 of the 3 problems of math_train do not have\. Leave it out"
    with pytest.raises(ValueError, match=message):
        strata_of([row(0), row(1, level=None), row(2, subject=None)], "math_train")
