import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from verl_ext.plots.answer_bars import AnswerPath, answer_bars_figure, answer_bars_strip

PATHS = [
    AnswerPath(
        name=name,
        answers=("1+2+3", "1*2*3", "1+2*3"),
        is_right=(True, True, False),
        steps=(0, 4, 8),
        probabilities=((0.2, 0.1, 0.4), (0.3, 0.1, 0.3), (last, 0.05, 0.1)),
        right=(0.35, 0.45, last + 0.1),
        num_right_in_use=(1.9, 1.6, 1.2),
    )
    for name, last in (("psr", 0.8), ("nsr", 0.5))
]


def test_bars_are_the_checkpoints_over_the_first():
    figure = answer_bars_figure(PATHS, 2, problem="1 2 3 = 6", model="a model")
    for axes, path in zip(figure.axes, PATHS, strict=False):
        np.testing.assert_allclose(
            [bar.get_height() for bar in axes.patches], [*path.probabilities[2], *path.probabilities[0]]
        )
        assert [label.get_text() for label in axes.get_xticklabels()] == list(path.answers)
        assert axes.get_ylim() == (0.0, 1.06 * 0.8)
    right, in_use = figure.axes[2:]
    assert tuple(right.lines[0].get_ydata()) == PATHS[0].right
    assert in_use.lines[2].get_xydata().tolist() == [[0, 1.9], [4, 1.6], [8, 1.2]]


@pytest.mark.parametrize("at", [0, 2])
def test_answers_do_not_run_into_the_curves(at):
    figure = answer_bars_figure(PATHS, at, problem="1 2 3 = 6", model="a model")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    lowest = min(label.get_window_extent(canvas.get_renderer()).y0 for label in figure.axes[0].get_xticklabels())
    highest = max(axes._left_title.get_window_extent(canvas.get_renderer()).y1 for axes in figure.axes[2:])
    assert highest < figure.bbox.y1
    assert lowest > figure.axes[2].bbox.y1


def test_the_strip_has_a_row_for_each_checkpoint():
    figure = answer_bars_strip(PATHS, [0, 2], problem="1 2 3 = 6")
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["step 0", "step 8"]
    np.testing.assert_allclose([bar.get_height() for bar in figure.axes[3].patches][:3], PATHS[1].probabilities[2])
