"""A validation can tell pass@k at every k that is asked for."""

from typing import Any

from verl_ext.training.validation_pass_at_k import OPTION

SAMPLES = "actor_rollout_ref.rollout.val_kwargs"


def check_pass_at_k(config: Any) -> None:
    """Raises ValueError where a k is none, or where the validations have too few samples for it."""
    ks = config.trainer.get("pass_at_k")
    if ks is None:
        return
    typed = f"{OPTION}=[{','.join(map(str, ks))}]"
    if not ks or any(type(k) is not int or k < 1 for k in ks) or len(set(ks)) < len(ks):
        raise ValueError(f"{typed} must be different whole numbers from 1, such as [1,4,16].")
    val = config.actor_rollout_ref.rollout.val_kwargs
    if max(ks) > val.n:
        raise ValueError(
            f"{typed}: pass@{max(ks)} needs {max(ks)} samples of a problem, and {SAMPLES}.n={val.n}. Set it to at least {max(ks)}."
        )
    if val.n > 1 and val.temperature == 0:
        raise ValueError(
            f"{typed} with {SAMPLES}.temperature=0: all {val.n} samples of a problem would be the same answer. Set a temperature, "
            "such as 1."
        )
    trainer = config.trainer
    if trainer.test_freq < 1 and not trainer.val_before_train and not trainer.val_only:
        raise ValueError(
            f"{typed} is of validations, and trainer.test_freq={trainer.test_freq} makes none: set it to a number of steps."
        )
