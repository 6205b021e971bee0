"""Which samples are kept."""

import pytest
import torch

from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.sign_filter import kept_samples


def kept(name, scores, mask_BT=None, **config):
    mask_BT = torch.ones(len(scores), 3) if mask_BT is None else mask_BT
    rewards_BT = torch.zeros(len(scores), 3)
    rewards_BT[:, -1] = torch.tensor(scores)
    advantages_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config)
    return kept_samples(advantages_BT, mask_BT).tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("psr", [True, False, False, True]),
        ("nsr", [False, True, True, False]),
        ("w_reinforce", [True] * 4),
        ("reinforce", [True] * 4),
    ],
)
def test_by_objective(name, expected):
    assert kept(name, [1.0, 0.0, 0.0, 1.0]) == expected


def test_an_all_wrong_group_is_kept_by_nsr():
    """The group filters of DAPO drop it; it carries NSR's signal."""
    assert kept("nsr", [0.0, 0.0, 0.0, 0.0]) == [True] * 4


def test_lambda_zero_drops_the_correct_ones():
    assert kept("w_reinforce", [1.0, 0.0], positive_advantage_weight=0.0) == [False, True]


def test_a_fully_masked_response_is_dropped():
    assert kept("nsr", [0.0, 0.0], torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])) == [False, True]
