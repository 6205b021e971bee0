"""The objective, its options and the loss fit each other."""

import os
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from omegaconf import OmegaConf

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import check_objective, check_weight_schedule, names_with_k, objective_under
from verl_ext.objectives.names import (
    OUR_ESTIMATORS,
    OUR_LOSSES,
    OUR_TRAINER,
    OUR_TRAINERS,
    VERL_ESTIMATORS,
    VERL_LOSSES,
    VERL_TRAINERS,
)
from verl_ext.objectives.noisy_grader import FALSE_NEGATIVES, FALSE_POSITIVES, SECTION
from verl_ext.objectives.weight_schedule import SCHEDULE
from verl_ext.training.checks.asynchronous import CAP, COUNTERPARTS
from verl_ext.training.checks.trainer_options import check_likelihoods, check_trainer_options
from verl_ext.training.configuration import CONFIG_DIR, leaves
from verl_ext.training.ending import OPTIONS as EARLY_END
from verl_ext.training.guards.guard import OPTIONS as GUARDRAILS

OUR_PLUGIN = "verl_ext.plugin"
ONLY_OUR_TRAINER = (
    *(f"algorithm.{name}" for name in ("drop_zero_advantage", "mask_truncated", "loss_normalizer", "mini_batches")),
    *("algorithm.one_pass", f"algorithm.{SCHEDULE}", CAP),
    *(f"algorithm.{SECTION}.{rate}" for rate in (FALSE_NEGATIVES, FALSE_POSITIVES)),
    *(f"{EARLY_END}.{name}" for name in ("plateau_validations", "below_base", "request_file")),
    *("trainer.best_checkpoint.metric", "trainer.pass_at_k"),
)


def check_estimator(config: Any) -> None:
    """The advantage estimator exists and its options fit it."""
    algorithm = config.algorithm
    name = algorithm.adv_estimator
    _check_known("algorithm.adv_estimator", name, (*OUR_ESTIMATORS, *VERL_ESTIMATORS), "an estimator", config)
    # All of them, whatever the estimator, so that a slip is not found in the next run.
    options = AlgorithmOptions.read(algorithm)
    check_weight_schedule(options)
    check_objective(options)
    check_likelihoods(config, options)
    check_pass_at_k(options, num_responses=config.actor_rollout_ref.rollout.n)
    if config.trainer.v1.trainer_mode in OUR_TRAINERS:
        check_trainer_options(config)
    if options.noisy_grader.flips and algorithm.filter_groups.enable:
        raise ValueError(
            "algorithm.filter_groups.enable=True chooses prompts by the rewards before algorithm.noisy_grader flips them. Set it "
            "to False, or both rates to 0."
        )
    row = objective_under(options)
    if row is not None and (row.is_signed or row.ignores_one_sign) and algorithm.filter_groups.enable:
        raise ValueError(
            "algorithm.filter_groups.enable=True removes the prompts whose responses are all right or all wrong, which "
            f"{name} learns most from. Set it to False; algorithm.drop_zero_advantage removes the samples whose advantage is zero."
        )


def _check_known(option: str, name: Any, known: tuple[str, ...], what: str, config: Any) -> None:
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
    _check_known("trainer.v1.trainer_mode", mode, (*OUR_TRAINERS, *VERL_TRAINERS), "a trainer", config)
    if trainer.val_only and not trainer.val_before_train:
        raise ValueError(
            "trainer.val_only=True needs trainer.val_before_train=True: with False verl would train instead of validating."
        )
    if mode in OUR_TRAINERS:
        if config.distillation.enabled:
            raise ValueError(
                f"distillation.enabled=True: trainer.v1.trainer_mode={mode} does not bring the teacher's answers to "
                "the learner. Set trainer.v1.trainer_mode=sync, with an estimator of verl's."
            )
        return
    if mode not in VERL_TRAINERS:
        return  # the user's own
    defaults = OmegaConf.load(CONFIG_DIR / "trainer.yaml")
    guardrails = OmegaConf.to_container(OmegaConf.select(defaults, GUARDRAILS))
    for option in (*ONLY_OUR_TRAINER, *(option for option, _ in leaves(guardrails, GUARDRAILS))):
        value, default = OmegaConf.select(config, option), OmegaConf.select(defaults, option)
        if value is not None and value is not False and value != default:
            raise ValueError(
                f"{option}={value} would be ignored: trainer.v1.trainer_mode={mode} is verl's own trainer, which does not read "
                f"it. Set trainer.v1.trainer_mode={COUNTERPARTS.get(mode, OUR_TRAINER)}, or leave it at {default}."
            )


def limits_that_do_not_apply(config: Any) -> str:
    """A line for whoever chose a trainer of verl's: what no longer stops the run. Empty with this package's."""
    mode = config.trainer.v1.trainer_mode
    if mode not in VERL_TRAINERS:
        return ""
    return (
        f"trainer.v1.trainer_mode={mode} is verl's own trainer: no sample is left out of the update, and no guardrail "
        f"({GUARDRAILS}) watches the run"
    )


def check_pass_at_k(options: AlgorithmOptions, *, num_responses: int) -> None:
    """``algorithm.pass_at_k`` has an objective that reads it, and groups that are large enough for it."""
    k, row = options.pass_at_k, objective_under(options)
    if k is None:
        return
    if row is None or not row.has_k:
        raise ValueError(
            f"algorithm.pass_at_k={k} is for {', '.join(names_with_k())}; "
            f"algorithm.adv_estimator={options.adv_estimator} does not read it. Set it to null."
        )
    if num_responses < k:
        raise ValueError(
            f"algorithm.pass_at_k={k} needs at least {k} responses to each prompt, but "
            f"actor_rollout_ref.rollout.n={num_responses}. Raise the one or lower the other."
        )


def check_loss(config: Any) -> None:
    """The policy loss exists, and an option that the paper's loss ignores is refused."""
    actor = config.actor_rollout_ref.actor
    option = "actor_rollout_ref.actor.policy_loss.loss_mode"
    _check_known(option, actor.policy_loss.loss_mode, (*OUR_LOSSES, *VERL_LOSSES), "a loss", config)
    if actor.policy_loss.loss_mode != "paper":
        return
    correction = config.algorithm.rollout_correction
    if correction.rollout_is is not None:
        raise ValueError(
            f"algorithm.rollout_correction.rollout_is={correction.rollout_is} weighs samples by the rollout's probabilities, "
            f"which {option}=paper does not. Set loss_mode=vanilla_by_sign to use it."
        )
    clips = (actor.clip_ratio_low, actor.clip_ratio_high)
    if actor.loss_agg_mode != "token-mean" or any(clip not in (None, actor.clip_ratio) for clip in clips):
        raise ValueError(
            "actor_rollout_ref.actor.policy_loss.loss_mode=paper has its own mean and one clip_ratio: it ignores "
            f"loss_agg_mode={actor.loss_agg_mode}, clip_ratio_low={clips[0]}, clip_ratio_high={clips[1]}. "
            "Set loss_mode=vanilla_by_sign to use them."
        )
