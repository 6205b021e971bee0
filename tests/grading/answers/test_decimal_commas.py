import pytest

from verl_ext.grading.answers.decimal_commas import with_decimal_points

GERMAN = "Die Seiten sind 0,5 und 2,45 lang."


@pytest.mark.parametrize(
    ("text", "answer", "read"),
    [
        (GERMAN, "1,225", "1.225"),
        (GERMAN, "1.234,5", "1234.5"),
        (GERMAN, r"1{,}5 \text{ cm}", r"1.5 \text{ cm}"),
        (GERMAN, "(1,2)", "(1,2)"),
        (GERMAN, "1, 2", "1, 2"),
        (GERMAN, "1,2,3", "1,2,3"),
        (GERMAN + " Und 3.5.", "1,225", "1,225"),
        (GERMAN + " Und 3,500.", "1,225", "1,225"),
        ("Die Seite ist 0,5 lang.", "1,225", "1,225"),
        ("The points are (0,5) and (2,45).", "1,225", "1,225"),
        ("Es ist 1,22, also 1,22.", "1,22", "1,22"),
    ],
)
def test_decimal_commas_throughout(text, answer, read):
    assert with_decimal_points(answer, f"{text} Also \\boxed{{{answer}}}.") == read
