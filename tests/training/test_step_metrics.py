"""Shares of samples, prompts, reasons and clipped tokens."""

import pytest

from verl_ext.training.options import drops_zero_advantage, loss_normalizer
from verl_ext.training.step_metrics import clip_fractions, group_shares, reason_shares


class Algorithm(dict):
    """verl's algorithm section: a mapping with attributes."""

    __getattr__ = dict.__getitem__


def test_groups():
    shares = group_shares(["a", "a", "b", "b", "c"], [True, True, True, False, False])
    assert shares == {
        "train/correct_ratio": 0.6,
        "train/fully_solved_ratio": pytest.approx(1 / 3),
        "train/fully_unsolved_ratio": pytest.approx(1 / 3),
    }


def test_reasons():
    infos = [{"correct": 1.0, "incorrect": 0.0}, {"correct": 0.0, "incorrect": 1.0}, {}, {"incorrect": 1.0}]
    assert reason_shares(infos) == {"train/reason/correct": 0.25, "train/reason/incorrect": 0.5}


def test_clip_fractions_are_per_sign():
    metrics = {
        "actor/tokens_positive": 0.25,
        "actor/clipped_positive": 0.05,
        "actor/tokens_negative": 0.0,
        "actor/clipped_negative": 0.0,
    }
    expected = {"train/clip_fraction/positive": pytest.approx(0.2), "train/clip_fraction/negative": 0.0}
    assert clip_fractions(metrics) == expected


@pytest.mark.parametrize(
    ("algorithm", "drops"),
    [
        ({"adv_estimator": "psr"}, True),
        ({"adv_estimator": "nsr"}, True),
        ({"adv_estimator": "nsr", "drop_zero_advantage": False}, False),
        ({"adv_estimator": "w_reinforce"}, False),
        ({"adv_estimator": "w_reinforce", "positive_advantage_weight": 0.0}, False),
        ({"adv_estimator": "w_reinforce", "drop_zero_advantage": True}, True),
        ({"adv_estimator": "psr_nsr", "advantage": "positive"}, True),
        ({"adv_estimator": "psr_nsr", "advantage": "weighted"}, False),
        ({"adv_estimator": "grpo"}, False),
    ],
)
def test_who_drops(algorithm, drops):
    assert drops_zero_advantage(Algorithm(algorithm)) is drops


def test_the_normaliser():
    assert loss_normalizer({}) == "kept"
    with pytest.raises(ValueError, match="kept, all, got most"):
        loss_normalizer({"loss_normalizer": "most"})
