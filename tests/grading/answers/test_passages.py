import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.passages import formulas, own_turn, sentences, tail


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ("$x$ and \\(y\\) and \\[z\\] and $$w$$", ["x", "y", "z", "w"]),
        ("It costs $10 and then $5 more.", []),
        ("It costs $10 and $x$ more.", ["x"]),
        ("$50 - $20 = $30", []),
        ("how much $? about ten$", []),
        (r"$5 \text{ for each}$", [r"5 \text{ for each}"]),
        ("$a\nb$", []),
        (r"a \$ b $c$", ["c"]),
        (r"$\frac{1}{2} \$ = 3$", [r"\frac{1}{2} \$ = 3"]),
        ("\\begin{align*}a &= b\\end{align*}", ["a &= b"]),
    ],
)
def test_formulas(text, contents):
    assert [each.content for each in formulas(text)] == contents


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It is 3.5. Then e.g. five. Is it? Yes!", ["It is 3.5", "Then e.g. five", "Is it", "Yes"]),
        ("It is $x = 3.$ Then more.", ["It is $x = 3.$", "Then more"]),
        ("It is $a. b$ here.", ["It is $a. b$ here"]),
        ("Hence:\n\n$$x = 3$$", ["Hence:\n\n$$x = 3$$"]),
        ("1. First\n2. Second", ["1. First", "2. Second"]),
        ("因此是5。完。", ["因此是5", "完"]),
    ],
)
def test_sentences(text, pieces):
    assert [each.text for each in sentences(text)] == pieces


def test_a_question_is_known():
    assert [each.is_question for each in sentences("Is it 5? It is.")] == [True, False]


def test_another_turn_is_left_out():
    assert own_turn("It is 5.<|im_end|>\n<|im_start|>user\nNo.") == "It is 5."
    assert own_turn("<|im_start|>assistant\nIt is 5.") == "<|im_start|>assistant\nIt is 5."


@given(st.integers(0, 400), st.sampled_from(["It is $x$. ", "It is $x$.\n", "Ja. "]))
def test_a_tail_starts_with_a_sentence(repeats, sentence):
    text = sentence * repeats + "The end."
    assert text.endswith(tail(text))
    assert tail(text).startswith((sentence.strip(), "The end."))
