"""The picture of the objectives: what the lines are, and that no objective is left out."""

import runpy
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import ROWS
from verl_ext.objectives.objective import AnotherName
from verl_ext.objectives.weight_curve import weight_curve
from verl_ext.plots.objective_weights import NEGATIVE, POSITIVE, draw_trained, draw_weights, objective_weights_figure
from verl_ext.plots.style import STYLES

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts/plot_objectives.py"))


def curve_of(name, num_samples=8, **section):
    return weight_curve(AlgorithmOptions.read(section, adv_estimator=name), num_samples)


def test_the_weights_are_drawn_in_the_colors_of_their_signs():
    axes, curve = Figure().subplots(), curve_of("maxrl")
    draw_weights(axes, curve)
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(lines) == [POSITIVE, NEGATIVE]
    for line, values, sign in zip(lines.values(), (curve.positive, curve.negative), ("psr", "nsr"), strict=True):
        assert line.get_xdata().tolist() == curve.accuracy
        np.testing.assert_array_equal(line.get_ydata(), values)
        assert line.get_color() == STYLES[sign].color
    low, high = axes.get_ylim()
    assert all(low <= value <= high for value in (*curve.positive, *curve.negative) if not isnan(value))


def test_the_bars_are_what_is_trained_on():
    axes, curve = Figure().subplots(), curve_of("qae")
    draw_trained(axes, curve)
    assert [bar.get_height() for bar in axes.patches] == curve.trained
    assert axes.get_ylim() == (0, 1)


@pytest.mark.parametrize("is_narrow", [False, True])
@pytest.mark.parametrize("num_curves", [1, 4, 5, 13])
def test_all_panels_have_one_scale(num_curves, is_narrow):
    names = ["maxrl", "psr", "qae", "nsr", "rs_grpo"]
    figure = objective_weights_figure(
        [curve_of(names[n % 5]) for n in range(num_curves)], heading="Weights", is_narrow=is_narrow
    )
    FigureCanvasAgg(figure).draw()
    assert len(figure.axes) == 2 * num_curves
    assert len({axes.get_ylim() for axes in figure.axes[::2]}) == 1
    assert len({axes.get_position().x0 for axes in figure.axes[::2]}) == (1 if is_narrow else min(num_curves, 4))
    assert max(figure.axes[0].get_ylim()) >= 7  # MaxRL's only correct response of eight


def test_the_script_draws_every_objective(tmp_path, monkeypatch):
    out = tmp_path / "weights.png"
    names = [curve.name.partition(",")[0] for curve in SCRIPT["curves"](4)]
    assert names == ["GRPO", *(row.name for row in ROWS if not isinstance(row.formula, AnotherName))]
    monkeypatch.setattr("sys.argv", ["plot_objectives.py", "--num_samples", "4", "--out", str(out)])
    SCRIPT["main"]()
    assert imread(out).shape[1] > 1000
