"""What the options of ``trainer.guardrails`` may hold, where their defaults do not tell."""

from verl_ext.training.guards.guard import OPTIONS
from verl_ext.training.guards.guard_table import ROWS
from verl_ext.training.option_limits import ABOVE_ZERO, FROM_ONE, FROM_ZERO, SHARE, SHARE_ABOVE_ZERO, kinds_in

LIMITS = {
    f"{OPTIONS}.{name}": limit
    for names, limit in (
        ("entropy.over_steps response_length.over_steps truncation.over_steps repetition.over_steps", FROM_ONE),
        ("gradient_norm.window gradient_norm.steps equal_rewards.steps nothing_kept.steps", FROM_ONE),
        ("rollout_gap.max_diff rollout_gap.max_growth entropy.min_entropy validation.standard_errors", FROM_ZERO),
        ("max_rollbacks long_nsr.after_updates", FROM_ZERO),
        ("gradient_norm.growth response_length.max_growth entropy.min_ratio entropy.max_ratio", ABOVE_ZERO),
        ("grader_errors.max_ratio failed_prompts.max_ratio truncation.max_rise repetition.max_rise", SHARE),
        ("learning_rate_factor", SHARE_ABOVE_ZERO),
    )
    for name in names.split()
}
TYPES = {f"{OPTIONS}.{row.name}.action": kinds_in("str|None") for row in ROWS}
TYPES |= {
    f"{OPTIONS}.{name}": kinds_in("float|int|None")
    for name in (
        "rollout_gap.max_diff",
        "rollout_gap.max_growth",
        "entropy.min_ratio",
        "entropy.max_ratio",
        "entropy.min_entropy",
    )
}
TYPES |= {
    f"{OPTIONS}.{name}": kinds_in("float|int")
    for name in ("gradient_norm.growth", "response_length.max_growth", "validation.standard_errors")
}
CHOICES = {f"{OPTIONS}.{row.name}.action": row.actions for row in ROWS}
