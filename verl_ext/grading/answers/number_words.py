"""Whole numbers in words: ``seven``, ``twenty-one``, ``one hundred and five``, and the numerals of Chinese."""

from itertools import pairwise

UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
SMALL = {word: value for value, word in enumerate(f"{UNITS} eighteen nineteen".split())}
TENS = {
    word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6}
CHINESE_DIGITS = {
    "\u96f6": 0, "\u3007": 0, "\u4e00": 1, "\u4e8c": 2, "\u4e24": 2, "\u4e09": 3, "\u56db": 4,
    "\u4e94": 5, "\u516d": 6, "\u4e03": 7, "\u516b": 8, "\u4e5d": 9,
}  # fmt: skip
CHINESE_POWERS = {"\u5341": 10, "\u767e": 100, "\u5343": 1000}


def number_of_words(words: str) -> int | None:
    """The number that words in lower case spell, without hyphens; None if they spell none, or one in a sloppy way."""
    total, group, previous = 0, 0, None
    for word in words.replace(" and ", " ").split():
        if word in SMALL and (previous is None or previous in POWERS or (previous in TENS and 1 <= SMALL[word] <= 9)):
            group += SMALL[word]
        elif word in TENS and (previous is None or previous in POWERS):
            group += TENS[word]
        elif word == "hundred" and 1 <= group <= 9:
            group *= 100
        elif word in POWERS and word != "hundred" and group:
            total, group = total + group * POWERS[word], 0
        else:
            return None
        previous = word
    return total + group if previous else None


def number_in_chinese(text: str) -> int | None:
    """The number that Chinese numerals below 10,000 spell; None if the text is anything else."""
    if not text or not all(char in CHINESE_DIGITS or char in CHINESE_POWERS for char in text):
        return None
    if any(
        left in CHINESE_DIGITS and right in CHINESE_DIGITS and CHINESE_DIGITS[left] for left, right in pairwise(text)
    ):
        return None  # digit by digit, as a year or a telephone number is
    total, digit = 0, 0
    for char in text:
        if char in CHINESE_DIGITS:
            digit = CHINESE_DIGITS[char]
        else:
            total += (digit or 1) * CHINESE_POWERS[char]
            digit = 0
    return total + digit
