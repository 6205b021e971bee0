import pytest

from verl_ext.grading.answers.number_words import number_in_chinese, number_of_words


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("zero", 0),
        ("seven", 7),
        ("twenty", 20),
        ("twenty one", 21),
        ("one hundred", 100),
        ("three hundred and five", 305),
        ("two thousand nineteen", 2019),
        ("one million two hundred thousand", 1_200_000),
    ],
)
def test_numbers_in_words(words, number):
    assert number_of_words(words) == number


@pytest.mark.parametrize(
    "words", ["", "one two", "twenty ten", "twenty eleven", "seventh", "hundred", "seven apples", "and", "forty twenty"]
)
def test_no_numbers(words):
    assert number_of_words(words) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("三", 3), ("十", 10), ("十二", 12), ("二十", 20), ("三十五", 35), ("一百零五", 105), ("两千", 2000)],
)
def test_chinese_numerals(text, number):
    assert number_in_chinese(text) == number


@pytest.mark.parametrize("text", ["", "二三", "第三", "3", "三元"])
def test_no_chinese_numerals(text):
    assert number_in_chinese(text) is None
