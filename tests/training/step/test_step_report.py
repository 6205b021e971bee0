"""Shares of samples, prompts, reasons and clipped tokens; the range of rewards."""

import pytest
import torch

from verl_ext.training.step.samples import Samples
from verl_ext.training.step.step_report import (
    Counts,
    clip_fractions,
    describe,
    group_shares,
    kept_shares,
    reason_shares,
    reward_range,
)


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


def test_what_is_kept():
    shares = kept_shares(Counts(6, 8), Counts(30, 120))
    assert shares == {
        "train/samples": 8,
        "train/kept_samples": 6,
        "train/kept_ratio": 0.75,
        "train/kept_token_ratio": 0.25,
    }
    assert kept_shares(Counts(0, 8), Counts(0, 0))["train/kept_token_ratio"] == 0


def samples_of(keys: list[str], infos: list[dict[str, float]], scores: list[float]) -> Samples:
    """Responses of one and two tokens in turn, each of whose tokens the rollout gave the log-probability -0.5."""
    mask_BT = torch.tensor([[1, row % 2] for row in range(len(keys))])
    scores_BT = torch.tensor([[score, 0.0] for score in scores])
    prompts = [key.rsplit("_", 2)[0] for key in keys]
    log_probs_BT = torch.full((len(keys), 2), -0.5)
    return Samples(keys, prompts, infos, scores_BT, mask_BT, log_probs_BT, [0] * len(keys))


def test_a_session_counts_once():
    """Prompt p has a right session of one output and a wrong one of two; q has a right one."""
    right, wrong = {"correct": 1.0}, {"correct": 0.0}
    keys = ["p_0_0", "p_1_0", "p_1_1", "q_0_0"]
    metrics = describe(samples_of(keys, [right, wrong, wrong, right], [1, 0, 0, 1]))
    assert metrics == {
        "train/correct_ratio": pytest.approx(2 / 3),
        "train/fully_solved_ratio": 0.5,
        "train/fully_unsolved_ratio": 0.0,
        "train/reason/correct": pytest.approx(2 / 3),
        "train/reward_range": 1.0,
        "train/response_length": 1.5,
        "train/entropy": 0.5,
    }


def ranged(*scores: float, info: dict[str, float] | None = None) -> dict[str, float]:
    """Of samples with these scores, the last of which has ``info``."""
    keys = [f"p_{session}_0" for session in range(len(scores))]
    infos = [{}] * (len(scores) - 1) + [info or {}]
    return reward_range(samples_of(keys, infos, list(scores)))


def test_the_range_of_rewards_is_that_of_graded_samples():
    assert ranged(0, 1, 0) == {"train/reward_range": 1.0}
    assert ranged(0.25, 0.75) == {"train/reward_range": 0.5}
    assert ranged(1, 1, 0, info={"timed_out": 1.0}) == {"train/reward_range": 0.0}
    assert ranged(0, info={"grader_error": 1.0}) == {}
