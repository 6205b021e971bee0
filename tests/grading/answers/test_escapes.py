import pytest

from verl_ext.grading.answers.escapes import with_commands


@pytest.mark.parametrize(
    "command", [r"\frac{1}{2}", r"\begin{matrix}", r"\alpha", r"\vec{v}", r"\binom{5}{2}", r"\forall"]
)
def test_commands_come_back(command):
    """As Python reads a text in which nobody doubled the backslash."""
    lost = command.encode().decode("unicode_escape")
    assert lost != command
    assert with_commands(f"-{lost}") == f"-{command}"


def test_a_control_character_alone_stays():
    assert with_commands("4\x0c2 \x08") == "4\x0c2 \x08"
