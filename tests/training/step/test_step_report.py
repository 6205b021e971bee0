"""Shares of samples, prompts, reasons and clipped tokens; what stops a run."""

import math

import pytest
import torch

from verl_ext.training.step.samples import Samples
from verl_ext.training.step.step_report import (
    Counts,
    check_finite,
    check_graded,
    clip_fractions,
    describe,
    group_shares,
    kept_shares,
    reason_shares,
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
    return Samples(keys, prompts, infos, scores_BT, mask_BT, log_probs_BT)


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
        "train/response_length": 1.5,
        "train/entropy": 0.5,
    }


def ungraded(reason: str) -> Samples:
    """One sample that was graded, and one that was not."""
    return samples_of(["p_0_0", "p_1_0"], [{"correct": 1.0}, {reason: 1.0, "correct": 0.0}], [1, 0])


def test_too_many_ungraded_samples_stop_the_run():
    check_graded(ungraded("timed_out"), step=3, limit=0.5)
    message = (
        r"failed on 50.0% of the samples of step 3 \(50.0% timed_out\), more than trainer.max_grader_error_ratio=0.25"
    )
    with pytest.raises(RuntimeError, match=message):
        check_graded(ungraded("timed_out"), step=3, limit=0.25)


def test_without_a_limit_any_number_may_be_ungraded():
    check_graded(ungraded("grader_error"), step=1, limit=None)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_update_that_is_no_number_stops_the_run(value):
    message = (
        rf"Step 4 has critic/vf_loss={value}: .*smaller learning rate \(critic.optim.lr\) or a tighter critic.grad_clip"
    )
    with pytest.raises(RuntimeError, match=message):
        check_finite({"critic/vf_loss": value, "critic/grad_norm": 1.0}, "critic", step=4, may_overflow=False)


def test_the_other_model_and_an_overflow_that_is_expected_are_let_through():
    check_finite({"actor/loss": math.nan, "critic/loss": 1.0}, "critic", step=1, may_overflow=False)
    check_finite({"actor/grad_norm": math.inf, "actor/loss": 1.0}, "actor", step=1, may_overflow=True)
    with pytest.raises(RuntimeError, match="actor/grad_norm=inf"):
        check_finite({"actor/grad_norm": math.inf, "actor/loss": 1.0}, "actor", step=1, may_overflow=False)
