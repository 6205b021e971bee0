"""The objective, its options and the loss fit each other."""

from difflib import get_close_matches
from typing import Any

from verl_ext.objectives.group_objectives import GROUP_OBJECTIVES, formula_under
from verl_ext.objectives.names import OUR_ESTIMATORS, VERL_ESTIMATORS
from verl_ext.objectives.weight_schedule import SCHEDULE, held_at, schedule_under
from verl_ext.objectives.weights import WEIGHTS, positive_weight, weights_under
from verl_ext.training.options import loss_normalizer, mini_batches


def check_estimator(config: Any) -> None:
    """The advantage estimator exists and its options fit it."""
    algorithm = config.algorithm
    name = algorithm.adv_estimator
    known = (*OUR_ESTIMATORS, *VERL_ESTIMATORS)
    if name not in known:
        near = get_close_matches(str(name), known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else f" There are {', '.join(known)}."
        raise ValueError(f"algorithm.adv_estimator={name} is not an estimator.{hint}")
    weight = positive_weight(algorithm)  # refused whatever the estimator, so that a slip is not found in the next run
    schedule = schedule_under(algorithm)
    mode = config.trainer.v1.trainer_mode
    if schedule is not None and mode != "sign_filter_sync":
        raise ValueError(
            f"algorithm.{SCHEDULE}={schedule.shape} needs a trainer that sets the weight of each step, and "
            f"trainer.v1.trainer_mode={mode} does not: set it to sign_filter_sync."
        )
    if name in WEIGHTS:
        weights_under(name, {**algorithm, **held_at(weight)})
    check_group_objective(config)
    loss_normalizer(algorithm)
    mini_batches(algorithm)
    if algorithm.drop_zero_advantage and name == "gae":
        raise ValueError(
            "algorithm.drop_zero_advantage=True needs advantages that follow from the rewards alone; gae needs a critic's "
            "values first. Set it to False."
        )


def check_group_objective(config: Any) -> None:
    """The options of an estimator that compares the responses to one prompt, which no other estimator reads."""
    algorithm, n = config.algorithm, config.actor_rollout_ref.rollout.n
    name, k = algorithm.adv_estimator, algorithm.pass_at_k
    if name in GROUP_OBJECTIVES:
        formula_under(name, algorithm)
    if k is not None and not (name in GROUP_OBJECTIVES and GROUP_OBJECTIVES[name].has_k):
        users = ", ".join(name for name, objective in GROUP_OBJECTIVES.items() if objective.has_k)
        raise ValueError(
            f"algorithm.pass_at_k={k} is for {users}; algorithm.adv_estimator={name} does not read it. Set it to null."
        )
    if k is not None and n < k:
        raise ValueError(
            f"algorithm.pass_at_k={k} needs at least {k} responses to each prompt, but actor_rollout_ref.rollout.n={n}. "
            "Raise the one or lower the other."
        )


def check_loss(config: Any) -> None:
    """The paper's loss is not given options that it does not ask."""
    actor = config.actor_rollout_ref.actor
    if actor.policy_loss.loss_mode != "paper":
        return
    clips = (actor.clip_ratio_low, actor.clip_ratio_high)
    if actor.loss_agg_mode != "token-mean" or any(clip not in (None, actor.clip_ratio) for clip in clips):
        raise ValueError(
            "actor_rollout_ref.actor.policy_loss.loss_mode=paper has its own mean and one clip_ratio: it does not ask "
            f"loss_agg_mode={actor.loss_agg_mode}, clip_ratio_low={clips[0]}, clip_ratio_high={clips[1]}. "
            "For these, set loss_mode=vanilla_by_sign."
        )
