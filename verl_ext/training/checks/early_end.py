"""What ends a run early, or takes it back, has what it needs for that."""

from typing import Any

from omegaconf import OmegaConf

from verl_ext.training.ending import OPTIONS, EndingRules
from verl_ext.training.guards.guard import OPTIONS as GUARDRAILS
from verl_ext.training.guards.guard_table import GUARDS, ROLL_BACK
from verl_ext.training.validation_pass_at_k import OPTION as PASS_AT_K


def check_early_end(config: Any) -> None:
    """There are validations for the rules that look at them, and checkpoints to go back to; raises ValueError otherwise."""
    _check_validations(config)
    for name in GUARDS:
        action = OmegaConf.select(config, f"{GUARDRAILS}.{name}.action")
        if action == ROLL_BACK and config.trainer.save_freq < 1:
            raise ValueError(
                f"{GUARDRAILS}.{name}.action={ROLL_BACK} goes back to a checkpoint, and trainer.save_freq={config.trainer.save_freq} "
                "makes none: set it to a number of steps."
            )


def _check_validations(config: Any) -> None:
    rules, trainer = EndingRules.of(config), config.trainer
    for name in ("plateau_validations", "below_base"):
        num = getattr(rules, name)
        if num is not None and trainer.test_freq < 1:
            raise ValueError(
                f"{OPTIONS}.{name}={num} looks at validations, and trainer.test_freq={trainer.test_freq} makes none: set it to a "
                "number of steps."
            )
    if rules.below_base is None:
        return
    typed = f"{OPTIONS}.below_base={rules.below_base}"
    if not trainer.pass_at_k:
        raise ValueError(f"{typed} looks at pass@k: set {PASS_AT_K}, such as [1,4,16].")
    if not trainer.val_before_train:
        raise ValueError(
            f"{typed} compares with the validation before training, which trainer.val_before_train=False leaves out: set it to True."
        )
