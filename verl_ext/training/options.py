"""This package's configuration keys, read in one place. ``config`` is the whole resolved configuration."""

from typing import Any

from verl_ext.objectives.weights import WEIGHTS

LOSS_NORMALIZERS = ("kept", "all")
MINI_BATCHES = ("equal", "paper")

NOT_FROM_ONE_PROMPT = {
    "gae": "needs a critic's values",
    "gpg": "scales every advantage by the share of rewarded samples",
    "gdpo": "normalizes over the batch",
    "optimal_token_baseline": "needs log-probs",
    "reinforce_plus_plus": "normalizes over the batch",
    "reinforce_plus_plus_baseline": "normalizes over the batch",
    "remax": "needs a greedy answer's reward",
    "tir_optimal_token_baseline": "needs log-probs",
}
"""Estimators of verl whose advantages do not follow from the rewards of one prompt's samples, and why."""

LINEAR_LOSSES = ("vanilla", "vanilla_by_sign", "paper", "gspo", "sapo", "gpg", "cispo", "dppo_tv", "dppo_kl")
"""Policy losses that grow in proportion to the advantages, and are divided by tokens or responses of the mini-batch."""

GAP_LIMITS = ("max_rollout_probs_diff", "max_rollout_probs_diff_growth")


def drops_zero_advantage(algorithm: Any) -> bool:
    """``algorithm.drop_zero_advantage``; when it is null, whether the estimator ignores one sign altogether."""
    choice = algorithm.get("drop_zero_advantage")
    if choice is not None:
        return bool(choice)
    name = algorithm.adv_estimator
    if name not in WEIGHTS or (name == "psr_nsr" and algorithm.get("advantage") == "weighted") or name == "w_reinforce":
        return False
    return 0.0 in WEIGHTS[name](algorithm)


def uses_critic(config: Any) -> bool:
    """As verl decides it: ``critic.enable``, and when it is null whether the estimator is gae."""
    enable = config.critic.enable
    return bool(config.algorithm.adv_estimator == "gae" if enable is None else enable)


def loss_normalizer(algorithm: Any) -> str:
    """``algorithm.loss_normalizer``: kept (default) or all; ValueError for anything else."""
    return _one_of(algorithm, "loss_normalizer", LOSS_NORMALIZERS)


def mini_batches(algorithm: Any) -> str:
    """``algorithm.mini_batches``: equal (default) or paper; ValueError for anything else."""
    return _one_of(algorithm, "mini_batches", MINI_BATCHES)


def _one_of(algorithm: Any, option: str, choices: tuple[str, ...]) -> str:
    """The value of an option whose default is the first of its choices."""
    choice = algorithm.get(option, choices[0])
    if choice not in choices:
        raise ValueError(f"algorithm.{option} must be one of {', '.join(choices)}, got {choice}.")
    return str(choice)


def check_filter(config: Any) -> None:
    """What the sign filter drops has no advantage later either; raises ValueError for options under which it might."""
    algorithm = config.algorithm
    if not drops_zero_advantage(algorithm):
        return
    name = algorithm.adv_estimator
    asked = f"algorithm.drop_zero_advantage={algorithm.get('drop_zero_advantage')} with algorithm.adv_estimator={name}"
    if name in NOT_FROM_ONE_PROMPT or uses_critic(config):
        raise ValueError(
            f"{asked} removes samples by advantages that follow from the rewards of one prompt alone; this one "
            f"{NOT_FROM_ONE_PROMPT.get(name, NOT_FROM_ONE_PROMPT['gae'])}. Set drop_zero_advantage to False"
            f"{', or critic.enable to null' if config.critic.enable else ''}."
        )
    if algorithm.get("use_kl_in_reward"):
        raise ValueError(
            f"{asked} removes samples by their rewards before the KL penalty, and algorithm.use_kl_in_reward=True gives them "
            "other ones afterwards. Set one of them to False, or penalize KL in the loss: "
            "actor_rollout_ref.actor.use_kl_loss=True."
        )


def check_loss_normalizer(config: Any) -> None:
    """``algorithm.loss_normalizer=all`` can be had with the policy loss; raises ValueError where it cannot."""
    if loss_normalizer(config.algorithm) != "all":
        return
    actor = config.actor_rollout_ref.actor
    loss_mode = actor.policy_loss.get("loss_mode", "vanilla")
    if loss_mode not in LINEAR_LOSSES:
        raise ValueError(
            "algorithm.loss_normalizer=all scales the advantages, so it needs a policy loss that is proportional to them: "
            f"actor_rollout_ref.actor.policy_loss.loss_mode={loss_mode} is not known to be. Set loss_normalizer=kept, or "
            f"one of the losses {', '.join(LINEAR_LOSSES)}."
        )
    if actor.loss_agg_mode == "seq-mean-token-sum-norm" and actor.get("loss_scale_factor") is None:
        raise ValueError(
            "algorithm.loss_normalizer=all with actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm needs "
            "actor_rollout_ref.actor.loss_scale_factor: without it verl divides by the longest response of each "
            "micro-batch, which is another one once samples are removed. data.max_response_length is a usual value."
        )


def kept_share(actor: Any, *, tokens: tuple[int, int], responses: tuple[int, int]) -> float:
    """What the policy loss is multiplied by under ``algorithm.loss_normalizer=all``.

    Args:
        actor: The section actor_rollout_ref.actor, which says what the loss is a mean over.
        tokens: Response tokens that were kept, and of all samples.
        responses: The same of responses that have a token.
    """
    over = actor.loss_agg_mode
    if actor.policy_loss.get("loss_mode", "vanilla") == "sapo":
        over = "seq-mean-token-mean"  # whatever is configured
    if over == "token-sum":
        return 1.0
    kept, everything = tokens if over == "token-mean" else responses
    return kept / max(everything, 1)


def check_gap_limits(config: Any) -> None:
    """The limits on the gap between rollout and actor can be checked; raises ValueError for options that hide the gap."""
    limits = [
        f"trainer.{name}={config.trainer.get(name)}" for name in GAP_LIMITS if config.trainer.get(name) is not None
    ]
    if not limits:
        return
    correction = config.algorithm.get("rollout_correction") or {}
    hiding = None
    if correction.get("bypass_mode"):
        hiding = "algorithm.rollout_correction.bypass_mode=True takes the rollout's log-probs for the actor's"
    elif not config.actor_rollout_ref.rollout.calculate_log_probs:
        hiding = "actor_rollout_ref.rollout.calculate_log_probs=False leaves out the rollout's log-probs"
    if hiding:
        raise ValueError(
            f"{' and '.join(limits)} compare the rollout's probabilities with the actor's, and {hiding}: a rollout that "
            f"samples from stale weights would go unseen. Change that, or set {' and '.join(f'trainer.{name}=null' for name in GAP_LIMITS)}."
        )


def check_distillation(config: Any) -> None:
    """There is no teacher: the filter would take away samples that a teacher has something to say about."""
    distillation = config.get("distillation")
    if distillation is not None and distillation.get("enabled"):
        raise ValueError(
            "distillation.enabled=True needs every sample and verl's own update: set "
            "trainer.v1.trainer_mode=sync, or distillation.enabled=False."
        )


def check_trainer_options(config: Any) -> None:
    """Run every check of this module that concerns ``trainer.v1.trainer_mode=sign_filter_sync``; raises ValueError."""
    mini_batches(config.algorithm)
    check_filter(config)
    check_loss_normalizer(config)
    check_gap_limits(config)
    check_distillation(config)
