"""Every figure of one run, twelve, none, an empty one, one with holes and one of one step; drawing leaves no trace."""

import builtins
import io
import os
import pkgutil
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from inspect import isfunction, signature
from math import nan

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.analysis.runs import run
from tests.plots.test_decomposition import FOUND
from tests.plots.test_run_figures import logged
from verl_ext import plots
from verl_ext.analysis.accuracy_distribution import NUM_BINS, AccuracyDistribution, accuracy_distribution
from verl_ext.analysis.breakdown import Breakdown, breakdown
from verl_ext.analysis.grid_comparisons import comparisons
from verl_ext.analysis.grid_scores import CellRuns, grid_scores
from verl_ext.analysis.least_squares import least_squares
from verl_ext.analysis.new_ability import new_ability
from verl_ext.analysis.softmax_training import train_softmax
from verl_ext.analysis.two_estimates import two_estimates
from verl_ext.metrics.summary import curve_of
from verl_ext.metrics.validations import ValidationCounts
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.objective import SignWeights
from verl_ext.objectives.weight_curve import weight_curve
from verl_ext.plots.answer_bars import AnswerPath, answer_bars_figure, answer_bars_strip
from verl_ext.plots.cell_figures import cell_figures, training_figures
from verl_ext.plots.decomposition import decomposition_figure, decomposition_strip
from verl_ext.plots.dynamics_panels import LogitPart, logit_changes_figure
from verl_ext.plots.figures import pass_at_k_figure, training_figure, two_estimates_figure
from verl_ext.plots.objective_weights import objective_weights_figure
from verl_ext.plots.run_figures import coverage_figure, final_figure, has_reasons, lambda_figure, reasons_figure
from verl_ext.plots.step_choices import ValidatedSteps, step_choices_figure
from verl_ext.plots.study_figures import breakdown_figure, distribution_figure, least_squares_figure, new_ability_figure
from verl_ext.plots.style import STYLES
from verl_ext.plots.training_curves import LOGGED_PANELS, PANELS


@dataclass(frozen=True)
class Case:
    """Runs to draw; an empty one has no step or problem, one with holes lacks some and has them unlike the others."""

    names: tuple[str, ...]
    num_steps: int = 30
    is_holed: bool = False


TWELVE = (*STYLES, "dapo", "rloo", "maxrl", "qae", "pkpo")
CASES = {
    "one": Case(("nsr",)),
    "twelve": Case(TWELVE),
    "none": Case(()),
    "empty": Case(("nsr",), num_steps=0),
    "holes": Case(("nsr", "psr"), is_holed=True),
    "one step": Case(("nsr",), num_steps=1),
}


def training(case):
    return [logged(name, case.num_steps, case.is_holed and number == 0) for number, name in enumerate(case.names)]


def answered(case, names=None):
    """Twenty problems, or one; with holes each run has another number of samples of each, all but one below 8."""
    rng = np.random.default_rng(0)
    num_problems = min(case.num_steps, 20)
    found = []
    for name in case.names if names is None else names:
        n_P = np.full(num_problems, 1 if case.num_steps == 1 else 8)
        if case.is_holed:
            n_P[1:] = rng.integers(1, 8, num_problems - 1)
        groups = {
            "level": [f"Level {1 + row % 4}" for row in range(num_problems)],
            "subject": [f"subject {row % 3}" for row in range(num_problems)],
        }
        found.append(run(name, map(str, range(num_problems)), rng.integers(0, n_P + 1), n_P, groups=groups))
    return found


def ks(case):
    return [1] if case.num_steps == 1 else [1, 8]


def curves(case, names=None):
    return [curve_of(each, ks(case)) for each in answered(case, names)]


def swept(case):
    return curves(case, [f"lambda_{number}" for number, _ in enumerate(case.names)])


def distributions(case):
    if case.num_steps:
        return [accuracy_distribution(each) for each in answered(case)]
    nothing = {"num_problems": 0, "min_samples": 0, "max_samples": 0, "num_never": 0, "num_always": 0}
    between, unknown = (0,) * NUM_BINS, (nan, nan, nan)
    return [
        AccuracyDistribution(name=name, num_between=between, mean=nan, quartiles=unknown, **nothing)
        for name in case.names
    ]


def levels(case):
    if case.names and case.num_steps:
        return breakdown(answered(case), "level", [1])
    return Breakdown(field="level", values=(), num_problems=(), curves=dict.fromkeys(case.names, ()))


def abilities(case):
    (base,) = answered(replace(case, num_steps=case.num_steps or 20), ["base"])
    if not case.num_steps:  # nothing is unsolved
        base = replace(base, num_correct_P=base.num_samples_P)
    base.num_correct_P[::2] *= not case.num_steps
    return [new_ability(each, base) for each in answered(replace(case, num_steps=base.num_problems))]


def fits(case):
    found = [least_squares(each) for each in answered(replace(case, num_steps=20))]
    return found if case.num_steps > 1 else [replace(each, coefficients=each.coefficients[:1]) for each in found]


