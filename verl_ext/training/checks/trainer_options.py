"""Options with which this package's trainers cannot work; they check them in a stock launch too.

``config`` is the whole resolved configuration.
"""

from typing import Any

from omegaconf import OmegaConf

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import check_objective, check_weight_schedule, drops_zero_advantage, objective_under
from verl_ext.objectives.names import VERL_ESTIMATORS
from verl_ext.training.checks.asynchronous import check_max_staleness_negative
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.checks.old_log_probs import check_one_pass
from verl_ext.training.guards import rollout_gap
from verl_ext.training.guards.guard import OPTIONS
from verl_ext.training.rollout_log_probs import PROCESSED, is_cut
from verl_ext.training.step.loss_share import LINEAR_LOSSES
from verl_ext.training.step.rollout_log import DIR, LOG_PROBS

GAP = f"{OPTIONS}.{rollout_gap.NAME}"
GAP_FILE = "trainer.rollout_gap_file"


def needs_beyond_rewards(options: AlgorithmOptions) -> str | None:
    """What the advantages depend on beside the rewards of one prompt; None for nothing, or for an estimator of the user's."""
    row = objective_under(options)
    return VERL_ESTIMATORS.get(options.adv_estimator) if row is None else row.needs_beyond_rewards


def check_filter(config: Any, options: AlgorithmOptions) -> None:
    """What the sign filter drops has no advantage later either; raises ValueError for options under which it might."""
    if not drops_zero_advantage(options):
        return
    asked = (
        f"algorithm.drop_zero_advantage={options.drop_zero_advantage} with "
        f"algorithm.adv_estimator={options.adv_estimator}"
    )
    needs = needs_beyond_rewards(options) or (VERL_ESTIMATORS["gae"] if uses_critic(config) else None)
    if needs is not None:
        raise ValueError(
            f"{asked} removes samples by advantages that follow from the rewards of one prompt alone; this one "
            f"{needs}. Set drop_zero_advantage to False{', or critic.enable to null' if config.critic.enable else ''}."
        )
    if options.use_kl_in_reward:
        raise ValueError(
            f"{asked} removes samples by their rewards before the KL penalty, and algorithm.use_kl_in_reward=True changes "
            "them afterwards. Set one of them to False, or penalize KL in the loss: "
            "actor_rollout_ref.actor.use_kl_loss=True."
        )


def check_likelihoods(config: Any, options: AlgorithmOptions) -> None:
    """An objective that weighs responses by their likelihood gets log-probs; raises ValueError when the rollout has none."""
    row = objective_under(options)
    if row is not None and row.reads_likelihoods and not config.actor_rollout_ref.rollout.calculate_log_probs:
        raise ValueError(
            f"algorithm.adv_estimator={options.adv_estimator} weighs responses by their likelihood under the policy that sampled "
            "them, which actor_rollout_ref.rollout.calculate_log_probs=False leaves out. Set it to True."
        )


def check_loss_normalizer(config: Any, options: AlgorithmOptions) -> None:
    """``algorithm.loss_normalizer=all`` can be had with the policy loss; raises ValueError where it cannot."""
    if options.loss_normalizer != "all":
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
            "micro-batch, which changes once samples are removed. data.max_response_length is a usual value."
        )


def check_gap_limits(config: Any) -> None:
    """The gap between rollout and actor can be seen where there is a limit on it, or a file for it.

    Raises:
        ValueError: Options hide it.
    """
    section = OmegaConf.select(config, GAP) or {}
    names = ("max_diff", "max_growth") if section.get("action") is not None else ()
    limits = {name: f"{GAP}.{name}={section[name]}" for name in names if section.get(name) is not None}
    file = OmegaConf.select(config, GAP_FILE)
    asked = [*limits.values(), *([] if file is None else [f"{GAP_FILE}={file}"])]
    if not asked:
        return
    correction = config.algorithm.get("rollout_correction") or {}
    hiding = None
    if correction.get("bypass_mode"):
        hiding = "algorithm.rollout_correction.bypass_mode=True takes the rollout's log-probs for the actor's"
    elif not config.actor_rollout_ref.rollout.calculate_log_probs:
        hiding = "actor_rollout_ref.rollout.calculate_log_probs=False leaves out the rollout's log-probs"
    if hiding:
        ways_out = [*([f"{GAP}.action=null"] if limits else []), *([f"{GAP_FILE}=null"] if file is not None else [])]
        raise ValueError(
            f"{' and '.join(asked)} compare the rollout's probabilities with the actor's, and {hiding}: a rollout that "
            f"samples from stale weights would go unseen. Change that, or set {' and '.join(ways_out)}."
        )
    rollout = config.actor_rollout_ref.rollout
    if "max_diff" in limits and is_cut(rollout) and rollout.logprobs_mode == PROCESSED:
        raise ValueError(
            f"{limits['max_diff']} compares the rollout's probabilities with the actor's, and with top_p={rollout.top_p}, "
            f"top_k={rollout.top_k} at temperature {rollout.temperature} vLLM reports those of the tokens that are left, "
            f"which differ from the start. Set {GAP}.max_diff=null; max_growth still sees a gap that grows."
        )


def check_rollout_log(config: Any) -> None:
    """The rollout log can have what is asked of it; raises ValueError where the rollout notes no log-probs."""
    if config.trainer.get("rollout_data_log_probs") and not config.actor_rollout_ref.rollout.calculate_log_probs:
        raise ValueError(
            f"{LOG_PROBS}=True puts the log-probs of the rollout into {DIR}, and "
            "actor_rollout_ref.rollout.calculate_log_probs=False leaves them out. Change one of them."
        )


def check_distillation(config: Any) -> None:
    """There is no teacher: the filter would take away samples that a teacher has something to say about."""
    distillation = config.get("distillation")
    if distillation is not None and distillation.get("enabled"):
        raise ValueError(
            "distillation.enabled=True needs every sample and verl's own update: set "
            "trainer.v1.trainer_mode=sync, or distillation.enabled=False."
        )


def check_trainer_options(config: Any) -> AlgorithmOptions:
    """Read the ``algorithm`` section, and check that this package's trainer can work with it and the rest.

    Raises:
        ValueError: It cannot.
    """
    options = AlgorithmOptions.read(config.algorithm)
    check_weight_schedule(options)
    check_filter(config, options)
    check_objective(options)
    check_likelihoods(config, options)
    check_loss_normalizer(config, options)
    check_gap_limits(config)
    check_rollout_log(config)
    check_distillation(config)
    check_one_pass(config, options)
    check_max_staleness_negative(config, options)
    return options
