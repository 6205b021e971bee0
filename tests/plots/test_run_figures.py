"""Pictures of runs: their numbers, and what the script draws and refuses."""

import json
import runpy
from math import nan
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from verl_ext.grading import Reason
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import pass_at_k_curve
from verl_ext.plots.coverage_map import coverage, draw_coverage
from verl_ext.plots.dose_response import Aside, DoseLine, draw_dose_response
from verl_ext.plots.figures import training_figure
from verl_ext.plots.reason_stack import COLORS, REASON_KEYS, draw_reasons
from verl_ext.plots.run_figures import (
    by_seed,
    final_scores,
    has_lambdas,
    lambda_figure,
)
from verl_ext.plots.score_bars import ScoreBar, bar_of_seeds, draw_score_bars
from verl_ext.plots.style import STYLES
from verl_ext.plots.training_curves import (
    LOG_KEYS,
    LOGGED_PANELS,
    TrainingCurve,
    draw_training,
    read_run,
    smoothing_window,
)

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts/plot_runs.py"))


def answers(name, num_correct, num_samples=8):
    return Generations(
        name=name,
        path=f"{name}.jsonl",
        question_ids=[str(number) for number in range(len(num_correct))],
        num_samples_P=np.full(len(num_correct), num_samples),
        num_correct_P=np.array(num_correct),
        references=[None] * len(num_correct),
    )


def logged(name, num_steps=30, is_holed=False):
    rng = np.random.default_rng(num_steps)
    steps = [step for step in range(1, num_steps + 1) if not (is_holed and 10 <= step < 20)]
    values = {key: rng.random(len(steps)).tolist() for key in LOG_KEYS}
    right = rng.random(len(steps)) / 2
    values |= {"reason/correct": right.tolist(), "reason/incorrect": (1 - right).tolist()}
    if is_holed:
        for row in values.values():
            row[3] = nan
    return TrainingCurve(name, steps, values)


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


# ------------------------------------------------------------------------------------------------- golden numbers


@pytest.mark.parametrize(("num_steps", "window"), [(1, 1), (23, 1), (24, 3), (39, 3), (40, 5), (120, 13), (200, 21)])
def test_the_window_is_a_tenth_of_the_steps_and_odd(num_steps, window):
    assert smoothing_window(num_steps) == window


def test_smoothing_by_hand():
    """Thirty steps: a window of 3, so that the second value is the mean of the first three, the first that of two."""
    run = TrainingCurve("nsr", list(range(30)), {"entropy": [3.0, 6.0, 0.0, *[1.0] * 27]})
    axes = Figure().subplots()
    draw_training(axes, [run], LOGGED_PANELS[2])
    assert axes.lines[1].get_ydata()[:5].tolist() == pytest.approx([4.5, 3.0, 7 / 3, 2 / 3, 1.0])


@pytest.mark.parametrize(
    ("sizes", "note"),
    [
        ([5], ""),
        ([120], "thin: each value; thick: mean of 13 values"),
        ([30, 120], "thin: each value; thick: mean of 3 or 13 values"),
        ([30, 40, 120], "thin: each value; thick: mean of 3 to 13 values"),
        ([30, 5], "thin: each value; thick: mean of 3 values; thick alone: each value"),
    ],
)
@pytest.mark.parametrize("is_narrow", [False, True])
def test_the_windows_are_named(sizes, note, is_narrow):
    figure = training_figure([logged(f"run{size}", size) for size in sizes], is_narrow=is_narrow)
    assert note in [" ".join(text.get_text().split("\n")) for text in figure.texts]


def test_the_windows_are_those_of_the_values_that_each_panel_has():
    """Forty steps, with an entropy at every second: twenty values are drawn as they are, and sixty of 120 over 7 of them."""
    for num_steps, of_all, of_half in ((40, "5", 1), (120, "7 or 13", 2)):
        run = logged("nsr", num_steps)
        run.values["entropy"][::2] = [nan] * (num_steps // 2)
        figure = training_figure([run])
        accuracy, entropy, _ = figure.axes
        assert (len(accuracy.lines), len(entropy.lines)) == (2, of_half)
        expected = f"thin: each value; thick: mean of {of_all} values" + "; thick alone: each value" * (of_half == 1)
        assert expected in texts_of(figure)


def test_bars_have_the_interval_over_seeds_or_over_problems():
    curves = [
        pass_at_k_curve(name, [4] * 6, correct) for name, correct in (("nsr-seed1", [2] * 6), ("nsr-seed2", [3] * 6))
    ]
    curves.append(pass_at_k_curve("psr", [4] * 6, [0, 1, 2, 3, 4, 4]))
    nsr, psr = final_scores(curves, 1)
    assert list(by_seed(curves)) == ["nsr", "psr"]
    # two seeds, 0.5 and 0.75: Student's t of 1 degree of freedom is 12.7062, the error 0.125; cut to a share
    assert nsr[1:4] == pytest.approx((0.625, 0.0, 1.0))
    assert nsr.seeds == pytest.approx((0.5, 0.75))
    assert (psr.low, psr.high) == (curves[2].low[0], curves[2].high[0])


def test_bars_are_drawn_at_their_values():
    axes = Figure().subplots()
    draw_score_bars(
        axes, [ScoreBar("nsr", 0.5, 0.4, 0.6), ScoreBar("psr", nan), bar_of_seeds("grpo", [0.25])], measure="pass@1"
    )
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.25]
    assert texts_of(axes) == ["50.0", "25.0"]
    assert axes.lines[0].get_ydata().tolist() == [0.4, 0.6]
    assert axes.get_ylabel() == "pass@1"


