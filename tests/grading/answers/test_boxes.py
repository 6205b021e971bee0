import pytest

from verl_ext.grading.answers.boxes import Extracted, find_box, reference_boxes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"$a = \boxed{1}$ and $b = \boxed{2}$", Extracted("a=1, b=2", "boxes")),
        (r"\(y_1 = \boxed{x+1}\) and \(y_2 = \boxed{x-1}\)", Extracted("y_1=x+1, y_2=x-1", "boxes")),
        (r"$\boxed{1}$ and $b = \boxed{2}$", Extracted("1, 2", "boxes")),
        (r"$a = \boxed{1}$ and then $b = \boxed{2}$", Extracted("2", "box")),
        (r"$a = \boxed{1}$", Extracted("1", "box")),
        (r"\boxed{1}, \boxed{2} or \boxed{3}", Extracted("1, 2, 3", "boxes")),
    ],
)
def test_joined_boxes(text, found):
    assert find_box(text) == found


def test_boxes_of_a_reference():
    assert reference_boxes(r"First \boxed{0}, which we will not need at all; \boxed{1} and \boxed{2}.") == ["1", "2"]