def weights(case):
    """Of objectives; with holes, of one that weighs by likelihoods, and without some of its numbers."""
    names = ["unlikeliness"] if case.is_holed else [("psr", "maxrl", "qae")[n % 3] for n, _ in enumerate(case.names)]
    found = [weight_curve(AlgorithmOptions.read({}, adv_estimator=name), min(case.num_steps, 8)) for name in names]
    for curve in found if case.is_holed else []:
        curve.positive[2:5] = [nan] * 3
    return found


def validated(case):
    found = []
    for number, name in enumerate(case.names):
        steps = [step for step in range(case.num_steps) if not (case.is_holed and step % 7 > number + 1)]
        values = [nan if case.is_holed and step == 8 else step / 40 for step in steps]
        found.append(ValidatedSteps(f"{name}-seed{number % 2}", steps, values, steps[-1], steps[0], None))
    return found


def logit_parts(case):
    rng = np.random.default_rng(0)
    found = []
    for number, _ in enumerate(case.names):
        predicted, alone, together = rng.normal(size=(3, case.num_steps))
        if case.is_holed:
            alone[::4] = nan
        is_drawn = np.arange(case.num_steps) % 5 == 0
        found.append(LogitPart(("psr", "nsr")[number % 2], predicted, alone, together, is_drawn, (nan, 0.5)))
    return found


def decomposed(case):
    """The arguments of both figures up to the step."""
    size = {"num_steps": case.num_steps, "num_samples": 4, "learning_rate": 1.0}
    runs = [
        train_softmax(name, SignWeights(1.0, 1.0), FOUND.probabilities, FOUND.is_right, **size) for name in case.names
    ]
    return runs, FOUND, [f"{name}\nall of it" for name in case.names]


def paths(case):
    steps = tuple(range(0, 3 * case.num_steps, 3))
    steps = steps[:2] + steps[20:] if case.is_holed else steps
    found = []
    for name in case.names:
        shares = tuple(0.5 + step / 200 for step in steps)
        tables = tuple((share, 0.01, 0.1) for share in shares)
        found.append(AnswerPath(name, ("1+2", "2+1", "1*2"), (True, True, False), steps, tables, shares, shares))
    return found


