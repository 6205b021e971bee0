"""Options of the objectives that compare samples, and of a weight that moves: what the launcher refuses."""

import pytest

from verl_ext.training.checks import algorithm
from verl_ext.training.configuration import compose_config


def check(*overrides: str) -> None:
    config = compose_config(["actor_rollout_ref.rollout.n=4", *overrides], device="cpu")
    algorithm.check_estimator(config)


SCHEDULE = ("algorithm.positive_advantage_weight_schedule=linear", "algorithm.positive_advantage_weight_end=1")


@pytest.mark.parametrize(
    "overrides",
    [
        ("algorithm.adv_estimator=grpo_virtual_success",),
        ("algorithm.adv_estimator=pass_at_k_training", "algorithm.pass_at_k=4"),
        ("algorithm.adv_estimator=pkpo", "algorithm.pass_at_k=1", "algorithm.pkpo_baseline=none"),
        ("algorithm.adv_estimator=qae", "algorithm.qae_quantile=0.6"),
        ("algorithm.adv_estimator=rs_grpo", "algorithm.rs_grpo_beta=4"),
        ("algorithm.adv_estimator=maxrl",),
        ("algorithm.adv_estimator=w_reinforce", *SCHEDULE),
        ("algorithm.adv_estimator=psr_nsr", "algorithm.advantage=weighted", *SCHEDULE),
    ],
)
def test_what_goes_together_passes(overrides):
    check(*overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("algorithm.adv_estimator=pkpo",), "adv_estimator=pkpo needs algorithm.pass_at_k"),
        (
            ("algorithm.adv_estimator=pass_at_k_training", "algorithm.pass_at_k=8"),
            "algorithm.pass_at_k=8 needs at least 8 responses to each prompt, but actor_rollout_ref.rollout.n=4",
        ),
        (
            ("algorithm.pass_at_k=4",),
            "pass_at_k=4 is for pass_at_k_training, pkpo; algorithm.adv_estimator=nsr does not",
        ),
        (
            ("algorithm.adv_estimator=grpo_virtual_success", "algorithm.pass_at_k=2"),
            "adv_estimator=grpo_virtual_success does not read it",
        ),
        (
            ("algorithm.adv_estimator=pkpo", "algorithm.pass_at_k=2", "algorithm.pkpo_baseline=loo"),
            "algorithm.pkpo_baseline must be one of loo_minus_one, none, got loo",
        ),
        (
            ("algorithm.adv_estimator=grpo_virtual_success", "algorithm.use_kl_in_reward=True"),
            "grpo_virtual_success reads right or wrong from the reward",
        ),
        (("algorithm.adv_estimator=pkop", "algorithm.pass_at_k=2"), "Did you mean pkpo?"),
        (SCHEDULE, "which algorithm.adv_estimator=nsr does not have"),
    ],
)
def test_each_mistake_is_named(overrides, message):
    with pytest.raises(ValueError) as error:
        check(*overrides)
    assert message in str(error.value)
