"""From token-level rewards to one outcome per response: correct or not.

Shapes: B = responses in the batch, T = response tokens, right-padded.
"""

from collections.abc import Sequence

import torch

ALLOWED_SCORES = (-1.0, 0.0, 1.0)
CORRECT_ABOVE = 0.5


def outcome_scores(token_level_rewards_BT: torch.Tensor) -> torch.Tensor:
    """Sum each response's rewards to its outcome score, shape (B,), float.

    verl writes the score on one token and 0 everywhere else. The sum goes over all T positions, masked ones too: when
    rollout correction masks the token that carries the score, the response is still as right or wrong as before.
    """
    return token_level_rewards_BT.sum(dim=-1)


def is_correct(scores_B: torch.Tensor, *, names: Sequence[str] | None = None, estimator: str) -> torch.Tensor:
    """Tell right from wrong for rewards of 0/1 as well as -1/+1.

    Args:
        scores_B: (B,) outcome scores; each must be -1, 0 or 1.
        names: What to call each response in an error, B of them; its row number when absent.
        estimator: Name of the estimator that asks, for the error.

    Returns:
        (B,) bool, score > 0.5.

    Raises:
        ValueError: A score is none of -1, 0 and 1, so "correct" has no meaning for it. Names the first one.
    """
    allowed_B = torch.zeros_like(scores_B, dtype=torch.bool)
    for value in ALLOWED_SCORES:
        allowed_B |= scores_B == value
    if not bool(allowed_B.all()):
        row = int((~allowed_B).nonzero()[0])
        name = f"row {row}" if names is None else f"row {row} ({names[row]})"
        raise ValueError(
            f"{estimator} needs rewards of 0, 1 or -1, got {float(scores_B[row]):g} at {name}. A KL penalty in the reward "
            "is one cause: set algorithm.use_kl_in_reward=False. A reward function with partial credit is another: "
            "return 0 or 1 as its score and the partial credit under another key."
        )
    return scores_B > CORRECT_ABOVE
