"""The best checkpoint can be chosen: there are validations, and checkpoints to keep."""

from typing import Any

from verl_ext.training.kept_checkpoints import OPTIONS, BestRule
from verl_ext.training.validation_pass_at_k import OPTION as PASS_AT_K


def check_best_checkpoint(config: Any) -> None:
    """Raises ValueError where there would be nothing to choose by, or from."""
    rule = BestRule.of(config)
    if rule.metric is None:
        return
    for option, makes in (("test_freq", "no validations"), ("save_freq", "no checkpoints")):
        if config.trainer[option] < 1:
            raise ValueError(
                f"{OPTIONS}.metric={rule.metric} keeps the checkpoint with the best validation, and trainer.{option}="
                f"{config.trainer[option]} makes {makes}: set it to a number of steps."
            )
    if not rule.metric.startswith("val-"):
        raise ValueError(
            f"{OPTIONS}.metric={rule.metric} is no score of a validation, as metrics.jsonl names them: "
            "val-core/<data source>/acc/mean@<n>."
        )
    k = rule.metric.partition("/pass@")[2]
    if k.isdecimal() and int(k) not in (config.trainer.get("pass_at_k") or ()):
        raise ValueError(f"{OPTIONS}.metric={rule.metric} needs pass@{k} of every validation: add {k} to {PASS_AT_K}.")
