from itertools import combinations, pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from tests.analysis.runs import run
from verl_ext.analysis.accuracy_distribution import accuracy_distribution
from verl_ext.analysis.breakdown import breakdown
from verl_ext.analysis.least_squares import least_squares
from verl_ext.analysis.new_ability import new_ability, new_ability_by_halves
from verl_ext.analysis.two_estimates import two_estimates
from verl_ext.plots.curves import draw_two_estimates
from verl_ext.plots.dots import draw_breakdown, draw_least_squares
from verl_ext.plots.figures import png, two_estimates_figure
from verl_ext.plots.problem_bars import count_text, draw_accuracy_distribution, draw_new_ability
from verl_ext.plots.study_figures import breakdown_figure, distribution_figure, least_squares_figure, new_ability_figure
from verl_ext.plots.style import STYLES, styles_of

NAMES = ["base", "step100", "step200"]


def made(name, shift, num_samples=8):
    """Twelve problems, three of each of four levels, in two subjects."""
    correct = [min(max(row // 2 + shift, 0), num_samples) for row in range(12)]
    groups = {
        "level": [f"Level {1 + row % 4}" for row in range(12)],
        "subject": ["Algebra" if row % 3 else "Counting & Probability" for row in range(12)],
    }
    return run(name, range(12), correct, num_samples, groups=groups)


RUNS = [made("base", -2), made("step100", 0), made("step200", 1, num_samples=4)]
COLORS = {name: style.color.lower() for name, style in zip(NAMES, styles_of(NAMES), strict=True)}


def color_of(artist):
    return to_hex(artist.get_edgecolor())


def test_two_estimates_draws_both():
    axes = Figure().subplots()
    drawn = [two_estimates(each) for each in RUNS]
    draw_two_estimates(axes, drawn)
    solid, dotted = axes.lines[:3], axes.lines[3:]
    for line, under, each in zip(solid, dotted, drawn, strict=True):
        assert line.get_ydata().tolist() == list(each.unbiased.pass_at_k)
        assert under.get_ydata().tolist() == list(each.bootstrap)
        assert under.get_xdata().tolist() == list(each.unbiased.ks)
        assert (under.get_linestyle(), under.get_color()) == (":", line.get_color())
    low, high = axes.get_ylim()
    assert all(low <= value <= high for each in drawn for value in each.bootstrap)


def test_a_shorter_curve_says_where_it_ends():
    figure = two_estimates_figure([two_estimates(each) for each in RUNS])
    texts = [text.get_text() for text in figure.axes[0].texts if isinstance(text, Annotation)]
    assert [text.split("  ")[0] for text in texts] == ["Base", "step100", "step200"]
    assert [text.endswith(" % (k = 4)") for text in texts] == [False, False, True]
    assert "dotted: by bootstrap" in figure.axes[0].texts[-1].get_text()


def test_accuracy_draws_every_bin_of_every_run():
    axes = Figure().subplots()
    drawn = [accuracy_distribution(each) for each in RUNS]
    draw_accuracy_distribution(axes, drawn)
    for bars, each, name in zip(axes.containers, drawn, NAMES, strict=True):
        assert [bar.get_height() for bar in bars] == [each.num_never, *each.num_between, each.num_always]
        assert {to_hex(bar.get_facecolor()) for bar in bars} == {COLORS[name]}
    assert [label.get_text() for label in axes.get_xticklabels()][::11] == ["never", "always"]
    rights = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bars in axes.containers for bar in bars)
    assert all(right <= left + 1e-9 for (_, right), (left, _) in pairwise(rights))


def test_breakdown_draws_values_and_intervals():
    axes = Figure().subplots()
    groups = breakdown(RUNS, "level", [1])
    draw_breakdown(axes, groups)
    dots = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(dots) == ["Base", "step100", "step200"]
    for line, curves in zip(dots.values(), groups.curves.values(), strict=True):
        assert list(line.get_xdata()) == [curve.pass_at_k[0] for curve in curves]
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_label().startswith("_")]
    assert bars == [(curve.low[0], curve.high[0]) for curves in groups.curves.values() for curve in curves]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"Level {level} (3)" for level in (1, 2, 3, 4)]
    assert axes.yaxis_inverted()


def test_new_ability_draws_shares_in_the_colors_of_the_study():
    base, *others = RUNS
    abilities = [*(new_ability(each, base) for each in others), *new_ability_by_halves(others, base)]
    axes = Figure().subplots()
    draw_new_ability(axes, abilities, NAMES)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([each.share for each in abilities])
    assert [color_of(bar) for bar in axes.patches] == [COLORS[each.name] for each in abilities]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, False, True, False, False]
    assert [text.get_text() for text in axes.texts][:2] == ["4 of 6", "6 of 6"]
    assert [label.get_text() for label in axes.get_yticklabels()][::2] == [
        "step100, 8 samples\n(unsolved by 8)",
        "Base again, 4 samples\n(unsolved by 4)",
        "step200, 4 samples\n(unsolved by 4)",
    ]


def test_new_ability_without_the_base_keeps_the_colors():
    axes = Figure().subplots()
    draw_new_ability(axes, [new_ability(RUNS[2], RUNS[0])], NAMES)
    assert color_of(axes.patches[0]) == COLORS["step200"]


def test_count_text():
    assert [count_text(count) for count in (3.0, 29.38, 1234.0)] == ["3", "29.4", "1,234"]


def test_least_squares_draws_effects_without_the_intercept():
    fits = [least_squares(each) for each in RUNS[1:]]
    axes = Figure().subplots()
    draw_least_squares(axes, fits, NAMES)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "level (each step)",
        "subject Counting & Probability",
    ]
    dots = [line for line in axes.lines if line.get_marker() not in ("", "None", None)]
    for line, fit in zip(dots, fits, strict=True):
        assert list(line.get_xdata()) == [row.estimate for row in fit.coefficients[1:]]
        assert to_hex(line.get_color()) == COLORS[fit.name]


def figures():
    base, *others = RUNS
    names = [*NAMES[:1], *STYLES]
    many = [made(name, index % 3) for index, name in enumerate(dict.fromkeys(names))]
    return {
        "distribution": distribution_figure([accuracy_distribution(each) for each in many]),
        "subject": breakdown_figure(breakdown(many, "subject", [1])),
        "ability": new_ability_figure([new_ability(each, base) for each in others], NAMES),
        "fit": least_squares_figure([least_squares(each) for each in RUNS], NAMES),
        "estimates": two_estimates_figure([two_estimates(each) for each in many]),
    }


@pytest.mark.parametrize("name", list(figures()))
def test_nothing_covers_a_label_or_leaves_the_page(name):
    figure = figures()[name]
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    (axes,) = figure.axes
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
        inside = [
            box for box in boxes if axes.bbox.x0 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1 or box.x1 <= axes.bbox.x0
        ]
        assert not any(first.overlaps(second) for first, second in combinations(inside, 2))
        assert all(box.x0 >= 0 for box in inside)
    for text in axes.texts:
        assert Text.get_window_extent(text, renderer).x1 <= figure.bbox.x1


def test_figures_repeat_to_the_byte():
    assert {name: png(figure) for name, figure in figures().items()} == {
        name: png(figure) for name, figure in figures().items()
    }