def test_lambda_0_is_on_the_axis_and_nsr_beside_it():
    axes = Figure().subplots()
    scores = {0.0: ScoreBar("lambda_0", 0.3), 0.1: ScoreBar("lambda_0.1", 0.4), 1.0: ScoreBar("lambda_1", 0.5)}
    lines = [DoseLine(STYLES["w_reinforce"], scores)]
    draw_dose_response(axes, lines, dose="lambda", asides=[Aside(STYLES["nsr"], ScoreBar("nsr", 0.35, 0.3, 0.4))])
    line = axes.lines[0]
    assert line.get_ydata().tolist() == [0.3, 0.4, 0.5]
    assert line.get_xdata()[1:].tolist() == [0.1, 1.0]
    labels = [axes.xaxis.get_major_formatter()(place, None) for place in axes.get_xticks()]
    assert labels == ["NSR", "0", "0.1", "1"]
    assert axes.lines[1].get_xydata().tolist() == [[pytest.approx(0.01), 0.35]]


def test_runs_named_by_their_lambda_are_swept():
    curves = [
        pass_at_k_curve(f"lambda_{weight}-seed{seed}", [4] * 3, [1, 2, 3]) for weight in (0, 0.1) for seed in (1, 2)
    ]
    assert has_lambdas(curves)
    assert not has_lambdas(curves[:2])
    (axes,) = lambda_figure([*curves, pass_at_k_curve("nsr", [4] * 3, [1, 1, 1])], [1, 4]).axes
    assert [line.get_label() for line in axes.lines if not line.get_label().startswith("_")] == ["pass@1", "pass@4"]


def test_coverage_is_sorted_by_the_first_run():
    runs = [answers("base", [0, 4, 8, 0]), answers("nsr", [2, 8, 8, 0])]
    assert coverage(runs).tolist() == [[1.0, 1.0], [0.5, 1.0], [0.0, 0.25], [0.0, 0.0]]
    axes = Figure().subplots()
    draw_coverage(axes, runs)
    (image,) = axes.images
    # 0 alone is white; the smallest share that is above it has a shade of its own
    assert image.get_array().tolist() == [[10, 10], [5, 10], [0, 3], [0, 0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Base\n2 solved", "NSR\n3 solved"]
    with pytest.raises(ValueError, match="lacks 1 of the 4 problems"):
        coverage([runs[0], answers("nsr", [1, 2, 3])])


def test_reasons_stack_to_what_was_recorded():
    axes = Figure().subplots()
    run = TrainingCurve(
        "nsr", [1, 2], {"reason/correct": [0.25, 0.5], "reason/incorrect": [0.75, 0.25], "reason/truncated": [0, 0.25]}
    )
    draw_reasons(axes, run)
    assert [each.get_label() for each in axes.collections] == ["correct", "incorrect", "truncated"]
    tops = [max(y for x, y in each.get_paths()[0].vertices if x == 2) for each in axes.collections]
    assert tops == pytest.approx([0.5, 0.75, 1.0])
    assert set(COLORS) == set(Reason)
    assert set(COLORS.values()).isdisjoint(style.color for style in STYLES.values())
    assert len(set(COLORS.values())) == len(COLORS)


def test_missing_steps_are_no_zeros():
    axes = Figure().subplots()
    run = logged("nsr", 30, is_holed=True)
    draw_training(axes, [run], LOGGED_PANELS[0])
    assert axes.lines[-1].get_xdata().tolist() == [step for row, step in enumerate(run.steps) if row != 3]
    draw_reasons(Figure().subplots(), run)


# ------------------------------------------------------------------------------------------------------- bad input


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="nsr: there is no folder"):
        read_run(tmp_path / "none", name="nsr")
    with pytest.raises(
        ValueError, match=r"nsr: .* has no metrics\.jsonl, so it is no output folder of a run that has begun"
    ):
        read_run(tmp_path, name="nsr")


def test_a_half_written_line_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "data": {"train/entropy": 0.5}}\n{"step": 2, "data": {"tra')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2, is not a step like"):
        read_run(tmp_path, name="nsr")


@pytest.fixture
def run_folder(tmp_path):
    data = dict.fromkeys((*LOG_KEYS.values(), *list(REASON_KEYS.values())[:2]), 0.5)
    lines = [json.dumps({"step": step, "data": data}) for step in (1, 2)]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("base", "lambda_0", "lambda_1"):
        rows = [{"question_id": q, "generation_id": g, "label": int(g % 3 == 0)} for q in "ab" for g in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_script_writes_what_it_was_given_the_files_for(run_folder, capsys):
    out = run_folder / "out"
    given = [f"{name}={run_folder}/{name}.jsonl" for name in ("base", "lambda_0", "lambda_1")]
    SCRIPT["main"](["--out", str(out), "--runs", f"nsr={run_folder}/run", "--answers", *given])
    expected = ["coverage.png", "final.png", "lambda.png", "reasons.png", "training.png"]
    assert sorted(path.name for path in out.iterdir()) == expected
    SCRIPT["main"](["--out", str(run_folder / "two"), "--runs", f"nsr={run_folder}/run"])
    assert sorted(path.name for path in (run_folder / "two").iterdir()) == ["reasons.png", "training.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "There is nothing to draw"),
        (["--runs", "nsr"], "--runs takes NAME=PATH"),
        (["--runs", "a=x", "a=y"], "--runs names a twice"),
        (["--runs", "a=nowhere"], "a: there is no folder nowhere"),
    ],
)
def test_what_the_script_refuses(tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        SCRIPT["main"](["--out", str(tmp_path / "out"), *arguments])
