"""What ends a run early, or takes it back, has what it needs for that."""

from typing import Any

from omegaconf import OmegaConf

from verl_ext.training.ending import OPTIONS, EndingRules
from verl_ext.training.guards.guard import OPTIONS as GUARDRAILS
from verl_ext.training.guards.guard_table import GUARDS, ROLL_BACK


def check_early_end(config: Any) -> None:
    """There are validations for a rule that looks at them, and checkpoints to go back to; raises ValueError otherwise."""
    num = EndingRules.of(config).plateau_validations
    if num is not None and config.trainer.test_freq < 1:
        raise ValueError(
            f"{OPTIONS}.plateau_validations={num} looks at validations, and trainer.test_freq={config.trainer.test_freq} "
            "makes none: set it to a number of steps."
        )
    for name in GUARDS:
        action = OmegaConf.select(config, f"{GUARDRAILS}.{name}.action")
        if action == ROLL_BACK and config.trainer.save_freq < 1:
            raise ValueError(
                f"{GUARDRAILS}.{name}.action={ROLL_BACK} goes back to a checkpoint, and trainer.save_freq={config.trainer.save_freq} "
                "makes none: set it to a number of steps."
            )
