import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from verl_ext.analysis.next_token import NextToken, TokenChance
from verl_ext.analysis.softmax_training import train_softmax
from verl_ext.objectives.objective import SignWeights
from verl_ext.plots.decomposition import decomposition_figure, decomposition_strip
from verl_ext.plots.style import STYLES

FOUND = NextToken(
    "a model",
    "A prime number is …",
    (
        TokenChance("2", 0.4, True),
        TokenChance("3", 0.1, True),
        TokenChance("4", 0.3, False),
        TokenChance("6", 0.2, False),
    ),
)
WEIGHTS = {"psr": SignWeights(1.0, 0.0), "nsr": SignWeights(0.0, 1.0), "w_reinforce": SignWeights(0.1, 1.0)}
NAMES = ["PSR\nright only", "NSR\nwrong only", "W-REINFORCE\nboth"]


def runs(num_steps=3, num_repeats=2):
    return [
        train_softmax(
            name,
            weights,
            FOUND.probabilities,
            FOUND.is_right,
            num_steps=num_steps,
            num_samples=6,
            learning_rate=1.0,
            num_repeats=num_repeats,
        )
        for name, weights in WEIGHTS.items()
    ]


def bars(axes):
    return [patch.get_height() for patch in axes.patches]


def test_bars_are_the_probabilities_before_the_step_and_at_the_start():
    drawn = runs()
    figure = decomposition_figure(drawn, FOUND, NAMES, 2)
    for axes, run in zip(figure.axes[0:6:2], drawn, strict=True):
        np.testing.assert_allclose(bars(axes), [*run.probabilities_SRV[2, 0], *FOUND.probabilities])
        np.testing.assert_allclose(axes.patches[0].get_facecolor(), mpl.colors.to_rgba(STYLES[run.name].color))
        assert len({patch.get_facecolor() for patch in axes.patches[:4]}) == 2  # right and wrong differ
        assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "3", "4", "6"]
    for axes, run in zip(figure.axes[1:6:2], drawn, strict=True):
        np.testing.assert_allclose(bars(axes), run.gradient_SRV[2, 0])


def test_marks_say_what_became_of_each_drawn_token():
    drawn = runs()
    figure = decomposition_figure(drawn, FOUND, NAMES, 0)
    tokens = sorted(set(drawn[0].drawn_SRN[0, 0].tolist()))
    for axes, right, wrong in zip(figure.axes[0:6:2], "^o^", "ovv", strict=True):
        assert [line.get_xdata()[0] for line in axes.lines] == tokens
        assert [line.get_marker() for line in axes.lines] == [right if token < 2 else wrong for token in tokens]
    counts = [text.get_text() for text in figure.axes[0].texts if text.get_text().isdigit()]
    numbers = np.bincount(drawn[0].drawn_SRN[0, 0])
    assert counts == [str(number) for number in numbers if number > 1]


def test_the_last_frame_draws_no_token_and_pushes_nothing():
    figure = decomposition_figure(runs(), FOUND, NAMES, 3)
    assert not figure.axes[0].lines
    assert bars(figure.axes[1]) == [0.0] * 4


def test_curves_are_the_mean_over_the_repeats_up_to_the_step():
    drawn = runs()
    right, in_use = decomposition_figure(drawn, FOUND, NAMES, 2).axes[-2:]
    for axes, values in ((right, drawn[1].right_SR), (in_use, drawn[1].num_right_in_use_SR)):
        thin, thick, _ = axes.lines[3:6]
        np.testing.assert_allclose(thin.get_ydata(), values[:3, 0])
        np.testing.assert_allclose(thick.get_ydata(), values[:3].mean(axis=1))


@pytest.mark.parametrize("step", [0, 3])
def test_no_text_leaves_the_page(step):
    figure = decomposition_figure(runs(), FOUND, NAMES, step)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [*figure.texts, *(text for axes in figure.axes for text in (*axes.texts, axes.yaxis.label))]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts if text.get_text()]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_the_strip_has_a_row_for_each_step():
    drawn = runs()
    figure = decomposition_strip(drawn, FOUND, NAMES, [0, 3])
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["step 0", "step 3"]
    np.testing.assert_allclose(bars(figure.axes[4])[:4], drawn[1].probabilities_SRV[3, 0])
