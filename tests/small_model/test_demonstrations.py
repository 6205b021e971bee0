import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.arithmetic import canonical_answer, evaluate, parse
from verl_ext.grading.countdown_grader import grade_countdown
from verl_ext.small_model.demonstrations import IGNORED, Demonstration, draw_demonstrations, spellings, tokenize
from verl_ext.small_model.tokenizer import build_tokenizer
from verl_ext.tasks.countdown import CountdownProblem, all_expressions, generate_problems


@pytest.fixture(scope="module")
def problems():
    return generate_problems(500, seed=0, split="train")


def test_spellings():
    assert spellings("3+5*7") == ["3+5*7", "3+7*5", "5*7+3", "7*5+3"]
    assert spellings("7*(3-5)") == ["(3-5)*7", "7*(3-5)"]
    assert spellings("9/(3/2)") == ["9/(3/2)"]


@given(nums=st.lists(st.integers(1, 9), min_size=3, max_size=3))
def test_spellings_are_the_same_expression(nums):
    for expression, value in all_expressions(nums):
        for text in spellings(expression):
            assert canonical_answer(text) == expression
            assert evaluate(parse(text)) == value


@pytest.mark.parametrize("wrong_share", [0.0, 0.3, 1.0])
def test_share_of_wrong_answers(problems, wrong_share):
    """4,000 draws: the share is within 5 standard deviations, each of at most 0.008."""
    demonstrations = draw_demonstrations(problems, 4000, wrong_share=wrong_share, seed=0)
    graded = [
        grade_countdown(one.answer, one.problem.reference, is_truncated=False).is_correct for one in demonstrations
    ]
    assert graded == [one.is_correct for one in demonstrations]
    assert 1 - sum(graded) / len(graded) == pytest.approx(wrong_share, abs=0.04)


def test_wrong_answers_use_the_numbers(problems):
    for one in draw_demonstrations(problems, 1000, wrong_share=1.0, seed=0):
        verdict = grade_countdown(one.answer, one.problem.reference, is_truncated=False)
        assert (verdict.reason, verdict.tier) == ("incorrect", "value")


def test_right_answers_are_diverse():
    """1 2 3 = 6 is 1+2+3 and 1*2*3 and 2*3/1, each of them in several orders."""
    demonstrations = draw_demonstrations([CountdownProblem((1, 2, 3), 6)], 300, wrong_share=0.0, seed=0)
    assert {canonical_answer(one.answer) for one in demonstrations} == {"1+2+3", "1*2*3", "2*3/1"}
    assert {"1+2+3", "2+1+3", "3*2/1", "2*3/1"} <= {one.answer for one in demonstrations}


def test_only_training_problems(problems):
    demonstrations = draw_demonstrations(problems, 2000, wrong_share=0.3, seed=0)
    assert {one.problem.split for one in demonstrations} == {"train"}


def test_seeds(problems):
    first, again, other = (draw_demonstrations(problems, 50, wrong_share=0.3, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_refused_share(problems):
    with pytest.raises(ValueError, match=r"wrong_share must be in \[0, 1\], got 1.5"):
        draw_demonstrations(problems, 1, wrong_share=1.5, seed=0)


def test_tokenize_worked_example():
    tokenizer = build_tokenizer(max_length=64)
    long = Demonstration(problem=CountdownProblem((3, 5, 7), 56), answer="7*(3+5)", is_correct=True)
    short = Demonstration(problem=CountdownProblem((1, 2, 6), 8), answer="6+2", is_correct=False)
    token_DT, label_DT = tokenize([long, short], tokenizer)

    long_text = "<|im_start|>user\n3 5 7 = 56<|im_end|>\n<|im_start|>assistant\n7*(3+5)<|im_end|>"
    short_text = "<|im_start|>user\n1 2 6 = 8<|im_end|>\n<|im_start|>assistant\n6+2<|im_end|>"
    assert tokenizer.decode(token_DT[0]) == long_text
    assert tokenizer.decode(token_DT[1]) == short_text + 5 * "<|endoftext|>"

    answer = tokenizer.encode("6+2<|im_end|>")
    num_prompt_tokens = 15
    expected = (num_prompt_tokens - 1) * [IGNORED] + answer + (24 - num_prompt_tokens + 1 - len(answer)) * [IGNORED]
    assert label_DT[1].tolist() == expected
    assert tokenizer.decode(label_DT[0][label_DT[0] != IGNORED]) == "7*(3+5)<|im_end|>"
