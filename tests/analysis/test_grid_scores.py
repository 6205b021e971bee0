"""Cells of a study: their scores, comparisons at equal steps and equal pass@1, and axes that are numbers."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_ext.analysis.grid_comparisons import (
    at_accuracy,
    at_common_levels,
    comparisons,
    crossing,
)
from verl_ext.analysis.grid_doses import dose_axes
from verl_ext.analysis.grid_pairs import PrimaryPair, compared_cells, compared_values, pairs_beside, pairs_of
from verl_ext.analysis.grid_scores import CellRuns, grid_scores
from verl_ext.metrics.crossed import crossed_mean, detectable
from verl_ext.metrics.validations import ValidationCounts


def counts(*correct, n=4):
    return ValidationCounts(np.full(len(correct), n), np.array(correct))


def cell(name, runs, *, objective=None, place=None, options=None, model="small"):
    """Runs by seed: step -> correct of 4 samples of each problem."""
    return CellRuns(
        name=name,
        objective=objective or name,
        place={"objective": name} if place is None else place,
        options=options or {"algorithm.adv_estimator": objective or name},
        model=model,
        runs={
            seed: {step: at if isinstance(at, ValidationCounts) else counts(*at) for step, at in steps.items()}
            for seed, steps in runs.items()
        },
    )


def random_cell(name, rng, *, num_seeds=2, num_problems=5, steps=(0, 10, 20), **more):
    runs = {f"seed{s}": {step: rng.integers(0, 5, num_problems).tolist() for step in steps} for s in range(num_seeds)}
    for steps_of in runs.values():
        steps_of[0] = [1, 2, *[0] * (num_problems - 2)]
    return cell(name, runs, **more)


def all_rows(scores):
    return [row for family in comparisons(scores).families for row in family]


# --------------------------------------------------------------------------------------------------------------- scores


def test_scores_by_hand():
    scores = grid_scores(
        [cell("nsr", {"seed1": {0: [0, 2], 10: [1, 4]}, "seed2": {0: [2, 2], 10: [0, 4], 20: [4, 4]}})]
    )
    assert (scores.ks, scores.step, scores.num_problems, scores.num_samples) == ((1, 2, 4), 10, 2, 4)
    base = scores.bases["small"]
    # of 8 samples 2 and 4 are correct: pass@1 2/8 and 4/8, pass@2 1 - C(6,2)/C(8,2) = 13/28 and 1 - C(4,2)/C(8,2) = 22/28
    assert base.values_PK[:, :2] == pytest.approx(np.array([[0.25, 13 / 28], [0.5, 22 / 28]]))
    assert base.num_draws == 2
    (nsr,) = scores.cells
    assert (nsr.seeds, nsr.steps) == (("seed1", "seed2"), (0, 10)), "step 20 was validated by one seed only"
    assert nsr.at(10)[:, :, 0] == pytest.approx(np.array([[0.25, 1.0], [0.0, 1.0]]))
    assert nsr.means_TSK[0, :, 0] == pytest.approx([0.375, 0.375]), "every seed starts at the base"
    assert scores.interval(nsr, 1).mean == pytest.approx(0.5625)


def test_runs_of_one_seed_draw_the_same_answers_of_the_base_which_count_once():
    start = {0: [0, 2], 10: [1, 1]}
    scores = grid_scores([cell("nsr", {"seed1": start}), cell("psr", {"seed1": start, "seed2": {**start, 0: [1, 2]}})])
    assert scores.bases["small"].num_draws == 2
    assert scores.bases["small"].values_PK[:, 0] == pytest.approx([1 / 8, 4 / 8])


def test_each_model_has_its_base_and_a_model_without_one_has_none():
    runs = {"seed1": {0: [0, 2], 10: [1, 1]}}
    late = {"seed1": {10: [1, 1]}}
    scores = grid_scores([cell("small", runs), cell("large", late, model="large")])
    assert list(scores.bases) == ["small"]
    assert scores.cells[1].steps == (10,)
    assert [each.name for each in comparisons(scores).versus_base] == ["small", "small"]


def test_steps_with_fewer_samples_than_the_last_are_left_out():
    many = counts(3, 8, n=8)
    scores = grid_scores([cell("nsr", {"seed1": {0: counts(1, 2, n=8), 10: [1, 2], 20: many, 30: many}})])
    assert (scores.ks, scores.cells[0].steps) == ((1, 2, 4, 8), (0, 20, 30))
    pooled = grid_scores([cell("nsr", {"a": {0: [1, 2], 30: many}, "b": {0: [0, 2], 30: many}})])
    assert pooled.ks[-1] == 8, "the base has 4 samples of each of two runs"
    assert grid_scores([cell("nsr", {"a": {0: [1, 2], 30: many}})]).ks[-1] == 4


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "no finished run"),
        (
            [cell("nsr", {"seed1": {10: [1, 2]}, "seed2": {10: [1, 2, 3]}})],
            "nsr-seed2 was validated on 3 problems and nsr-seed1 on 2.*the same data.val_files",
        ),
        (
            [cell("nsr", {"": {0: [1, 2], 10: [1, 2]}}), cell("psr", {"": {0: [1, 2], 15: [1, 2]}})],
            r"No step after the start was validated by all runs \(nsr: 0, 10; psr: 0, 15\).*trainer.test_freq",
        ),
        ([cell("nsr", {"": {10: ValidationCounts(np.array([0, 4]), np.array([0, 1]))}})], "no graded sample"),
    ],
)
def test_what_cannot_be_scored(cells, message):
    with pytest.raises(ValueError, match=message):
        grid_scores(cells)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), order=st.permutations(range(5)))
def test_order_of_problems_changes_nothing_and_k_1_is_the_mean(seed, order):
    rng = np.random.default_rng(seed)
    cells = [random_cell(name, rng) for name in ("nsr", "psr")]
    shuffled = [
        replace(
            each,
            runs={
                s: {t: ValidationCounts(*(part[list(order)] for part in c)) for t, c in run.items()}
                for s, run in each.runs.items()
            },
        )
        for each in cells
    ]
    scores, other = grid_scores(cells), grid_scores(shuffled)
    for one, two in zip(scores.cells, other.cells, strict=True):
        assert scores.interval(one, 4) == pytest.approx(other.interval(two, 4), nan_ok=True, abs=1e-9)
    for one, two in zip(all_rows(scores), all_rows(other), strict=True):
        assert (one.difference, one.low, one.p_holm) == pytest.approx(
            (two.difference, two.low, two.p_holm), nan_ok=True, abs=1e-7
        )
    correct = [run[20].num_correct_P.mean() / 4 for run in cells[0].runs.values()]
    assert scores.interval(scores.cells[0], 1).mean == pytest.approx(np.mean(correct))


@settings(max_examples=25)
@given(st.integers(0, 2**16))
def test_runs_that_are_equal_do_not_differ(seed):
    one = random_cell("nsr", np.random.default_rng(seed))
    twin = replace(one, name="psr", objective="psr", place={"objective": "psr"})
    for row in comparisons(grid_scores([one, twin])).between_cells:
        assert (row.difference, row.low, row.high, row.p_holm) == (0, 0, 0, 1)
        assert isnan(row.detectable)
        assert not row.is_decided


# -------------------------------------------------------------------------------------------------------- which pairs


def grid(**axes):
    """A cell for each place of a grid, all of one objective unless an axis is called objective."""
    places = [{}]
    for axis, values in axes.items():
        places = [{**place, axis: value} for place in places for value in values]
    rng = np.random.default_rng(0)
    return [
        random_cell(
            "-".join(place.values()),
            rng,
            place=place,
            objective=place.get("objective", "w_reinforce"),
            options={axis: value for axis, value in place.items() if value != "exact"},
        )
        for place in places
    ]


def named(pairs):
    return [f"{later.name} - {earlier.name}" for later, earlier in pairs]


def test_all_are_compared_but_on_a_long_axis_that_is_none_of_objectives():
    scores = grid_scores(grid(objective=["psr", "nsr"], grader=["exact", "wrong_5", "wrong_10"]))
    assert named(pairs_of(scores.cells)) == [
        "nsr-exact - psr-exact",
        "nsr-wrong_5 - psr-wrong_5",
        "nsr-wrong_10 - psr-wrong_10",
        "psr-wrong_5 - psr-exact",
        "nsr-wrong_5 - nsr-exact",
        "psr-wrong_10 - psr-exact",
        "nsr-wrong_10 - nsr-exact",
        "psr-wrong_10 - psr-wrong_5",
        "nsr-wrong_10 - nsr-wrong_5",
    ]
    assert len(named(pairs_of(grid_scores(grid(objective=["a", "b", "c", "d"])).cells))) == 6
    assert len(named(pairs_of(grid_scores(grid(rate=["a", "b", "c", "d", "e"])).cells))) == 10
    assert len(named(pairs_of(grid_scores(grid(rate=["a", "b", "c", "d", "e", "f"])).cells))) == 5


def test_runs_beside_the_grid_are_compared_with_those_that_are_most_like_them():
    beside = random_cell(
        "corrected", np.random.default_rng(1), place={}, options={"grader": "wrong_5", "correction": "1"}
    )
    scores = grid_scores([*grid(grader=["exact", "wrong_5"]), beside])
    assert named(pairs_beside(scores.cells)) == ["corrected - wrong_5"]
    assert [row.name for row in comparisons(scores).beside_the_grid] == ["corrected", "corrected"]
    rng = np.random.default_rng(0)
    alone = grid_scores([random_cell(name, rng, place={}) for name in ("a", "b")])
    assert named(pairs_of(alone.cells)) == ["b - a"]
    assert named(pairs_beside(alone.cells)) == []


def test_an_axis_is_compared_on_the_average_over_the_others():
    scores = grid_scores(grid(sign=["a", "b"], clip=["on", "off"]))
    a_on, a_off, b_on, b_off = (each.at(20)[:, :, -1] for each in scores.cells)
    found = {(row.name, row.base): row for row in comparisons(scores).of_axes if row.k == 4}
    assert list(found) == [("b", "a"), ("off", "on")]
    expected = crossed_mean((b_on + b_off - a_on - a_off) / 2)
    assert (found["b", "a"].difference, found["b", "a"].high) == pytest.approx((expected.mean, expected.high))
    assert comparisons(grid_scores(grid(sign=["a", "b"]))).of_axes == []


def test_differences_are_paired_by_the_seeds_that_both_have():
    a = cell("psr", {"seed1": {10: [1, 2]}, "seed2": {10: [4, 4]}})
    b = cell("nsr", {"seed2": {10: [1, 3]}, "seed3": {10: [0, 0]}})
    first = comparisons(grid_scores([a, b])).between_cells[0]
    assert (first.num_seeds, first.difference) == (1, pytest.approx(-0.5))
    alone = comparisons(grid_scores([a, cell("nsr", {"seed3": {10: [0, 0]}})])).between_cells[0]
    assert alone.num_seeds == 0
    assert isnan(alone.p_value)
    assert not alone.is_decided


def test_holm_is_over_each_family():
    scores = grid_scores(grid(objective=["a", "b", "c"]))
    rows = comparisons(scores).between_cells
    smallest = min(rows, key=lambda row: row.p_value)
    assert smallest.p_holm == pytest.approx(min(1.0, 6 * smallest.p_value))


def shown(pairs):
    return [(f"{pair[0]} - {pair[1]}", pair.is_primary) for pair in pairs]


def shown_cells(cells, primary):
    return [
        (f"{pair.first.name} - {pair.second.name}", pair.is_primary, pair.is_beside)
        for pair in compared_cells(cells, primary)
    ]


def test_what_a_study_is_about_comes_first_and_in_its_direction():
    cells = grid_scores(grid(objective=["psr", "nsr", "grpo"])).cells
    primary = [PrimaryPair("nsr", "psr", None), PrimaryPair("psr", "grpo", None)]
    assert shown_cells(cells, primary) == [
        ("nsr - psr", True, False),
        ("psr - grpo", True, False),
        ("grpo - nsr", False, False),
    ]
    assert {is_primary for _, is_primary, _ in shown_cells(cells, [])} == {True}, "without any it is about all"


def test_two_values_of_an_axis_stand_for_all_cells_that_differ_in_them_alone():
    beside = random_cell(
        "corrected", np.random.default_rng(1), place={}, options={"grader": "wrong_5", "correction": "1"}
    )
    cells = grid_scores([*grid(grader=["exact", "wrong_5"], size=["s", "m"]), beside]).cells
    primary = [PrimaryPair("wrong_5", "exact", "grader"), PrimaryPair("corrected", "wrong_5-m", None)]
    assert shown_cells(cells, primary) == [
        ("wrong_5-s - exact-s", True, False),
        ("wrong_5-m - exact-m", True, False),
        ("corrected - wrong_5-m", True, True),
        ("exact-m - exact-s", False, False),
        ("wrong_5-m - wrong_5-s", False, False),
        ("corrected - wrong_5-s", False, True),
    ]
    in_grid = [each for each in cells if each.place]
    assert shown(compared_values("grader", in_grid, primary)) == [("wrong_5 - exact", True)]
    assert shown(compared_values("size", in_grid, primary)) == [("m - s", False)]


def test_holm_is_over_what_the_study_is_about():
    """Of 12 comparisons of cells 4 are named; the others keep their own p, and are never decided."""
    scores = grid_scores(grid(objective=["a", "b", "c", "d"]))
    primary = [PrimaryPair("b", "a", None), PrimaryPair("c", "a", None)]
    compared = comparisons(scores, primary)
    rows = compared.between_cells
    assert [(row.name, row.base) for row in rows if row.is_primary] == [("b", "a")] * 2 + [("c", "a")] * 2
    smallest = min(rows[:4], key=lambda row: row.p_value)
    assert smallest.p_holm == pytest.approx(min(1.0, 4 * smallest.p_value))
    b, a = scores.cells[1], scores.cells[0]
    assert rows[0].detectable == detectable((b.at(20) - a.at(20))[:, :, 0], 4)
    for row in rows[4:]:
        assert isnan(row.p_holm)
        assert isnan(row.detectable)
        assert not row.is_decided
        assert 0 < row.p_value <= 1
    assert all(row.is_primary for row in compared.versus_base), "each cell is compared with the base in any case"
    assert (len(compared.primary), compared.num_exploratory) == (8 + 4 + len(compared.at_equal_accuracy[:2]), 8 + 4)


def test_a_comparison_whose_runs_are_not_there_yet_is_left_out():
    cells = grid_scores(grid(objective=["a", "b"])).cells
    assert shown_cells(cells, [PrimaryPair("c", "a", None)]) == [("b - a", False, False)]


def test_a_study_is_about_averages_over_the_other_axes_where_it_names_values():
    scores = grid_scores(grid(sign=["a", "b"], clip=["on", "off"]))
    rows = comparisons(scores, [PrimaryPair("a", "b", "sign")]).of_axes
    assert [(row.name, row.base, row.k, row.is_primary) for row in rows] == [
        ("a", "b", 1, True),
        ("off", "on", 1, False),
        ("a", "b", 4, True),
        ("off", "on", 4, False),
    ]


# ----------------------------------------------------------------------------------------------------- equal pass@1


def test_crossing_a_level_by_hand():
    """pass@1 goes 1/4, 1/2, 1/4, 1: the level 3/8 is first crossed halfway to the second validation."""
    scores = grid_scores([cell("nsr", {"": {0: [0, 2], 10: [0, 4], 20: [0, 2], 30: [4, 4]}})])
    assert crossing(scores.cells[0], 0, 0.375) == (1, pytest.approx(0.5))
    assert crossing(scores.cells[0], 0, 0.75) == (3, pytest.approx(2 / 3))
    values = at_accuracy(scores.cells[0], 0.375)
    # pass@4 is 0 and 1 at both validations, and does not rise with pass@1: nothing to correct
    assert values.tolist() == [[0.0, 1.0]]
    # from (0, 1) at step 20 to (1, 1): interpolated 2/3 and 1; a rise of 1/2 for 3/4 of pass@1; pass@1 there is 2/3, 5/6
    values = at_accuracy(scores.cells[0], 0.75)
    assert values[0] == pytest.approx([2 / 3 - 2 / 3 * (2 / 3 - 0.75), 1 - 2 / 3 * (5 / 6 - 0.75)])
    assert values.mean() == pytest.approx(5 / 6)


def test_pairs_are_compared_at_the_largest_pass_at_1_that_all_their_runs_reach():
    fast = cell("psr", {"seed1": {0: [1, 1], 10: [2, 4]}, "seed2": {0: [1, 1], 10: [4, 4]}})
    slow = cell("nsr", {"seed1": {0: [1, 1], 10: [1, 3]}, "seed2": {0: [1, 1], 10: [4, 0]}})
    compared = comparisons(grid_scores([fast, slow]))
    (row,) = compared.at_equal_accuracy
    assert (row.name, row.base, row.k, row.at) == ("nsr", "psr", 4, pytest.approx(0.5))
    assert compared.not_reached == []


def test_where_it_is_not_reached_the_run_is_named():
    fast = cell("psr", {"seed1": {0: [1, 1], 10: [2, 4]}})
    never = cell("nsr", {"seed1": {0: [1, 1], 10: [0, 1]}})
    compared = comparisons(grid_scores([fast, never]))
    assert compared.at_equal_accuracy == []
    (each,) = compared.not_reached
    assert each.why == "pass@1 of nsr-seed1 is never above 25.0 %, and nsr starts at 25.0 %"


def test_common_levels_and_who_reaches_them():
    fast = cell("psr", {"seed1": {0: [0, 0], 10: [4, 4]}})
    slow = cell("nsr", {"seed1": {0: [0, 0], 10: [2, 2]}})
    found = at_common_levels(grid_scores([fast, slow]))
    assert [each.level for each in found if each.name == "psr"] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [len(each.steps) for each in found] == [1, 1, 1, 1, 1, 1, 0, 0]
    assert [each.steps[0] for each in found[:6]] == pytest.approx([2.5, 5.0, 7.5, 10.0, 5.0, 10.0])
    assert found[5].pass_at_k == pytest.approx((1.0,))


@settings(max_examples=25)
@given(st.integers(0, 2**16))
def test_at_equal_pass_at_1_the_mean_is_what_is_interpolated(seed):
    rng = np.random.default_rng(seed)
    scores = grid_scores([random_cell("nsr", rng, num_problems=8)])
    (each,) = scores.cells
    level = 0.4
    for run in range(2):
        if each.means_TSK[:, run, 0].max() > level:
            after, weight = crossing(each, run, level)
            between = (1 - weight) * each.means_TSK[after - 1, run] + weight * each.means_TSK[after, run]
            one = replace(each, values_TSPK=each.values_TSPK[:, [run]], seeds=(each.seeds[run],))
            assert at_accuracy(one, level).mean() == pytest.approx(between[-1])
            assert between[0] == pytest.approx(level)


# --------------------------------------------------------------------------------------------------------------- doses


def test_axes_that_are_numbers():
    scores = grid_scores(
        grid(objective=["psr", "nsr"], grader=["exact", "false_wrong_5", "false_wrong_20", "false_right_5"])
    )
    wrong, right = dose_axes(scores.cells)
    assert (wrong.axis, wrong.dose, right.dose) == ("grader", "false wrong", "false right")
    assert {name: {number: each.name for number, each in line.items()} for name, line in wrong.lines.items()} == {
        "psr": {0.0: "psr-exact", 5.0: "psr-false_wrong_5", 20.0: "psr-false_wrong_20"},
        "nsr": {0.0: "nsr-exact", 5.0: "nsr-false_wrong_5", 20.0: "nsr-false_wrong_20"},
    }
    (weights,) = dose_axes(grid_scores(grid(**{"lambda": ["lambda_0", "lambda_0.05", "lambda_1"]})).cells)
    assert {name: list(line) for name, line in weights.lines.items()} == {"w_reinforce": [0.0, 0.05, 1.0]}


def test_axes_that_are_none():
    assert dose_axes(grid_scores(grid(clip=["clipped", "unclipped"])).cells) == []
    assert dose_axes(grid_scores(grid(size=["size_1.2.3", "size_4"])).cells) == []
    sets_something = grid(rate=["off", "rate_1"])
    (found,) = dose_axes(grid_scores(grid(rate=["off", "rate_1", "rate_2"])).cells)
    assert list(found.lines["w_reinforce"]) == [1.0, 2.0], "off sets an option of its own, so it is no rate of 0"
    assert dose_axes(grid_scores(sets_something).cells) == []
