"""Options that the sign-filtering trainer cannot do what they say with are refused, by it and by the launcher."""

import pytest

from verl_ext.training.checks.algorithm import check_estimator
from verl_ext.training.checks.trainer_options import check_trainer_options
from verl_ext.training.configuration import compose_config
from verl_ext.training.step.loss_share import LINEAR_LOSSES, kept_share

DROP, ALL = "algorithm.drop_zero_advantage=True", "algorithm.loss_normalizer=all"
LOSS = "actor_rollout_ref.actor.policy_loss.loss_mode"
MODE = "actor_rollout_ref.actor.loss_agg_mode"

REFUSED = {
    "KL in the reward after the filter": (
        [DROP, "algorithm.adv_estimator=grpo", "algorithm.use_kl_in_reward=True"],
        "removes samples by their rewards before the KL penalty, and algorithm.use_kl_in_reward=True",
    ),
    "a critic's advantages": (
        [DROP, "algorithm.adv_estimator=gae"],
        "adv_estimator=gae removes .* this one needs a critic's values",
    ),
    "whitened advantages": (
        [DROP, "algorithm.adv_estimator=reinforce_plus_plus_baseline"],
        "adv_estimator=reinforce_plus_plus_baseline removes .* this one normalizes over the batch",
    ),
    "a critic beside nsr": (["critic.enable=True"], "needs a critic's values.* or critic.enable to null"),
    "a loss that is not proportional": ([ALL, f"{LOSS}=kl_cov"], "loss_mode=kl_cov is not known to be"),
    "a divisor that depends on what is left": (
        [ALL, f"{MODE}=seq-mean-token-sum-norm"],
        "loss_agg_mode=seq-mean-token-sum-norm needs actor_rollout_ref.actor.loss_scale_factor",
    ),
    "a teacher": (["distillation.enabled=True"], "distillation.enabled=True needs every sample .*trainer_mode=sync"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("check", [check_trainer_options, check_estimator])
def test_refused(case, check):
    overrides, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        check(compose_config(overrides, device="cpu"))


@pytest.mark.parametrize(
    "overrides",
    [
        [DROP, "algorithm.adv_estimator=grpo"],
        ["algorithm.adv_estimator=grpo", "algorithm.use_kl_in_reward=True"],
        [ALL, f"{MODE}=seq-mean-token-sum-norm", "actor_rollout_ref.actor.loss_scale_factor=8"],
        [ALL, f"{LOSS}=gspo"],
        ["algorithm.adv_estimator=reinforce_plus_plus_baseline"],
    ],
)
def test_accepted(overrides):
    check_trainer_options(compose_config(overrides, device="cpu"))


def test_the_trainer_checks_in_a_stock_launch_too():
    from verl_ext.training.trainer import SignFilterTrainer

    with pytest.raises(ValueError, match="needs every sample"):
        SignFilterTrainer(compose_config(["distillation.enabled=True"], device="cpu"))
    with pytest.raises(ValueError, match="adv_estimator=pkpo needs algorithm.pass_at_k"):
        SignFilterTrainer(compose_config(["algorithm.adv_estimator=pkpo"], device="cpu"))
    with pytest.raises(ValueError, match="reinforce reads right or wrong from the reward"):
        SignFilterTrainer(
            compose_config(["algorithm.adv_estimator=reinforce", "algorithm.use_kl_in_reward=True"], device="cpu")
        )


@pytest.mark.parametrize(
    ("overrides", "share"),
    [
        ([f"{MODE}=token-mean"], 0.5),
        ([f"{MODE}=token-sum"], 1.0),
        ([f"{MODE}=seq-mean-token-sum"], 0.25),
        ([f"{MODE}=token-mean", f"{LOSS}=sapo"], 0.25),  # whatever is configured, verl averages it over responses
    ],
)
def test_the_share_is_of_what_the_loss_averages_over(overrides, share):
    """10 of 20 tokens, 1 of 4 responses."""
    actor = compose_config(overrides, device="cpu").actor_rollout_ref.actor
    assert kept_share(actor, tokens=(10, 20), responses=(1, 4)) == share


def test_verls_losses_still_average_as_the_table_says():
    """sapo ignores loss_agg_mode; those in LINEAR_LOSSES otherwise hand it to agg_loss."""
    from inspect import getsource

    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    of_verl = [name for name in LINEAR_LOSSES if name not in ("vanilla_by_sign", "paper")]
    for name in of_verl:
        source = getsource(POLICY_LOSS_REGISTRY[name])
        mode = '"seq-mean-token-mean"' if name == "sapo" else "loss_agg_mode"
        assert f"loss_agg_mode={mode}, **config.global_batch_info" in source, name
