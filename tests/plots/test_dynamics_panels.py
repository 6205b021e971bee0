from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from verl_ext.plots.dynamics_panels import PANELS, LogitPart, logit_changes_figure
from verl_ext.plots.figures import training_figure
from verl_ext.plots.style import STYLES
from verl_ext.plots.training_curves import TrainingCurve


def test_each_part_has_its_two_panels():
    predicted, drawn = np.array([-1.0, 0.5, 2.0]), np.array([False, False, True])
    parts = [
        LogitPart("psr", predicted, predicted, -predicted, drawn, (1.0, -1.0)),
        LogitPart("nsr", -predicted, predicted, predicted, drawn, (-1.0, 1.0)),
    ]
    figure = logit_changes_figure(parts, heading="Logits")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "PSR, its token alone: rank correlation 1.00",
        "NSR, its token alone: rank correlation -1.00",
        "PSR, whole batch: rank correlation -1.00",
        "NSR, whole batch: rank correlation 1.00",
    ]
    together = figure.axes[2]
    others, of_drawn = together.lines[-2:]
    assert others.get_xydata().tolist() == [[-1.0, 1.0], [0.5, -0.5]]
    assert of_drawn.get_xydata().tolist() == [[2.0, -2.0]]
    assert of_drawn.get_color() == STYLES["psr"].color


@pytest.mark.parametrize("num_panels", [1, 4, 5, 7, 9])
def test_panels_fill_rows_and_do_not_overlap(num_panels):
    values = {panel.key: [0.5, -0.25 if panel.is_signed else 0.25, 0.75] for panel in PANELS}
    figure = training_figure([TrainingCurve("nsr", [0, 4, 8], values)], panels=PANELS[:num_panels])
    FigureCanvasAgg(figure).draw()
    assert len(figure.axes) == num_panels
    assert not any(one.bbox.overlaps(other.bbox) for one, other in combinations(figure.axes, 2))
    for axes, panel in zip(figure.axes, PANELS, strict=False):
        low, high = axes.get_ylim()
        assert all(low <= value <= high for value in values[panel.key])
