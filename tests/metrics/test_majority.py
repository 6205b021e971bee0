from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.metrics.majority import maj_at_k


def by_every_subset(given_answers, correct, k):
    """Draw every k-subset, let it vote, and share a tie among its winners."""
    scores = []
    for draw in combinations(given_answers, k):
        votes = Counter(answer for answer in draw if answer is not None)
        winners = [answer for answer in votes if votes[answer] == max(votes.values())]
        scores.append(sum(answer in correct for answer in winners) / len(winners) if winners else 0.0)
    return sum(scores) / len(scores)


@given(
    given_answers=st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=8),
    correct=st.sets(st.sampled_from("abcd")),
)
def test_against_every_subset(given_answers, correct):
    answers = Counter(answer for answer in given_answers if answer is not None)
    right = {answer: count for answer, count in answers.items() if answer in correct}
    ks = list(range(1, len(given_answers) + 1))
    expected = [by_every_subset(given_answers, correct, k) for k in ks]
    assert maj_at_k(answers, right, len(given_answers), ks) == pytest.approx(expected, abs=1e-12)


def test_many_samples():
    """At k = 1 it is the share of correct answers, at k = n the plurality of all."""
    answers = {"right": 90, "wrong": 100, **{f"rare {i}": 1 for i in range(40)}}
    first, last = maj_at_k(answers, {"right": 90}, 256, [1, 256])
    assert first == pytest.approx(90 / 256, rel=1e-12)
    assert last == 0.0
    assert maj_at_k(answers | {"right": 100}, {"right": 100}, 256, [256]) == [pytest.approx(0.5)]


def test_a_sure_winner_has_exactly_1():
    """128 draws hold at least 72 right answers, and no other was given so often."""
    counts = {"right": 200, "wrong": 30, "other": 26}
    ks = [128, 256]
    assert maj_at_k(counts, {"right": 200}, 256, ks) == [1.0] * len(ks)
    assert maj_at_k({"a": 11, "b": 46}, {"a": 11, "b": 46}, 57, [25]) == [1.0]


@given(counts=st.lists(st.integers(1, 12), min_size=1, max_size=4), which=st.sets(st.integers(0, 3)))
def test_rounding_leaves_the_range_of_a_share_alone(counts, which):
    """Never above 1; exactly 1 where every response has a correct answer, ties among them or not."""
    answers = {str(number): count for number, count in enumerate(counts)}
    right = {name: count for name, count in answers.items() if int(name) in which}
    ks = list(range(1, sum(counts) + 1))
    assert all(0 <= value <= 1 for value in maj_at_k(answers, right, sum(counts), ks))
    assert maj_at_k(answers, answers, sum(counts), ks) == [1.0] * len(ks)


def test_an_answer_labeled_both_ways_counts_for_its_share():
    assert maj_at_k({"a": 4}, {"a": 1}, 4, [1, 4]) == pytest.approx([0.25, 0.25])


def test_refuses():
    with pytest.raises(ValueError, match="maj@9 needs k >= 1 and at least k samples per problem, got 4"):
        maj_at_k({"a": 4}, {}, 4, [9])
    with pytest.raises(ValueError, match="at most 1000 samples per problem, got 1001"):
        maj_at_k({"a": 4}, {}, 1001, [1])
    with pytest.raises(ValueError, match="add up to 5, more than the 4 samples"):
        maj_at_k({"a": 5}, {}, 4, [1])