def study(case):
    """A cell for each name; many make a grid of objectives and lambdas; with holes, runs that were validated unlike."""
    places = [{"objective": name} for name in case.names]
    if len(places) > 8:
        places = [
            {"objective": name, "lambda": f"lambda_{weight}"} for name in case.names[1:4] for weight in (0, 0.1, 1, 2)
        ]
    rng = np.random.default_rng(0)
    num_samples = 1 if case.num_steps == 1 else 8
    steps = range(0, case.num_steps, 10)

    def counts(most):
        n_P = np.full(6, most) if not case.is_holed else np.array([most, *rng.integers(most // 2, most + 1, 5)])
        return ValidationCounts(n_P, rng.integers(0, n_P + 1))

    cells = []
    for number, place in enumerate(places):
        runs = {f"seed{seed}": {step + 1: counts(num_samples) for step in steps} for seed in range(2)}
        if not case.num_steps:
            runs = {"seed0": {0: counts(num_samples)}}
        if case.is_holed:
            runs = {
                "seed0": {0: counts(8), **runs["seed0"], 5: counts(2)},
                "seed1": dict(list(runs["seed1"].items())[1:]),
            }
        cells.append(
            CellRuns(
                name="-".join(place.values()),
                objective=place["objective"],
                place=place,
                options=place,
                model=f"model {number}" if case.is_holed else "m",
                runs=runs if case.num_steps != 1 else {"": runs["seed0"]},
            )
        )
    return grid_scores(cells)


def study_figures(case):
    scores = study(case)
    return partial(cell_figures, scores, comparisons(scores))


def study_training(case):
    """With holes, of seeds that share no step."""
    cells = study(CASES["twelve"])
    logs = [logged("seed", case.num_steps, case.is_holed), logged("seed", case.num_steps)]
    if case.is_holed:
        logs[1] = replace(logs[1], steps=[100 + step for step in logs[1].steps])
    of_cells = {cell.name: logs for cell, _ in zip(cells.cells, case.names, strict=False)}
    return partial(training_figures, cells, of_cells, panels=PANELS)


FIGURES = {
    "training_figure": lambda case: partial(training_figure, training(case), panels=LOGGED_PANELS),
    "reasons_figure": lambda case: partial(reasons_figure, training(case)),
    "pass_at_k_figure": lambda case: partial(pass_at_k_figure, curves(case)),
    "two_estimates_figure": lambda case: partial(
        two_estimates_figure, [two_estimates(each) for each in answered(case)]
    ),
    "final_figure": lambda case: partial(final_figure, curves(case), ks(case)),
    "lambda_figure": lambda case: partial(lambda_figure, swept(case), ks(case)),
    "coverage_figure": lambda case: partial(coverage_figure, answered(case)),
    "distribution_figure": lambda case: partial(distribution_figure, distributions(case)),
    "breakdown_figure": lambda case: partial(breakdown_figure, levels(case)),
    "new_ability_figure": lambda case: partial(new_ability_figure, abilities(case), ["base", *case.names]),
    "least_squares_figure": lambda case: partial(least_squares_figure, fits(case), case.names),
    "objective_weights_figure": lambda case: partial(objective_weights_figure, weights(case), heading="Weights"),
    "step_choices_figure": lambda case: partial(step_choices_figure, validated(case), measure="pass@1", is_share=True),
    "logit_changes_figure": lambda case: partial(logit_changes_figure, logit_parts(case), heading="Logits"),
    "decomposition_figure": lambda case: partial(decomposition_figure, *decomposed(case), step=case.num_steps),
    "decomposition_strip": lambda case: partial(decomposition_strip, *decomposed(case), steps=[0, case.num_steps]),
    "answer_bars_figure": lambda case: partial(answer_bars_figure, paths(case), 0, problem="1 2 = 3", model="m"),
    "answer_bars_strip": lambda case: partial(answer_bars_strip, paths(case), [0, 0], problem="1 2 = 3"),
    "cell_figures": study_figures,
    "training_figures": study_training,
}
OF_CELL_FIGURES = {
    *("pass_at_k_of_cells", "over_steps_figure", "plane_figure"),
    *("forest_figure", "dose_figure", "coverage_of_cells"),
}
EMPTY_PAPER = {"narrow_figure", "wide_figure", "empty_figure", "figure_of_nothing"}
REFUSED = {
    **{(kind, "empty"): "needs at least 1 problem" for kind in ("pass_at_k_figure", "final_figure", "lambda_figure")},
    ("two_estimates_figure", "empty"): "needs at least 1 problem",
    ("cell_figures", "none"): "There is no finished run",
    ("cell_figures", "empty"): "No step after the start",
}
"""Before there is anything to draw."""
IMPOSSIBLE = {
    ("objective_weights_figure", "empty"): "a group has a response",
    ("step_choices_figure", "empty"): "a run has the step that is its last",
    ("decomposition_figure", "empty"): "a training has a step",
    ("decomposition_strip", "empty"): "a training has a step",
    ("decomposition_figure", "holes"): "it is computed, and whole",
    ("decomposition_strip", "holes"): "it is computed, and whole",
    ("answer_bars_figure", "empty"): "the checkpoint that is drawn is one of the path's",
    ("answer_bars_strip", "empty"): "the checkpoint that is drawn is one of the path's",
}
DRAWN = [(kind, name) for kind in FIGURES for name in CASES if (kind, name) not in REFUSED | IMPOSSIBLE]


def test_no_figure_is_left_out():
    modules = [import_module(f"{plots.__name__}.{each.name}") for each in pkgutil.iter_modules(plots.__path__)]
    made = {
        name
        for module in modules
        for name, found in vars(module).items()
        if isfunction(found) and found.__module__ == module.__name__ and not name.startswith("_")
        if found.__annotations__.get("return") in (Figure, dict[str, Figure])
    }
    assert made - EMPTY_PAPER - OF_CELL_FIGURES == set(FIGURES)


@pytest.mark.parametrize(("kind", "name"), REFUSED)
def test_what_cannot_be_drawn_is_refused_before(kind, name):
    with pytest.raises(ValueError, match=REFUSED[kind, name]):
        FIGURES[kind](CASES[name])


@pytest.fixture(scope="module")
def _fonts_are_known():
    """They are looked up once, and the list is a file."""
    figure = pass_at_k_figure(curves(CASES["one"]))
    FigureCanvasAgg(figure).draw()


@pytest.fixture
def read_only(monkeypatch, tmp_path):
    """A folder to be in, where nothing is opened to write by ``open``, pathlib's included."""

    def without_writing(opened, file, mode="r", *rest, **more):
        assert not set(mode) & set("wax+"), f"{file} was opened to write"
        return opened(file, mode, *rest, **more)

    monkeypatch.chdir(tmp_path)
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", partial(without_writing, module.open))
    return tmp_path


def global_state():
    return dict(mpl.rcParams), sorted(Gcf.figs), np.random.get_state()[1].tolist()


@pytest.mark.usefixtures("_fonts_are_known")
@pytest.mark.parametrize(("kind", "name"), DRAWN)
def test_any_number_of_runs_is_drawn_and_leaves_no_trace(kind, name, read_only, recwarn):
    plot = FIGURES[kind](CASES[name])
    recwarn.clear()  # of the numbers, which are not drawn yet
    before = global_state()
    for options in ({}, {"is_narrow": True}) if "is_narrow" in signature(plot.func).parameters else ({},):
        made = plot(**options)
        assert global_state() == before
        for figure in made.values() if isinstance(made, dict) else [made]:
            said = {text.get_text() for axes in figure.axes for text in axes.texts} - {""}
            assert figure.axes
            assert name != "none" or said == {"not recorded"}
            figure.set_dpi(40)  # the layout is the same, and drawing it faster
            FigureCanvasAgg(figure).draw()
    assert os.listdir(read_only) == []
    assert [str(warning.message) for warning in recwarn] == []


def test_a_run_without_steps_has_no_reasons():
    assert not has_reasons(training(CASES["empty"]))
