"""The runs of several tests that share a stack: a test takes its run by name, and whichever is first starts them all.

A stack takes a minute of a processor to start and a run on it seconds. What a stack was started with, all of its runs have
(``verl_ext.training.sharing``); a run that is to fail is the last of its stack.
"""

from dataclasses import dataclass

from tests.end_to_end.rewards_path import REWARDS


def reward(name: str) -> tuple[str, str]:
    return (f"reward.custom_reward_function.path={REWARDS}", f"reward.custom_reward_function.name={name}")


@dataclass(frozen=True)
class Stack:
    """Runs in their order, each with its options, on one model."""

    runs: dict[str, tuple[str, ...]]
    model: str = "tied"
    goes_on_from: str | None = None
    """The stack whose runs of the same names these go on from."""


def moving(pull: str, learning_rate: str) -> tuple[str, ...]:
    """Ten updates that move the policy far: the term on the entropy pulls it down, whatever was sampled."""
    return (
        "trainer.total_training_steps=11",
        f"actor_rollout_ref.actor.optim.lr={learning_rate}",
        f"actor_rollout_ref.actor.entropy_coeff={pull}",
        "algorithm.adv_estimator=reinforce",
        *reward("by_length"),
    )


MOVING = moving("-0.1", "2e-3")
MOVING_ADAPTER = moving("-0.3", "2e-2")
"""An adapter begins at zero and needs the stronger pull."""
LORA = ("actor_rollout_ref.model.lora_rank=8", "actor_rollout_ref.model.lora_alpha=16")
BFLOAT16 = ("precision=bfloat16", "ray_kwargs.ray_init.runtime_env.env_vars.OMP_NUM_THREADS='2'")
SAVED_ADAPTER = (*LORA, "actor_rollout_ref.actor.optim.lr=2e-2", "trainer.save_freq=2")
TWO_RANKS = "trainer.n_gpus_per_node=2"
ROLLOUTS = "trainer.rollout_data_dir=${trainer.output_dir}/rollouts"

PASS_AT_8 = "val-core/countdown/acc/pass@8"
VALIDATED = (
    *reward("by_problem"),
    *("trainer.val_before_train=True", "trainer.test_freq=1", "trainer.pass_at_k=[1,8]"),
    *("actor_rollout_ref.rollout.val_kwargs.n=8", "actor_rollout_ref.rollout.val_kwargs.temperature=1"),
    *("trainer.save_freq=1", "trainer.max_actor_ckpt_to_keep=1", f"trainer.best_checkpoint.metric={PASS_AT_8}"),
    "trainer.ends_early.below_base=2",
)

TWO_RANKS_PAPER = (
    *reward("by_length"),
    "algorithm.adv_estimator=nsr",
    "algorithm.mini_batches=paper",
    "actor_rollout_ref.actor.policy_loss.loss_mode=paper",
    "actor_rollout_ref.actor.ppo_mini_batch_size=2",
    # Moves at every step of the schedule: 0, then half, then the whole
    *("actor_rollout_ref.actor.optim.lr=1e-4", "actor_rollout_ref.actor.optim.lr_warmup_steps=2"),
    *("trainer.deterministic=True", "trainer.save_freq=2", ROLLOUTS, "trainer.rollout_data_log_probs=True"),
)
"""Also of a run with a rank on each of two nodes, which has to be equal."""

ASYNCHRONOUS = (
    "trainer.v1.trainer_mode=sign_filter_colocate_async",
    *("algorithm.adv_estimator=reinforce", "algorithm.max_staleness_negative=0", *reward("by_length")),
    *("actor_rollout_ref.actor.optim.lr=1e-3", "trainer.save_freq=2", ROLLOUTS),
)

STACKS = {
    "plain": Stack(
        {
            "saved": (
                "trainer.save_freq=2",
                "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
                ROLLOUTS,
            ),
            "moving": MOVING,
            "always right": reward("always_right"),
            "batch of one": (
                "data.train_batch_size=1",
                "actor_rollout_ref.rollout.n=1",
                "actor_rollout_ref.actor.ppo_mini_batch_size=1",
            ),
            "psr": (
                *reward("by_length"),
                "algorithm.adv_estimator=psr",
                "algorithm.loss_normalizer=all",
                "actor_rollout_ref.actor.ppo_mini_batch_size=2",
                "trainer.test_freq=2",
            ),
            "asynchronous": (*ASYNCHRONOUS, "trainer.total_training_steps=4"),
            "narrower": (
                *VALIDATED,
                "algorithm.adv_estimator=psr",
                # So large that one answer is left within a dozen steps
                "actor_rollout_ref.actor.optim.lr=5e-2",
                "trainer.total_training_steps=24",
            ),
            "as before": (*VALIDATED, "actor_rollout_ref.actor.optim.lr=0", "trainer.total_training_steps=4"),
            "no number": (*reward("no_number"), "algorithm.adv_estimator=grpo"),
        }
    ),
    "two ranks": Stack(
        {
            "paper": (*TWO_RANKS_PAPER, TWO_RANKS),
            "moving": (*MOVING, TWO_RANKS, "trainer.deterministic=True"),
            "paper again": (*TWO_RANKS_PAPER, TWO_RANKS),
        },
        model="untied",
    ),
    # Both have ended on "plain", in the same folders
    "resumed": Stack(
        {
            "saved": ("trainer.save_freq=2", "trainer.total_training_steps=4"),
            "asynchronous": (*ASYNCHRONOUS, "trainer.total_training_steps=6"),
        },
        goes_on_from="plain",
    ),
    "adapter": Stack({"saved": SAVED_ADAPTER, "moving": (*MOVING_ADAPTER, *LORA)}),
    "adapter on two ranks": Stack({"saved": (*SAVED_ADAPTER, TWO_RANKS)}),
    "bfloat16, two threads": Stack({"moving": (*MOVING, *BFLOAT16)}),
}
