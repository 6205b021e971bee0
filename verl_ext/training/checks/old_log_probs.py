"""Where a run's old log-probs come from: its updates' own forward passes, or a pass beforehand."""

from collections.abc import Iterator
from typing import Any

from verl_ext.host.files import read_object
from verl_ext.learner.dropout import dropouts
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.names import OUR_TRAINERS, VERL_ESTIMATORS
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.paths import is_remote, local_path

ACTOR, MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.model"
NEEDS_LOG_PROBS = "needs log-probs"


def reason_for_a_pass(config: Any, options: AlgorithmOptions) -> str | None:
    """Why the old log-probs of a step's first update cannot be that update's own: a clause; None where they can."""
    return next(_reasons(config, options), None)


def _reasons(config: Any, options: AlgorithmOptions) -> Iterator[str]:
    yield from _needed_before_the_update(config, options)
    yield from _another_policy(config)


def _needed_before_the_update(config: Any, options: AlgorithmOptions) -> Iterator[str]:
    correction = config.algorithm.get("rollout_correction") or {}
    if options.use_kl_in_reward:
        yield "algorithm.use_kl_in_reward=True puts them into the rewards"
    if uses_critic(config):
        yield "a critic splits the step in its own way"
    if VERL_ESTIMATORS.get(options.adv_estimator) == NEEDS_LOG_PROBS:
        yield f"algorithm.adv_estimator={options.adv_estimator} computes advantages from them"
    for name in ("rollout_is", "rollout_rs"):
        if correction.get(name) is not None:
            yield f"algorithm.rollout_correction.{name}={correction[name]} weighs samples by them"
    if correction.get("bypass_mode"):
        yield "algorithm.rollout_correction.bypass_mode=True takes the rollout's, and no pass is made"


def _another_policy(config: Any) -> Iterator[str]:
    actor = config.actor_rollout_ref.actor
    if actor.ppo_epochs > 1:
        yield f"{ACTOR}.ppo_epochs={actor.ppo_epochs} comes back to samples after the policy has moved"
    if actor.shuffle:
        yield f"{ACTOR}.shuffle=True leaves open which samples come first"
    if config.trainer.critic_warmup > 0:
        yield f"trainer.critic_warmup={config.trainer.critic_warmup} makes steps without an update"
    if actor.strategy not in ("fsdp", "fsdp2"):
        yield f"{ACTOR}.strategy={actor.strategy} is not known to give them in an update"
    yield from _dropouts(config)


def _dropouts(config: Any) -> Iterator[str]:
    """Those of the model and of an adapter that is loaded onto it, as far as their files can be seen from here."""
    model = config.actor_rollout_ref.model
    for option, name in (("path", "config.json"), ("lora_adapter_path", "adapter_config.json")):
        path = model.get(option)
        if path is None or is_remote(path) or not (local_path(path) / name).is_file():
            continue
        try:
            content = read_object(local_path(path) / name, "Copy the model again.")
        except ValueError as error:
            raise ValueError(f"{MODEL}.{option}={path}: {error}") from None
        for key, share in dropouts(content).items():
            yield f"{key}={share} of {MODEL}.{option}={path} makes an update's forward pass random"


def takes_own_log_probs(config: Any, options: AlgorithmOptions) -> bool:
    """``algorithm.one_pass``; when it is null, whether that is exact."""
    return options.one_pass is not False and reason_for_a_pass(config, options) is None


def check_one_pass(config: Any, options: AlgorithmOptions) -> None:
    """``algorithm.one_pass=True`` is exact; raises ValueError where it is not."""
    reason = reason_for_a_pass(config, options) if options.one_pass else None
    if reason is not None:
        raise ValueError(
            f"algorithm.one_pass=True takes the old log-probs from the update itself, but {reason}. "
            "Leave it at null, which computes them beforehand where that is needed, or change the other."
        )


def described(config: Any) -> str:
    """Where old log-probs come from, for the person who launches; empty with another trainer."""
    if config.trainer.v1.trainer_mode not in OUR_TRAINERS:
        return ""
    options = AlgorithmOptions.read(config.algorithm)
    if options.one_pass is False:
        return "old log-probs: a pass of their own (algorithm.one_pass=False)"
    reason = reason_for_a_pass(config, options)
    if reason is not None:
        return f"old log-probs: a pass of their own, because {reason}"
    return (
        "old log-probs: those of a step's first update are its own (algorithm.one_pass=False computes them beforehand)"
    )
