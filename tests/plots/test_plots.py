import io
import json
from itertools import combinations, pairwise
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Annotation, Text

from verl_ext.metrics.summary import pass_at_k_curve
from verl_ext.plots.curves import draw_pass_at_k, subtitle
from verl_ext.plots.figures import pass_at_k_figure, png, training_figure
from verl_ext.plots.style import STYLES, spread, styles_of
from verl_ext.plots.training_curves import (
    PANELS,
    TrainingCurve,
    draw_training,
    moving_average,
    read_rows,
    read_training_curve,
)

METHODS = ["base", "psr", "nsr", "w_reinforce", "grpo"]


def curves(names=METHODS, num_samples=16):
    rng = np.random.default_rng(0)
    return [pass_at_k_curve(name, [num_samples] * 30, rng.integers(0, num_samples, size=30)) for name in names]


def training(name, num_steps=30, **more):
    values = {"correct_ratio": [0.5] * num_steps, "entropy": [1.0] * num_steps, "kept_samples": [64.0] * num_steps}
    return TrainingCurve(name, list(range(1, num_steps + 1)), values | more)


positions = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(positions=positions)
def test_spread_keeps_the_order_the_gap_and_the_frame(positions):
    placed = spread(positions, 0.1, 0.0, 1.0)
    in_order = [place for _, place in sorted(zip(positions, placed, strict=True))]
    assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(in_order))
    assert min(placed) >= 0
    assert max(placed) <= 1 + 1e-9


def test_spread_moves_as_little_as_it_can():
    assert spread([0.2, 0.5, 0.9], 0.1, 0, 1) == [0.2, 0.5, 0.9]
    assert spread([0.5, 0.5], 0.1, 0, 1) == pytest.approx([0.45, 0.55])
    assert spread([1.0, 0.99, 0.2], 0.1, 0, 1) == pytest.approx([1.0, 0.9, 0.2])


def test_styles_are_fixed_and_differ():
    assert styles_of(["nsr"]) == styles_of(["psr", "nsr"])[1:]
    assert styles_of(["W-REINFORCE"])[0] is STYLES["w_reinforce"]
    styles = styles_of([*STYLES, "dapo", "rloo"])
    assert len({style.color for style in styles}) == len({style.marker for style in styles}) == len(styles)
    assert [style.label for style in styles[-2:]] == ["dapo", "rloo"]


def luminance(color):
    return np.dot([0.299, 0.587, 0.114], to_rgb(color))


def test_text_is_darker_than_lines():
    assert all(luminance(style.ink) <= luminance(style.color) for style in STYLES.values())
    assert all(luminance(style.ink) < 0.55 for style in STYLES.values())


def test_pass_at_k_draws_the_numbers_it_is_given():
    figure = Figure()
    axes = figure.subplots()
    drawn = curves(["base", "nsr"])
    draw_pass_at_k(axes, drawn)
    assert axes.get_xscale() == "log"
    assert axes.get_xticks().tolist() == [1, 2, 4, 8, 16]
    assert [line.get_label() for line in axes.lines] == ["Base", "NSR"]
    for line, band, curve in zip(axes.lines, axes.collections, drawn, strict=True):
        assert line.get_xdata().tolist() == list(curve.ks)
        assert line.get_ydata().tolist() == list(curve.pass_at_k)
        corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
        assert {*zip(curve.ks, curve.low, strict=True), *zip(curve.ks, curve.high, strict=True)} <= corners
    assert "k" in axes.get_xlabel()
    assert "pass@k" in axes.get_ylabel()


@pytest.mark.parametrize("names", [METHODS, list(STYLES), ["base"], ["nsr", "outputs/a method with a long name"]])
def test_no_label_covers_another_or_leaves_the_page(names):
    """All at the same height, the worst case: still no overlap."""
    same = [pass_at_k_curve(name, [16] * 10, [1] * 10) for name in names]
    figure = pass_at_k_figure(same, heading="pass@k")
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    labels = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    assert [label.get_text().split("  ")[0] for label in labels] == [style.label for style in styles_of(names)]
    texts = [Text.get_window_extent(label, renderer) for label in labels]
    assert not any(first.overlaps(second) for first, second in combinations(texts, 2))
    assert all(text.x1 <= figure.bbox.x1 and text.y1 <= figure.bbox.y1 and text.y0 >= 0 for text in texts)


@pytest.mark.parametrize(("samples", "is_said"), [([8, 8], True), ([8, 24], False)])
def test_every_sample_is_used_only_where_it_is(samples, is_said):
    """Two files that are shown up to the 8 samples of one of them."""
    axes = Figure().subplots()
    drawn = zip(("base", "nsr"), samples, strict=True)
    draw_pass_at_k(axes, [pass_at_k_curve(name, [n] * 3, [1, 2, 3], [1, 8]) for name, n in drawn])
    assert any("every sample is" in text.get_text() for text in axes.texts) == is_said


def test_n_that_is_no_power_of_two_is_on_the_axis():
    axes = Figure().subplots()
    draw_pass_at_k(axes, curves(["nsr"], num_samples=70))
    assert axes.get_xticks().tolist() == [1, 2, 4, 8, 16, 32, 70]


def test_subtitle_says_what_is_shown():
    text = subtitle([pass_at_k_curve("nsr", [8] * 1200, [1] * 1200), pass_at_k_curve("psr", [4, 8], [1, 1])])
    assert text == "2 to 1,200 problems, 4 to 8 samples each; bands: 95 % bootstrap over problems"


