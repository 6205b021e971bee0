import pytest

from verl_ext.grading.formulas.expression import ExpressionError, names_of, parse


@pytest.mark.parametrize(
    "text", ["", "1+", "x =", r"\foo", "(1", "1)", r"\sum_k k", "a \\text{ or } b", "sin_2 x", "π", "\x00"]
)
def test_outside_the_grammar(text):
    with pytest.raises(ExpressionError):
        parse(text)


def test_names_keep_their_subscripts():
    assert names_of(parse(r"a_1 + a_{12} + x' + \theta + e^{i\pi}")) == {"a_1", "a_12", "x'", "theta"}
