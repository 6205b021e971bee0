"""Asynchronous trainers: what does not work in one is refused by its name, with the way out. See docs/asynchronous.md."""

from typing import Any

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import ROWS, objective_under
from verl_ext.objectives.names import OUR_ASYNC_TRAINER
from verl_ext.training.moved_options import FULLY_ASYNC, fully_async_option

MODE = "trainer.v1.trainer_mode"
CAP = "algorithm.max_staleness_negative"
SEPARATE = "separate_async"
COUNTERPARTS = {"colocate_async": OUR_ASYNC_TRAINER, SEPARATE: OUR_ASYNC_TRAINER}
"""Of verl's trainers, which of this package's to take for the filter; the others' is the synchronous one."""
NOT_BUILT = {
    f"sign_filter_{SEPARATE}": (
        f"verl's {SEPARATE} makes a step in trainer.v1.{SEPARATE}.parameter_sync_step pieces, each with old log-probs of weights that "
        "its workers keep and bring back. What is counted and updated here is a whole step, and the first update's old log-probs "
        f"are its own. Set {MODE}={OUR_ASYNC_TRAINER}, or {SEPARATE} for verl's trainer without the filter"
    ),
    "fully_async": (
        "verl's fully asynchronous trainer is another program, python -m verl.experimental.fully_async_policy.fully_async_main. "
        f"Set {MODE}={OUR_ASYNC_TRAINER}"
    ),
}


def check_asynchronous(config: Any) -> None:
    """The trainer can work here; raises ValueError for one that cannot."""
    mode = config.trainer.v1.trainer_mode
    if FULLY_ASYNC in config:
        raise ValueError(fully_async_option([f"+{FULLY_ASYNC}"]))
    if mode in NOT_BUILT:
        raise ValueError(f"{MODE}={mode}: {NOT_BUILT[mode]}.")


def check_separate(config: Any) -> None:
    """verl's trainer with rollouts on devices of their own can start; raises ValueError where it cannot."""
    mode = config.trainer.v1.trainer_mode
    if mode != SEPARATE:
        return
    if config.trainer.device == "cpu":
        raise ValueError(
            f"{MODE}={mode} sends weights from the learner to rollouts of their own through one of verl's checkpoint engines "
            f"(nccl, nixl, mooncake, ...), and none of verl 0.9.1's runs without an accelerator. Set {MODE}={OUR_ASYNC_TRAINER}, "
            "where they take turns."
        )
    _check_separate(config)


def _check_separate(config: Any) -> None:
    """What verl asserts once Ray has started."""
    rollout = config.actor_rollout_ref.rollout
    backend = rollout.checkpoint_engine.backend
    if backend == "naive":
        raise ValueError(
            f"actor_rollout_ref.rollout.checkpoint_engine.backend={backend} cannot send weights to the rollouts of "
            f"{MODE}={SEPARATE}. Set it to nccl, nixl or another of verl's checkpoint engines."
        )
    for option in ("nnodes", "n_gpus_per_node"):
        if not rollout.get(option):
            raise ValueError(
                f"{MODE}={SEPARATE} needs devices for its rollouts: set actor_rollout_ref.rollout.{option}, which is "
                f"{rollout.get(option)}."
            )
    pieces = config.trainer.v1.separate_async.parameter_sync_step
    mini_batch = config.actor_rollout_ref.actor.ppo_mini_batch_size
    if config.data.train_batch_size != pieces * mini_batch:
        raise ValueError(
            f"{MODE}={SEPARATE} needs data.train_batch_size to be trainer.v1.{SEPARATE}.parameter_sync_step x "
            f"actor_rollout_ref.actor.ppo_mini_batch_size: {config.data.train_batch_size} is not {pieces} x {mini_batch}."
        )


def check_max_staleness_negative(config: Any, options: AlgorithmOptions) -> None:
    """A sample can leave for its age without a change of the others; raises ValueError where it cannot.

    In a synchronous run no sample has an age, and any objective may be told to do so.
    """
    row = objective_under(options)
    if options.max_staleness_negative is None or config.trainer.v1.trainer_mode != OUR_ASYNC_TRAINER:
        return
    if row is None or row.compares_responses or options.group_normalize:
        which = f"algorithm.adv_estimator={options.adv_estimator}"
        if options.group_normalize:
            which = "algorithm.group_normalize=True"
        alone = [each.name for each in ROWS if not each.compares_responses]
        raise ValueError(
            f"{CAP}={options.max_staleness_negative} removes single samples, and {which} is not known to give every sample an "
            f"advantage of its own: those of the samples that stay would change. Choose one of {', '.join(alone)}, or set {CAP} "
            "to null."
        )


def described(config: Any) -> str:
    """What is different in an asynchronous run, for the person who launches; empty in another."""
    if config.trainer.v1.trainer_mode != OUR_ASYNC_TRAINER:
        return ""
    most = AlgorithmOptions.read(config.algorithm).max_staleness_negative
    negatives = f"negative ones of more than {most} updates ago are left out" if most is not None else "of any age"
    return (
        f"samples may come from older weights ({CAP}: {negatives}), so {MODE}={OUR_ASYNC_TRAINER} does not look at "
        "trainer.guardrails.rollout_gap.max_growth"
    )