def test_figures_are_images_and_repeat_to_the_byte():
    figure = pass_at_k_figure(curves(), heading="pass@k of each method")
    image = imread(io.BytesIO(png(figure)))
    assert image.shape[0] >= 700
    assert image.shape[1] >= 1200
    assert np.ptp(image[..., :3]) > 0.9
    assert png(pass_at_k_figure(curves(), heading="x")) == png(pass_at_k_figure(curves(), heading="x"))


@pytest.mark.parametrize("name", ["dol$5_$x{", "$x^$", r"Pre$\alg_${", "$$", "a_b^c"])
def test_a_name_is_no_formula(name):
    """Names of files, levels and subjects are whatever users and data sets say."""
    figure = pass_at_k_figure(curves(["base", name]))
    axes = figure.axes[0]
    axes.set_yticks([0.5], labels=[name])
    axes.annotate(name, (1, 0.5))
    png(figure)
    assert [text.get_text() for text in figure.findobj(Text) if text.get_parse_math()] == []
    assert name in [text.get_text() for text in axes.get_yticklabels()]


def test_training_figure_names_every_run_once():
    figure = training_figure([training("psr"), training("nsr")], heading="Training")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [panel.title for panel in PANELS]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["PSR", "NSR"]
    assert all(axes.get_xlabel() == "training step" and axes.get_ylabel() for axes in figure.axes)


def test_training_draws_steps_and_their_average():
    axes = Figure().subplots()
    draw_training(axes, [training("nsr", num_steps=40, entropy=[float(step % 2) for step in range(40)])], PANELS[1])
    raw, smooth = axes.lines
    assert raw.get_ydata().tolist() == [0.0, 1.0] * 20
    assert np.ptp(smooth.get_ydata()[2:-2]) < 0.25
    short = Figure().subplots()
    draw_training(short, [training("nsr", num_steps=5)], PANELS[1])
    assert len(short.lines) == 1


def test_steps_without_a_value_and_runs_without_the_metric():
    axes = Figure().subplots()
    runs = [training("nsr", num_steps=3, entropy=[nan, 1.0, 2.0]), TrainingCurve("psr", [1], {})]
    draw_training(axes, runs, PANELS[1])
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [2, 3]
    empty = Figure().subplots()
    draw_training(empty, [TrainingCurve("psr", [1], {})], PANELS[1])
    assert [text.get_text() for text in empty.texts] == ["not recorded"]


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=30), window=st.integers(1, 9))
def test_moving_average(values, window):
    reach = window // 2
    expected = [np.mean(values[max(0, i - reach) : i + reach + 1]) for i in range(len(values))]
    np.testing.assert_allclose(moving_average(np.array(values), window), expected, atol=1e-9)


def test_read_training_curve(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 0, "data": {"val/acc": 0.3}},
        {"step": 1, "data": {"actor/entropy": 0.9, "other": "text"}},
        {"step": 2, "data": {"actor/entropy": 0.8}},
        {"step": 2, "data": {"actor/entropy": 0.7}},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    curve = read_training_curve(path, name="nsr", keys={"entropy": "actor/entropy", "text": "other"})
    assert (curve.name, curve.steps) == ("nsr", [0, 1, 2])
    assert isnan(curve.values["entropy"][0])
    assert curve.values["entropy"][1:] == [0.9, 0.7]
    assert all(map(isnan, curve.values["text"]))


@pytest.mark.parametrize("line", ["x", "[1]", '{"step": 1}', '{"data": {}}', '{"step": 1, "data": 2}'])
def test_read_training_curve_names_the_line(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "data": {}}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2, is not a step like"):
        read_training_curve(path, name="nsr", keys={})


def test_a_byte_that_is_no_text_is_an_error_of_its_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "data": {}}\n{"step": 2, "data": {"caf\xe9": 1}}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2, is not a step like"):
        read_training_curve(path, name="nsr", keys={})
    said = []
    assert list(read_rows(path, told=said.append)) == [1, 2], "who is told reads on"
    assert said == []


def test_training_curve_refuses(tmp_path):
    with pytest.raises(ValueError, match=r"nsr: entropy has 1 values for 2 steps"):
        TrainingCurve("nsr", [1, 2], {"entropy": [1.0]})
    with pytest.raises(ValueError, match="does not exist"):
        read_training_curve(tmp_path / "no.jsonl", name="nsr", keys={})
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match="holds no steps"):
        read_training_curve(tmp_path / "empty.jsonl", name="nsr", keys={})


@pytest.mark.parametrize("shares", [[0.21, 0.38], [0.301, 0.309], [0.0, 1.0]])
def test_percent_ticks_say_where_they_are(shares):
    """A tick at 22.5 % is not written 22 %."""
    figure = Figure()
    axes = figure.subplots()
    draw_training(axes, [training("nsr", num_steps=2, correct_ratio=shares)], PANELS[0])
    figure.draw_without_rendering()
    for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        assert float(label.get_text().removesuffix(" %").replace("−", "-")) == pytest.approx(100 * tick, abs=1e-6)


def test_a_share_that_stays_at_0_has_no_negative_percents():
    axes = Figure().subplots()
    draw_training(axes, [training("nsr", num_steps=3, correct_ratio=[0.0] * 3)], PANELS[0])
    assert axes.get_ylim() == (0.0, 0.01)
