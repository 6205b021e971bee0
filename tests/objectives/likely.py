"""What the tests of objectives that weigh responses by their likelihood share."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st

from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.likelihoods import GradedResponse

LIKELIHOODS = ("cw_nsr", "lens", "unlikeliness")
LOG_PROBS = st.integers(-4096, 0).map(lambda parts: parts / 1024)
"""Of a token: few enough values for some to be equal, and all sums of them exact."""
RESPONSES = st.builds(
    lambda is_correct, log_prob, num_tokens: GradedResponse(is_correct, log_prob * num_tokens, num_tokens),
    st.booleans(),
    LOG_PROBS,
    st.integers(1, 40),
)
GROUPS = st.lists(RESPONSES, min_size=1, max_size=12)


def alike(outcomes: Sequence[bool], log_prob: float = -0.5, num_tokens: int = 6) -> list[GradedResponse]:
    """Responses of one likelihood."""
    return [GradedResponse(bool(outcome), log_prob * num_tokens, num_tokens) for outcome in outcomes]


def batch_of(groups: Sequence[Sequence[GradedResponse]]) -> dict[str, object]:
    """What an estimator is given, in float64; every token of a response has its mean, and padded places have NaN."""
    responses = [response for group in groups for response in group]
    num_columns = max(response.num_tokens for response in responses)
    rewards_BT = torch.zeros(len(responses), num_columns, dtype=torch.float64)
    mask_BT, log_probs_BT = torch.zeros_like(rewards_BT), torch.full_like(rewards_BT, torch.nan)
    for row, response in enumerate(responses):
        rewards_BT[row, response.num_tokens - 1] = float(response.is_correct)
        mask_BT[row, : response.num_tokens] = 1
        log_probs_BT[row, : response.num_tokens] = response.mean_log_prob
    prompts = [f"p{number}" for number, group in enumerate(groups) for _ in group]
    return {
        "token_level_rewards": rewards_BT,
        "response_mask": mask_BT,
        "index": prompts,
        "rollout_log_probs": log_probs_BT,
    }


def advantages_of(name: str, group: Sequence[GradedResponse], **config: object) -> torch.Tensor:
    """(N,) float64, the advantage of each response to one prompt, of the registered estimator."""
    return ESTIMATORS[name](**batch_of([group]), config=config)[0][:, 0]


def grpo_of(outcomes: Sequence[bool], *, by_deviation: bool = True) -> torch.Tensor:
    """(N,) float64, verl's own GRPO."""
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

    rewards_BT = torch.tensor(outcomes, dtype=torch.float64).unsqueeze(-1)
    prompts = ["p"] * len(outcomes)
    return compute_grpo_outcome_advantage(
        rewards_BT, torch.ones_like(rewards_BT), prompts, norm_adv_by_std_in_grpo=by_deviation
    )[0][:, 0]
