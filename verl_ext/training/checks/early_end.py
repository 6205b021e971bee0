"""EndingRules that end a run early: each can see what it looks at."""

from typing import Any

from verl_ext.training.ending import OPTIONS, EndingRules


def check_early_end(config: Any) -> None:
    """There are validations for a rule that looks at them; raises ValueError where there are none."""
    num = EndingRules.of(config).plateau_validations
    if num is not None and config.trainer.test_freq < 1:
        raise ValueError(
            f"{OPTIONS}.plateau_validations={num} looks at validations, and trainer.test_freq={config.trainer.test_freq} "
            "makes none: set it to a number of steps."
        )
