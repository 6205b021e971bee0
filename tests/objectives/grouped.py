"""What the tests of objectives over groups share: rewards as verl writes them, for several prompts at once."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st

from verl_ext.objectives.catalog import ROWS
from verl_ext.objectives.estimators import ESTIMATORS

GROUPS = st.lists(st.lists(st.booleans(), min_size=4, max_size=6), min_size=1, max_size=4)
"""Outcomes of one to four prompts, with enough responses each for k up to 4."""

UNDER_TEST: list[tuple[str, dict[str, object]]] = [
    *((row.name, {"pass_at_k": k}) for row in ROWS if row.is_grouped and row.has_k for k in (1, 2, 4)),
    *((row.name, {}) for row in ROWS if row.is_grouped and not row.has_k),
    ("grpo_virtual_success", {"norm_adv_by_std_in_grpo": False}),
    ("qae", {"qae_quantile": 0.8, "norm_adv_by_std_in_grpo": False}),
    ("rs_grpo", {"rs_grpo_beta": 9.0}),
    *(("pkpo", {"pass_at_k": k, "pkpo_baseline": "none"}) for k in (1, 2, 4)),
]
"""Every estimator that compares the responses to one prompt, with its options."""


def batch_of(groups: Sequence[Sequence[float]], num_tokens: int = 3) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Rewards (B, T) in float64 with the score on the last token, a full mask and prompt ids."""
    scores = [float(score) for group in groups for score in group]
    rewards_BT = torch.zeros(len(scores), num_tokens, dtype=torch.float64)
    rewards_BT[:, -1] = torch.tensor(scores, dtype=torch.float64)
    prompts = [f"p{number}" for number, group in enumerate(groups) for _ in group]
    return rewards_BT, torch.ones_like(rewards_BT), prompts


def advantages_of(name: str, group: Sequence[float], **config: object) -> torch.Tensor:
    """(N,) float64, the advantage of each response to one prompt."""
    rewards_BT, mask_BT, prompts = batch_of([group])
    advantages_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)
    assert torch.equal(advantages_BT, advantages_BT[:, :1].expand_as(advantages_BT))
    return advantages_BT[:, 0]
