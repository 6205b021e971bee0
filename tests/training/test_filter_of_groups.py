"""The trainer's filter in front of objectives that compare samples, and its moving lambda; verl's queue is a stand-in."""

import pytest
from omegaconf import OmegaConf

from tests.training.stand_in import rows_of, step_of, trainer_with
from verl_ext.training.guards.guardrails import Guardrails

K = 3


def kept(monkeypatch, trainer, groups: list[list[float | None]], truncated: frozenset[int] = frozenset()) -> list[str]:
    """Keys of the samples that the filter keeps; None is a sample that the grader failed on, ``truncated`` are rows."""
    rows = rows_of(groups)
    for row in truncated:
        rows[row]["info"] = {"truncated": 1.0}
    return kept_rows(monkeypatch, trainer, rows)


def kept_rows(monkeypatch, trainer, rows: list[dict]) -> list[str]:
    trainer._guardrails = Guardrails({}, trainer.config)
    metrics: dict = {}
    keys_kept = trainer._filter(step_of(monkeypatch, rows), metrics).keys
    assert metrics["train/kept_samples"] == len(keys_kept)
    assert sorted([*keys_kept, *trainer._dropped.keys]) == sorted(row["key"] for row in rows)
    return keys_kept


@pytest.mark.parametrize("name", ["pkpo", "pass_at_k_training"])
def test_a_group_with_an_advantage_stays_whole(monkeypatch, name):
    """PKPO's wrong samples have none, but verl computes the advantages of what is left once more, from its counts."""
    trainer = trainer_with(
        f"algorithm.adv_estimator={name}", f"algorithm.pass_at_k={K}", "algorithm.drop_zero_advantage=True"
    )
    assert kept(monkeypatch, trainer, [[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]) == [
        "p0_0_0",
        "p0_1_0",
        "p0_2_0",
        "p0_3_0",
    ]


def test_an_all_wrong_group_is_kept_for_its_virtual_success(monkeypatch):
    trainer = trainer_with("algorithm.adv_estimator=grpo_virtual_success", "algorithm.drop_zero_advantage=True")
    assert kept(monkeypatch, trainer, [[0, 0], [1, 1], [1, 0]]) == ["p0_0_0", "p0_1_0", "p2_4_0", "p2_5_0"]


@pytest.mark.parametrize("drops", [True, False])
def test_a_group_left_with_fewer_than_k_leaves(monkeypatch, drops):
    """Ungraded and failed samples make a group too small for its k: it is left out and the run goes on."""
    trainer = trainer_with(
        "algorithm.adv_estimator=pkpo", f"algorithm.pass_at_k={K}", f"algorithm.drop_zero_advantage={drops}"
    )
    groups = [[1, 0, None, None], [1, 0, 0, None], [1, 0]]
    assert kept(monkeypatch, trainer, groups) == ["p1_4_0", "p1_5_0", "p1_6_0"]


def test_nothing_graded_is_nothing_kept(monkeypatch):
    trainer = trainer_with("algorithm.adv_estimator=nsr")
    assert kept(monkeypatch, trainer, [[None, None]]) == []


def test_the_signed_objectives_still_drop_single_samples(monkeypatch):
    assert kept(monkeypatch, trainer_with("algorithm.adv_estimator=nsr"), [[1, 0, None], [1, 1, 1]]) == ["p0_1_0"]


def test_each_step_has_its_weight(monkeypatch):
    """From 0 at step 1, where the correct sample has no advantage, to 1 at step 3."""
    trainer = trainer_with(
        "algorithm.adv_estimator=w_reinforce",
        "algorithm.drop_zero_advantage=True",
        "algorithm.positive_advantage_weight=0",
        "algorithm.positive_advantage_weight_schedule=linear",
        "algorithm.positive_advantage_weight_end=1",
    )
    trainer.total_training_steps = 3
    weights, sizes = [], []
    for trainer.global_steps in (1, 2, 3):
        metrics: dict = {}
        trainer._set_positive_weight(metrics)
        assert trainer.config.algorithm.positive_advantage_weight == metrics["train/positive_advantage_weight"]
        weights.append(metrics["train/positive_advantage_weight"])
        sizes.append(len(kept(monkeypatch, trainer, [[1, 0]])))
    assert weights == [0.0, 0.5, 1.0]
    assert sizes == [1, 2, 2]


def test_without_a_schedule_the_options_stay_as_they_are():
    trainer = trainer_with("algorithm.adv_estimator=w_reinforce")
    before = OmegaConf.to_container(trainer.config)
    metrics: dict = {}
    trainer._set_positive_weight(metrics)
    assert metrics == {}
    assert OmegaConf.to_container(trainer.config) == before


@pytest.mark.parametrize(("is_masked", "expected"), [("False", ["p0_0_0", "p0_1_0"]), ("True", ["p0_0_0"])])
def test_truncated_answers_are_punished_or_masked(monkeypatch, is_masked, expected):
    """The second sample was cut before it had an answer: the paper's code learns from it, the knob leaves it out."""
    trainer = trainer_with("algorithm.adv_estimator=nsr", f"algorithm.mask_truncated={is_masked}")
    assert kept(monkeypatch, trainer, [[0, 0, 1]], truncated=frozenset({1})) == expected


def test_a_time_out_is_not_a_wrong_answer(monkeypatch):
    """The second sample's comparison ran over its time: nsr must not push it down, whatever its score says."""
    trainer = trainer_with("algorithm.adv_estimator=nsr")
    rows = rows_of([[0, 0, 1]])
    rows[1]["info"] = {"timed_out": 1.0}
    assert kept_rows(monkeypatch, trainer, rows) == ["p0_0_0"]


@pytest.mark.parametrize("reason", ["timed_out", "grader_error"])
def test_too_many_ungraded_samples_stop_the_run(monkeypatch, reason):
    trainer = trainer_with("algorithm.adv_estimator=nsr", "trainer.guardrails.grader_errors.max_ratio=0.25")
    rows = rows_of([[0, 0, 1, 0]])
    rows[1]["info"] = {reason: 1.0}
    assert len(trainer._filter(step_of(monkeypatch, rows), {})) == 2
    rows[3]["info"] = {reason: 1.0}
    with pytest.raises(RuntimeError, match=rf"failed on 50.0% .*50.0% {reason}.*grader_errors.max_ratio=0.25"):
        trainer._filter(step_of(monkeypatch, rows), {})


def test_masking_needs_a_reward_that_reports_truncation(monkeypatch):
    trainer = trainer_with(
        "algorithm.adv_estimator=nsr",
        "algorithm.mask_truncated=True",
        "reward.custom_reward_function.path=mine.py",
        "reward.custom_reward_function.name=score",
    )
    batch = step_of(monkeypatch, rows_of([[0, 0]]))
    from verl_ext.training import trainer as module

    for row in module.tq.rows.values():
        del row["extra_fields"]["reward_extra_info"]["truncated"]
    with pytest.raises(
        ValueError, match=r"mask_truncated=True .*custom_reward_function.path=mine.py \(name=score\) does not"
    ):
        trainer._filter(batch, {})


def test_responses_without_a_token_are_no_update(monkeypatch):
    trainer = trainer_with("algorithm.adv_estimator=reinforce")
    rows = [row | {"mask": 0} for row in rows_of([[0, 1]])]
    assert kept_rows(monkeypatch, trainer, rows) == []


OUTPUTS = [("p0_0_0", 1.0), ("p0_1_0", 0.0), ("p0_1_1", 0.0), ("p0_1_2", 0.0), ("p1_0_0", 1.0)]
"""A right session of one output and a wrong one of three; another prompt has one session left."""


def test_sessions_are_counted_not_outputs(monkeypatch):
    """pass@2 needs two sessions: four outputs of two sessions are two, and shares are of sessions."""
    trainer = trainer_with("algorithm.adv_estimator=pkpo", "algorithm.pass_at_k=2")
    rows = [{"key": key, "score": score} for key, score in OUTPUTS]
    assert kept_rows(monkeypatch, trainer, rows) == ["p0_0_0", "p0_1_0", "p0_1_1", "p0_1_2"]
    metrics: dict = {}
    trainer._filter(step_of(monkeypatch, rows), metrics)
    assert metrics["train/correct_ratio"] == pytest.approx(2 / 3)
    three = trainer_with("algorithm.adv_estimator=pkpo", "algorithm.pass_at_k=3")
    assert kept_rows(monkeypatch, three, rows) == []
