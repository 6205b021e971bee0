import pytest

from verl_ext.grading.answers.notation import in_one_notation


@pytest.mark.parametrize(
    ("reference", "answer", "expected"),
    [
        (r"\$5", "5", (r"\$5", "5")),
        ("5", "5 cents", ("5", "5 cents")),
        (r"\$5", "5 cents", (r"5\text{ dollar}", "5 cents")),
        (r"\$5", "\u20ac5", (r"5\text{ dollar}", r"5\text{ eur}")),
        (r"\$5, \$6", "5 cents, 6 cents", (r"\$5, \$6", "5 cents, 6 cents")),
        (r"60^\circ", r"\frac{\pi}{3}", (r"60*\frac{\pi}{180}", r"\frac{\pi}{3}")),
        (r"60^\circ", "60", (r"60^\circ", "60")),
        (r"\sin 60^\circ", r"\sin\frac{\pi}{3}", (r"\sin 60^\circ", r"\sin\frac{\pi}{3}")),
    ],
)
def test_signs_count_where_the_other_side_shows_it(reference, answer, expected):
    assert in_one_notation(reference, answer) == expected
    assert in_one_notation(answer, reference) == expected[::-1]
