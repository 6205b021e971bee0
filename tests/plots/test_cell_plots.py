"""Pictures of a study over seeds and problems: their numbers, styles, and one cell, twelve, or none with a base."""

from itertools import combinations
from math import nan

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from verl_ext.analysis.grid_comparisons import comparisons
from verl_ext.analysis.grid_pairs import PrimaryPair
from verl_ext.analysis.grid_scores import CellRuns, grid_scores
from verl_ext.metrics.validations import ValidationCounts
from verl_ext.plots.cell_curves import draw_cell_pass_at_k, draw_over_steps, draw_plane
from verl_ext.plots.cell_figures import cell_figures, training_figures
from verl_ext.plots.cell_styles import cell_label, cell_styles, facets, row_label, value_label
from verl_ext.plots.figures import png
from verl_ext.plots.forest import draw_forest
from verl_ext.plots.style import STYLES
from verl_ext.plots.training_curves import TrainingCurve, mean_over_runs

OBJECTIVES = ("psr", "nsr", "w_reinforce")


def study(axes, *, beside=(), num_seeds=2, has_base=True, num_problems=6, num_samples=8):
    """A study whose runs get better at random."""
    rng = np.random.default_rng(3)
    places = [{}]
    for axis, values in axes.items():
        places = [{**place, axis: value} for place in places for value in values]
    named = [("-".join(place.values()) or "run", place) for place in places] + [(name, {}) for name in beside]

    def counts(low, high):
        return ValidationCounts(np.full(num_problems, num_samples), rng.integers(low, high, num_problems))

    start = counts(0, num_samples // 2 + 1)
    cells = []
    for name, place in named:
        runs = {
            f"seed{s}": {10: counts(0, num_samples), 20: counts(num_samples // 4, num_samples + 1)}
            for s in range(num_seeds)
        }
        if has_base:
            for run in runs.values():
                run[0] = start
        objective = place.get("objective", name if name in STYLES else "w_reinforce")
        cells.append(CellRuns(name=name, objective=objective, place=place, options=dict(place), model="m", runs=runs))
    return grid_scores(cells)


def texts(labels):
    return [label.get_text() for label in labels]


# --------------------------------------------------------------------------------------------------------------- styles


def test_an_objective_has_its_color_in_every_study():
    for scores in (study({"objective": OBJECTIVES}), study({"clip": ["on", "off"], "objective": OBJECTIVES})):
        styles = cell_styles(scores.cells)
        one_axis = len(scores.cells) == 3
        for each in scores.cells:
            assert not one_axis or styles[each.name].color == STYLES[each.objective].color
            assert styles[each.name].label == cell_label(each)


def test_cells_of_one_objective_differ_in_shade_marker_and_line():
    styles = cell_styles(study({"lambda": ["lambda_0", "lambda_0.1", "lambda_1"], "clip": ["on", "off"]}).cells)
    assert len({(style.color, style.marker, style.line) for style in styles.values()}) == 6
    light, middle, dark = (styles[f"{name}-on"].color for name in ("lambda_0", "lambda_0.1", "lambda_1"))
    assert middle == STYLES["w_reinforce"].color.lower()
    assert luminance(light) > luminance(middle) > luminance(dark)
    assert [styles["lambda_0-on"].line, styles["lambda_0-off"].line][0] == "-" != styles["lambda_0-off"].line


def luminance(color):
    return sum(int(color[place : place + 2], 16) for place in (1, 3, 5))


def test_a_run_beside_the_grid_is_itself_or_dotted():
    styles = cell_styles(study({"lambda": ["lambda_0", "lambda_1"]}, beside=["nsr", "lambda_0-corrected"]).cells)
    assert styles["nsr"] == STYLES["nsr"]
    assert (styles["lambda_0-corrected"].line, styles["lambda_0-corrected"].label) == (":", "λ = 0, corrected")


def test_labels():
    assert [value_label(value) for value in ("w_reinforce", "lambda_0.1", "lambda", "false_wrong_5")] == [
        "W-REINFORCE",
        "λ = 0.1",
        "λ",
        "false wrong 5",
    ]
    scores = study({"lambda": ["lambda_0", "lambda_1"], "clip": ["on", "off"]})
    compared = comparisons(scores)
    assert {row_label(row, scores.cells) for row in compared.of_axes} == {"λ = 1 − λ = 0", "off − on"}
    assert row_label(compared.between_cells[0], scores.cells) == "λ = 1 − λ = 0 (on)"
    assert row_label(compared.versus_base[0], scores.cells) == "λ = 0, on − Base"


def test_many_cells_are_split():
    many = study({"objective": OBJECTIVES, "rate": ["rate_0", "rate_1", "rate_2"]}, beside=["nsr-corrected"])
    parts = facets(many.cells)
    assert [part.title for part in parts] == ["PSR", "NSR", "W-REINFORCE"]
    assert [len(part.cells) for part in parts] == [3, 3, 4], "the run beside the grid is a W-REINFORCE"
    assert parts[0].label(parts[0].cells[1]) == "rate 1"
    row = study({"objective": [f"method{number}" for number in range(12)]})
    assert [(part.title, len(part.cells)) for part in facets(row.cells)] == [("", 6), ("", 6)]


# -------------------------------------------------------------------------------------------------------------- numbers


def test_pass_at_k_has_the_base_the_cell_its_seeds_and_its_band():
    scores = study({"objective": OBJECTIVES})
    each = scores.cells[0]
    axes = Figure().subplots()
    draw_cell_pass_at_k(axes, scores, each, STYLES["psr"])
    base, *seeds, mean = axes.lines
    assert base.get_ydata() == pytest.approx([scores.base_interval("m", k).mean for k in scores.ks])
    assert [line.get_ydata()[0] for line in seeds] == pytest.approx(each.means_TSK[-1, :, 0])
    assert mean.get_ydata() == pytest.approx([scores.interval(each, k).mean for k in scores.ks])
    band = axes.collections[1].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(max(scores.interval(each, k).high for k in scores.ks))
    assert (axes.get_xscale(), to_hex(mean.get_color())) == ("log", STYLES["psr"].color.lower())


def test_steps_have_means_over_seeds_and_the_interval_of_the_last():
    scores = study({"objective": OBJECTIVES})
    axes = Figure().subplots()
    draw_over_steps(axes, scores, scores.cells[:1], cell_styles(scores.cells), 8)
    *seeds, mean, interval, _ = axes.lines
    assert len(seeds) == 2
    assert mean.get_xdata().tolist() == [0, 10, 20]
    assert mean.get_ydata() == pytest.approx(scores.cells[0].means_TSK[:, :, -1].mean(axis=1))
    expected = scores.interval(scores.cells[0], 8)
    assert interval.get_ydata() == pytest.approx([expected.low, expected.high])
    assert min(interval.get_xdata()) > 20


def test_the_plane_has_a_path_from_the_base():
    scores = study({"objective": OBJECTIVES})
    axes = Figure().subplots()
    draw_plane(axes, scores, scores.cells, cell_styles(scores.cells))
    ends = {line.get_label(): line.get_xydata()[-1] for line in axes.lines if not line.get_label().startswith("_")}
    assert list(ends) == ["PSR", "NSR", "W-REINFORCE", "Base"]
    assert ends["NSR"] == pytest.approx(scores.cells[1].means_TSK[-1].mean(axis=0)[[0, -1]])
    assert ends["Base"] == pytest.approx(scores.cells[1].means_TSK[0, 0, [0, -1]])


def test_the_forest_has_intervals_and_what_could_have_been_seen():
    scores = study({"objective": OBJECTIVES}, num_problems=40)
    rows = [row for row in comparisons(scores).versus_base if row.k == 1]
    axes = Figure().subplots()
    draw_forest(axes, rows, ["a", "b", "c"], cell_styles(scores.cells), measure="pass@1")
    assert [bar.get_width() / 2 for bar in axes.patches] == pytest.approx([row.detectable for row in rows])
    drawn = [line for line in axes.lines if line.get_marker() != "None"]
    assert [line.get_xdata()[0] for line in drawn] == [row.difference for row in rows]
    assert [line.get_markerfacecolor() != "white" for line in drawn] == [row.is_decided for row in rows]
    assert any(row.is_decided for row in rows)
    assert texts(axes.get_yticklabels()) == ["a", "b", "c"]
    assert axes.yaxis_inverted()


def test_an_exploratory_difference_is_small_and_promises_nothing():
    scores = study({"objective": OBJECTIVES}, num_problems=40)
    compared = comparisons(scores, [PrimaryPair("nsr", "psr", None)])
    rows = [row for row in compared.between_cells if row.k == 1]
    axes = Figure().subplots()
    draw_forest(axes, rows, ["a", "b", "c"], cell_styles(scores.cells), measure="pass@1")
    assert [bar.get_width() / 2 for bar in axes.patches] == pytest.approx([rows[0].detectable])
    sizes = [line.get_markersize() for line in axes.lines if line.get_marker() != "None"]
    assert sizes[0] > sizes[1] == sizes[2]
    assert any(
        "small: exploratory" in each.get_text() for each in cell_figures(scores, compared)["between_cells"].texts
    )
    assert not any(
        "exploratory" in each.get_text() for each in cell_figures(scores, comparisons(scores))["between_cells"].texts
    )


def test_training_is_the_mean_over_seeds_in_the_cells_style():
    scores = study({"lambda": ["lambda_0", "lambda_1"]})
    runs = [
        TrainingCurve("lambda_1-seed0", [1, 2, 3], {"entropy": [1.0, 2.0, 3.0], "kept_samples": [1.0, nan, 3.0]}),
        TrainingCurve("lambda_1-seed1", [2, 3, 4], {"entropy": [4.0, 5.0, 6.0], "kept_samples": [4.0, 5.0, 6.0]}),
    ]
    mean = mean_over_runs("lambda_1", runs)
    assert (mean.name, mean.steps, mean.values["entropy"]) == ("lambda_1", [2, 3], [3.0, 4.0])
    assert mean.values["kept_samples"] == pytest.approx([nan, 4.0], nan_ok=True)
    (figure,) = training_figures(scores, {"lambda_1": runs}).values()
    (line,) = [line for axes in figure.axes for line in axes.lines if axes.get_title("left") == "Policy entropy"]
    assert (line.get_label(), line.get_color()) == ("λ = 1", cell_styles(scores.cells)["lambda_1"].color)
    assert training_figures(scores, {}) == {}


# ------------------------------------------------------------------------------------------------------- whole figures

KINDS = {
    "one run": lambda: study({}, num_seeds=1),
    "no base": lambda: study({"objective": OBJECTIVES}, has_base=False),
    "one sample": lambda: study({"objective": OBJECTIVES}, num_samples=1),
    "twelve cells": lambda: study({"objective": [*STYLES, "qae", "maxrl", "other", "another", "third"]}, num_seeds=1),
    "axes and runs beside": lambda: study(
        {"objective": OBJECTIVES, "grader": ["exact", "wrong_5", "wrong_20"]}, beside=["nsr-wrong_20-forward"]
    ),
}
FIGURES = {
    "one run": {"pass_at_k", "over_steps", "plane", "versus_base", "coverage"},
    "no base": {"pass_at_k", "over_steps", "plane", "between_cells", "coverage"},
    "one sample": {"pass_at_k", "over_steps", "versus_base", "between_cells", "coverage"},
    "twelve cells": {"pass_at_k", "over_steps", "plane", "versus_base", "between_cells", "coverage"},
    "axes and runs beside": {
        *("pass_at_k", "over_steps", "plane", "coverage", "dose_1"),
        *("versus_base", "of_axes", "between_cells", "beside_the_grid"),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_made_and_nothing_leaves_the_page_or_covers_a_label(kind):
    scores = KINDS[kind]()
    before = dict(mpl.rcParams)
    figures = cell_figures(scores, comparisons(scores))
    assert set(figures) - {"equal_pass_at_1"} == FIGURES[kind]
    for figure in figures.values():
        figure.set_dpi(50)  # the layout is the same, and drawing it faster
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        heads = [text.get_window_extent(renderer) for text in figure.texts]
        assert not any(one.overlaps(two) for one, two in combinations(heads, 2)), "heading and note"
        for axes in figure.axes:
            for side, labels in enumerate((axes.get_xticklabels(), axes.get_yticklabels())):
                boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
                low, high = axes.bbox.intervalx if side == 0 else axes.bbox.intervaly
                places = [(box.x0 + box.x1) / 2 if side == 0 else (box.y0 + box.y1) / 2 for box in boxes]
                shown = [box for box, place in zip(boxes, places, strict=True) if low - 1 <= place <= high + 1]
                assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 + 1 for box in shown)
                is_level = not any(label.get_rotation() for label in labels)  # the box of a slanted one is too large
                assert not (is_level and any(one.overlaps(two) for one, two in combinations(shown, 2)))
    assert dict(mpl.rcParams) == before


def test_figures_repeat_to_the_byte():
    scores = KINDS["one run"]()
    first, second = (png(cell_figures(scores, comparisons(scores))["over_steps"]) for _ in range(2))
    assert first == second
