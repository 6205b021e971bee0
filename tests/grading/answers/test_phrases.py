import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers import wording
from verl_ext.grading.answers.phrases import find_phrase
from verl_ext.grading.mathematics import parse_reference

LANGUAGES = ["The answer is {0}.", "La réponse est {0}.", "Die Antwort lautet {0}.", "La respuesta es {0}.", "A resposta é {0}.",
             "La risposta è {0}.", "Ответ: {0}.", "答案是{0}。", "答えは{0}です。", "정답은 {0}입니다.", "الجواب هو {0}.", "उत्तर {0} है।",
             "Odpowiedź: {0}", "Cevap: {0}", "Đáp án là {0}.", "Jawabannya adalah {0}.", "คำตอบคือ {0}", "Svaret är {0}."]  # fmt: skip


@pytest.mark.parametrize("phrase", LANGUAGES)
@given(value=st.integers(-9999, 9999))
def test_languages(phrase, value):
    """The phrase says the answer, whatever numbers stand before and behind it."""
    assert find_phrase(f"3 + 4 = 7, 12. {phrase.format(value)}\n5 apples.") == str(value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer to the second question is therefore 5.", "5"),
        ("$x < 3$ is our answer.", "x < 3"),
        ("Final answer: the sum is 5, not 4.", "5"),
        ("**Answer:** **B**", "B"),
        ("**Answer: B**", "B"),
        ("The answer is not 7 but 8.", "8"),
        ("The answer is not 7.", ""),
        ("There is no answer for n = 3.", ""),
        ("The answer is half of 5.", ""),
        ("Answer $\n9\n$", ""),
        ("Answer: even", "even"),
        ("The answer is 5. Please check that the answer is correct.", "5"),
        ("The answer is 5. Wait, let me recheck.", None),
        ("Is the answer 5?", None),
        ("We answer the question.", None),
    ],
)
def test_phrases(text, answer):
    assert find_phrase(text) == answer


def test_the_tables_hold_each_word_once():
    for table in (wording.ANSWER, wording.IS, wording.GIVES, wording.THEREFORE):
        words = " ".join(table).split()
        assert sorted({word for word in words if words.count(word) > 1}) == []


def test_a_long_solution_without_a_box_as_reference():
    solution = "We add the numbers. " * 100
    assert parse_reference(f"{solution}The final answer is $28$. I hope it is correct.") == "28"
    with pytest.raises(ValueError, match="longer than"):
        parse_reference(solution)
