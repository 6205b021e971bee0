"""The trainer under a noisy grader: what it trains on, what it reports, and what the launcher refuses."""

import pytest

from tests.training.stand_in import rows_of, step_of, trainer_with
from verl_ext.training.checks.algorithm import check_estimator, check_trainer
from verl_ext.training.configuration import compose_config

NOISE = "algorithm.noisy_grader"
GROUPS = [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [None, 0, 1, 0]]


def filtered(monkeypatch, *overrides):
    """Key -> score in the trainer's queue after its filter, the keys that are kept, and the metrics."""
    from verl_ext.training import trainer as module

    trainer = trainer_with("trainer.guardrails.grader_errors.max_ratio=1.0", *overrides)
    metrics: dict = {}
    batch = step_of(monkeypatch, rows_of(GROUPS))
    kept = trainer._filter(batch, metrics).keys
    scores = {key: float(row["rm_scores"].sum()) for key, row in module.tq.rows.items()}
    return scores, list(kept), metrics


TRUE = {row["key"]: row["score"] for row in rows_of(GROUPS)}


@pytest.mark.parametrize("name", ["nsr", "psr", "grpo"])
def test_it_trains_on_what_the_grader_says(monkeypatch, name):
    scores, kept, metrics = filtered(
        monkeypatch,
        f"algorithm.adv_estimator={name}",
        *(f"{NOISE}.{kind}_rate=0.49" for kind in ("false_negative", "false_positive")),
    )
    flipped = [key for key, score in scores.items() if TRUE[key] is not None and score != TRUE[key]]
    false_negatives = [key for key in flipped if TRUE[key]]
    assert 0 < len(false_negatives) < len(flipped)
    assert scores[next(key for key, score in TRUE.items() if score is None)] == 0.0
    graded = [key for key, score in TRUE.items() if score is not None]
    wanted = {"nsr": [0.0], "psr": [1.0], "grpo": [0.0, 1.0]}[name]
    assert kept == [key for key in graded if scores[key] in wanted]
    assert metrics["train/correct_ratio"] == 7 / 16, "of what is true"
    assert metrics["train/noisy_correct_ratio"] == sum(scores.values()) / 16
    assert metrics["train/flipped_samples"] == len(flipped)
    assert metrics["train/false_negatives"] == len(false_negatives)
    assert metrics["train/false_positives"] == len(flipped) - len(false_negatives)


def test_without_rates_nothing_is_flipped_or_reported(monkeypatch):
    scores, kept, metrics = filtered(monkeypatch)
    assert scores == {key: score or 0.0 for key, score in TRUE.items()}
    assert kept == [key for key, score in TRUE.items() if score == 0]
    assert not {name for name in metrics if "false" in name or "flipped" in name or "noisy" in name}


def test_a_step_repeats_and_another_one_does_not(monkeypatch):
    rates = [f"{NOISE}.false_negative_rate=0.4", f"{NOISE}.false_positive_rate=0.4"]
    first, again = (filtered(monkeypatch, *rates)[0] for _ in range(2))
    assert first == again
    assert first != filtered(monkeypatch, *rates, "actor_rollout_ref.rollout.seed=7")[0]


def test_with_a_correction_every_sample_has_an_advantage(monkeypatch):
    """What is graded correct may be wrong, so that NSR has something to say about it."""
    _, kept, _ = filtered(monkeypatch, f"{NOISE}.false_negative_rate=0.2", f"{NOISE}.correction=forward")
    assert kept == [key for key, score in TRUE.items() if score is not None]


def checked(*overrides):
    config = compose_config(list(overrides), device="cpu")
    check_estimator(config)
    check_trainer(config)


def test_rates_and_a_correction_pass():
    rates = [f"{NOISE}.false_negative_rate=0.2", f"{NOISE}.false_positive_rate=0.1"]
    checked(*rates, f"{NOISE}.correction=forward")
    checked(*rates, "algorithm.adv_estimator=grpo")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((f"{NOISE}.false_negative_rate=1.0",), "false_negative_rate must be a number from 0 to below 1"),
        ((f"{NOISE}.false_negative_rate=0.6", f"{NOISE}.false_positive_rate=0.4"), "add up to 1 or more"),
        ((f"{NOISE}.correction=forward",), "needs the rates of the errors"),
        (
            ("algorithm.adv_estimator=grpo", f"{NOISE}.false_positive_rate=0.1", f"{NOISE}.correction=forward"),
            "algorithm.adv_estimator=grpo has no such two",
        ),
        (
            ("algorithm.adv_estimator=grpo", f"{NOISE}.false_positive_rate=0.1", "algorithm.filter_groups.enable=True"),
            "chooses prompts by the rewards before algorithm.noisy_grader flips them",
        ),
        (
            ("trainer.v1.trainer_mode=sync", f"{NOISE}.false_positive_rate=0.1"),
            "algorithm.noisy_grader.false_positive_rate=0.1 would be ignored",
        ),
        ((f"{NOISE}.false_negativ_rate=0.1",), "Did you mean"),
    ],
)
def test_what_is_refused_before_anything_starts(overrides, message):
    with pytest.raises(ValueError) as error:
        checked(*overrides)
    assert message in str(error.value)
