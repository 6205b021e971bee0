"""The curves of runs: one for each objective with its options, named by them, and a reason for what has none."""

from math import sqrt

import pytest

from tests.objectives.likely import grpo_of
from verl_ext.objectives import run_curves
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.run_curves import RunSettings, curve_name, curves_of_runs
from verl_ext.objectives.weight_curve import weight_curve


def run(name, objective, num_samples=4, **options):
    return RunSettings(name, {"adv_estimator": objective, **options}, num_samples)


def test_one_curve_for_each_objective_with_its_options():
    found = curves_of_runs(
        [
            run("w-seed1", "w_reinforce", positive_advantage_weight=0.1),
            run("w-seed2", "w_reinforce"),
            run("paper", "psr_nsr", advantage="weighted"),
            run("w3", "w_reinforce", positive_advantage_weight=0.3),
            run("qae", "qae", qae_quantile=0.25),
            run("nsr", "nsr"),
            run("flipped", "nsr", noisy_grader={"false_negative_rate": 0.2}),
        ]
    )
    assert [curve.name for curve in found.curves] == [
        "w_reinforce, λ = 0.1",
        "w_reinforce, λ = 0.3",
        "qae, K = 0.25",
        "nsr",
    ]
    assert found.curves[1].positive[1:] == [0.3] * 4
    assert found.without == {}


def test_an_option_that_no_name_says_still_has_its_curve(monkeypatch):
    monkeypatch.setattr(run_curves, "SETTINGS", {})
    found = curves_of_runs([run(str(quantile), "qae", qae_quantile=quantile) for quantile in (0.25, 0.75, 0.25)])
    assert [curve.name for curve in found.curves] == ["qae", "qae"]


def test_groups_of_two_sizes_are_told_apart():
    found = curves_of_runs([run("a", "maxrl", 4), run("b", "maxrl", 8)])
    assert [(curve.name, len(curve.accuracy)) for curve in found.curves] == [("maxrl, n = 4", 5), ("maxrl, n = 8", 9)]


@pytest.mark.parametrize(
    ("objective", "options", "name"),
    [
        ("grpo", {"norm_adv_by_std_in_grpo": False}, "GRPO, not over std"),
        ("maxrl", {"norm_adv_by_std_in_grpo": False}, "maxrl"),
        ("pkpo", {"pass_at_k": 2, "pkpo_baseline": "none"}, "pkpo, k = 2, no baseline"),
        ("psr", {"group_normalize": True}, "psr, normalized"),
        (
            "nsr",
            {"noisy_grader": {"false_negative_rate": 0.2, "correction": "forward"}},
            "nsr, corrected for 0.2 and 0",
        ),
        (
            "w_reinforce",
            {
                "positive_advantage_weight_schedule": "linear",
                "positive_advantage_weight_end": 1,
                "positive_advantage_weight": 0.1,
            },
            "w_reinforce, λ = 0.1 to 1",
        ),
    ],
)
def test_a_name_says_what_moves_the_weights(objective, options, name):
    assert curve_name(AlgorithmOptions.read(options, adv_estimator=objective)) == name


@pytest.mark.parametrize("by_deviation", [True, False])
def test_grpo_is_verls_by_the_deviation_of_all_rewards(by_deviation):
    curve = weight_curve(AlgorithmOptions.read({"norm_adv_by_std_in_grpo": by_deviation}, adv_estimator="grpo"), 5)
    for num_correct in range(1, 5):
        advantages = grpo_of([True] * num_correct + [False] * (5 - num_correct), by_deviation=by_deviation).tolist()
        scale = sqrt(5 / 4) if by_deviation else 1.0  # verl divides by n - 1
        assert curve.positive[num_correct] == pytest.approx(scale * advantages[0], rel=1e-5)
        assert curve.negative[num_correct] == pytest.approx(-scale * advantages[-1], rel=1e-5)
    assert (curve.negative[0], curve.positive[5]) == (0, 0)
    assert curve.trained == [0, 1, 1, 1, 1, 0]


def test_what_has_no_curve_has_a_reason():
    found = curves_of_runs(
        [
            run("ppo-seed1", "gae"),
            run("psr", "psr"),
            run("ppo-seed2", "gae"),
            RunSettings("bare", None, 4),
            RunSettings("other", {"gamma": 1.0}, 4),
            run("sizeless", "nsr", None),
            run("penalized", "grpo", use_kl_in_reward=True),
        ]
    )
    assert [curve.name for curve in found.curves] == ["psr"]
    assert found.without == {
        "algorithm.adv_estimator=gae is no formula of a prompt's outcomes.": ["ppo-seed1", "ppo-seed2"],
        "algorithm.adv_estimator is not on record.": ["bare", "other"],
        "actor_rollout_ref.rollout.n is not on record.": ["sizeless"],
        "algorithm.use_kl_in_reward=True changes the rewards, so that they are no outcomes.": ["penalized"],
    }
