"""The objective, its options and the loss fit each other."""

import os
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from omegaconf import OmegaConf

from verl_ext.objectives.group_objectives import GROUP_OBJECTIVES, formula_under
from verl_ext.objectives.names import (
    OUR_ESTIMATORS,
    OUR_LOSSES,
    OUR_TRAINER,
    VERL_ESTIMATORS,
    VERL_LOSSES,
    VERL_TRAINERS,
)
from verl_ext.objectives.weight_schedule import SCHEDULE, held_at, schedule_under
from verl_ext.objectives.weights import WEIGHTS, positive_weight, weights_under
from verl_ext.training.configuration import CONFIG_DIR
from verl_ext.training.options import GAP_LIMITS, check_trainer_options, loss_normalizer, mini_batches

OUR_PLUGIN = "verl_ext.plugin"
SAFETY_LIMITS = ("trainer.max_grader_error_ratio", *(f"trainer.{name}" for name in GAP_LIMITS))
ONLY_OUR_TRAINER = (
    *(f"algorithm.{name}" for name in ("drop_zero_advantage", "mask_truncated", "loss_normalizer", "mini_batches")),
    f"algorithm.{SCHEDULE}",
    *SAFETY_LIMITS,
)


def check_estimator(config: Any) -> None:
    """The advantage estimator exists and its options fit it."""
    algorithm = config.algorithm
    name = algorithm.adv_estimator
    _known("algorithm.adv_estimator", name, (*OUR_ESTIMATORS, *VERL_ESTIMATORS), "an estimator", config)
    weight = positive_weight(algorithm)  # refused whatever the estimator, so that a slip is not found in the next run
    schedule_under(algorithm)
    if name in WEIGHTS:
        weights_under(name, {**algorithm, **held_at(weight)})
    check_group_objective(config)
    loss_normalizer(algorithm)
    mini_batches(algorithm)
    if config.trainer.v1.trainer_mode == OUR_TRAINER:
        check_trainer_options(config)
    if name in WEIGHTS and algorithm.filter_groups.enable:
        raise ValueError(
            "algorithm.filter_groups.enable=True removes the prompts whose responses are all right or all wrong, which "
            f"{name} learns most from. Set it to False; samples with advantage zero leave by algorithm.drop_zero_advantage."
        )


def _known(option: str, name: Any, known: tuple[str, ...], what: str, config: Any) -> None:
    """``name`` is one of ``known``, or may be registered by a module of the user's."""
    if name in known or others_register(config):
        return
    near = get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
    raise ValueError(
        f"{option}={name} is not {what}. {hint} (One of your own: name its module in VERL_USE_EXTERNAL_MODULES.)"
    )


def others_register(config: Any) -> bool:
    """Whether modules of the user's are loaded, so that verl can know names that are not known here."""
    modules = os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",")
    plugins = entry_points(group="verl.plugins")
    return (
        any(module.strip() not in ("", OUR_PLUGIN) for module in modules)
        or any(plugin.value != OUR_PLUGIN for plugin in plugins)
        or bool(config.actor_rollout_ref.model.external_lib)
    )


def check_trainer(config: Any) -> None:
    """There is such a trainer, and it does not pass over an option that only this package's trainer reads."""
    trainer = config.trainer
    mode = trainer.v1.trainer_mode
    if not trainer.use_v1:
        raise ValueError(
            "trainer.use_v1=False asks for verl's older trainer, which this launcher does not start: leave it at True."
        )
    _known("trainer.v1.trainer_mode", mode, (OUR_TRAINER, *VERL_TRAINERS), "a trainer", config)
    if trainer.val_only and not trainer.val_before_train:
        raise ValueError(
            "trainer.val_only=True validates where trainer.val_before_train=True does, and with False verl would train: "
            "set that to True."
        )
    if mode == OUR_TRAINER:
        if config.distillation.enabled:
            raise ValueError(
                f"distillation.enabled=True: trainer.v1.trainer_mode={OUR_TRAINER} does not bring the teacher's answers to "
                "the learner. Set trainer.v1.trainer_mode=sync, with an estimator of verl's."
            )
        return
    if mode not in VERL_TRAINERS:
        return  # the user's own
    ours = OmegaConf.load(CONFIG_DIR / "trainer.yaml")
    for option in ONLY_OUR_TRAINER:
        value, default = OmegaConf.select(config, option), OmegaConf.select(ours, option)
        if value is not None and value is not False and value != default:
            raise ValueError(
                f"{option}={value} would be ignored: trainer.v1.trainer_mode={mode} is verl's own trainer, which does not read "
                f"it. Set trainer.v1.trainer_mode={OUR_TRAINER}, or leave it at {default}."
            )


def checks_of_verls_trainers(config: Any) -> str:
    """A line for whoever chose a trainer of verl's: what no longer stops the run. Empty with this package's."""
    mode = config.trainer.v1.trainer_mode
    if mode not in VERL_TRAINERS:
        return ""
    return (
        f"trainer.v1.trainer_mode={mode} is verl's own trainer: no sample is left out of the update, and neither "
        f"{' nor '.join(SAFETY_LIMITS)} stops the run"
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
    """There is such a loss, and the paper's is not given options that it does not ask."""
    actor = config.actor_rollout_ref.actor
    option = "actor_rollout_ref.actor.policy_loss.loss_mode"
    _known(option, actor.policy_loss.loss_mode, (*OUR_LOSSES, *VERL_LOSSES), "a loss", config)
    if actor.policy_loss.loss_mode != "paper":
        return
    correction = config.algorithm.rollout_correction
    if correction.rollout_is is not None:
        raise ValueError(
            f"algorithm.rollout_correction.rollout_is={correction.rollout_is} weighs samples by the rollout's probabilities, "
            f"which {option}=paper does not. For it, set loss_mode=vanilla_by_sign."
        )
    clips = (actor.clip_ratio_low, actor.clip_ratio_high)
    if actor.loss_agg_mode != "token-mean" or any(clip not in (None, actor.clip_ratio) for clip in clips):
        raise ValueError(
            "actor_rollout_ref.actor.policy_loss.loss_mode=paper has its own mean and one clip_ratio: it does not ask "
            f"loss_agg_mode={actor.loss_agg_mode}, clip_ratio_low={clips[0]}, clip_ratio_high={clips[1]}. "
            "For these, set loss_mode=vanilla_by_sign."
        )
