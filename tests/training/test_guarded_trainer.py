"""The guards in the trainer: when it asks them, what it does for them, and what a checkpoint keeps of them."""

import json
import math
from types import SimpleNamespace

import pytest

from tests.training.stand_in import rows_of, step_of, trainer_with
from verl_ext.training.ending import read_ended
from verl_ext.training.guards.roll_back import GuardrailError, RolledBackError, rollbacks
from verl_ext.training.guards.rollout_gap import METRIC
from verl_ext.training.validation_score import error_of

OPTIONS = "trainer.guardrails"
SCORE = "val-core/gsm8k/acc/mean@1"


@pytest.fixture
def verls(monkeypatch):
    """verl's trainer, whose passes, checkpoints and metrics are made elsewhere."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    def load(self):
        self.global_steps = 4

    def with_nothing(_self, batch, metrics, *_rest, **_options):
        return batch

    for name in ("_compute_old_log_prob", "_compute_metrics"):
        monkeypatch.setattr(PPOTrainerSync, name, with_nothing)
    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", lambda _self: None)
    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", load)
    return PPOTrainerSync


# ---------------------------------------------------------------------- the gap


def test_the_trainer_looks_before_it_updates(monkeypatch, verls):
    trainer = trainer_with("algorithm.adv_estimator=nsr", "algorithm.one_pass=False")
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0, 0]])), {})
    trainer._compute_old_log_prob(batch, {METRIC: 0.01})
    with pytest.raises(
        GuardrailError, match="step 1, guardrail rollout_gap: the rollout engine and the actor disagree"
    ):
        trainer._compute_old_log_prob(batch, {METRIC: 0.03})
    with pytest.raises(GuardrailError, match="has no training/rollout_probs_diff_mean"):
        trainer._compute_old_log_prob(batch, {})


def test_verl_calls_the_gap_by_this_name():
    import torch
    from tensordict import TensorDict
    from verl.utils.debug.metrics import calculate_debug_metrics

    log_probs = torch.log(torch.tensor([[0.5, 0.25]]))
    batch = {"rollout_log_probs": log_probs, "old_log_probs": log_probs + math.log(1.5)}
    batch |= {"response_mask": torch.ones(1, 2), "responses": torch.ones(1, 2)}
    assert calculate_debug_metrics(SimpleNamespace(batch=TensorDict(batch, 1)))[METRIC] == pytest.approx(0.1875)


def test_a_resumed_run_remembers_the_first_steps(verls, tmp_path):
    """Its own first steps come after the weights have moved: a rollout that lost them would set its own measure."""
    first = trainer_with(f"trainer.default_local_dir={tmp_path}")
    first.global_steps = 4
    first._look_at_gap(1e-9, 1000)
    (tmp_path / "global_step_4").mkdir()
    first._save_checkpoint()
    for how in ((), ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={tmp_path}/global_step_4")):
        resumed = trainer_with(f"trainer.default_local_dir={tmp_path}", *how)
        resumed._load_checkpoint()
        assert resumed._guardrails.largest_gap == pytest.approx(1e-7)


def test_what_was_seen_is_in_a_checkpoint_before_verl_names_it_the_last(verls, monkeypatch, tmp_path):
    """A run that is killed right after would forget its guards' measure, and the validation before training."""
    there = []
    monkeypatch.setattr(verls, "_save_checkpoint", lambda self: there.extend(self._step_folder.iterdir()))
    trainer = trainer_with(f"trainer.default_local_dir={tmp_path}")
    trainer.global_steps = 4
    trainer._save_checkpoint()
    assert sorted(file.name for file in there) == ["ending.json", "guardrails.json"]


# ---------------------------------------------------------------------- updates that are no numbers


@pytest.mark.parametrize("metric", ["grad_norm", "pg_loss", "loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_update_stops_the_run(monkeypatch, metric, value):
    """The second of two updates: verl would skip it, and all that come after."""
    trainer = trainer_with("algorithm.adv_estimator=nsr")
    metrics = {}
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0, 0]])), metrics)
    trainer.global_steps = 7
    trainer._update_actor(batch, {})
    trainer.actor_rollout_wg.metrics = {metric: [1.0, value]}
    with pytest.raises(GuardrailError, match=rf"step 7, guardrail not_finite: actor/{metric}={value}"):
        trainer._update_actor(batch, metrics)
    (row,) = trainer.logger.rows
    assert (row["step"], row["guardrails/not_finite"], row["train/correct_ratio"]) == (7, 1, 0.0)


def test_a_broken_critic_stops_the_run(monkeypatch, verls):
    def update(_self, batch, metrics):
        metrics["critic/vf_loss"] = math.nan
        return batch

    monkeypatch.setattr(verls, "_update_critic", update)
    trainer = trainer_with("algorithm.adv_estimator=nsr")
    with pytest.raises(GuardrailError, match=r"step 1, guardrail not_finite: critic/vf_loss=nan"):
        trainer._update_critic(step_of(monkeypatch, rows_of([[0, 0]])), {})


def test_float16_may_overflow(monkeypatch):
    """verl's engine lowers its loss scale then; only a loss that is no number is a fault."""
    trainer = trainer_with(
        "algorithm.adv_estimator=nsr", "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=fp16"
    )
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0, 0]])), {})
    trainer.actor_rollout_wg.metrics = {"grad_norm": [math.inf], "loss": [1.0]}
    trainer._update_actor(batch, {})
    trainer.actor_rollout_wg.metrics = {"grad_norm": [1.0], "loss": [math.inf]}
    with pytest.raises(GuardrailError, match="actor/loss"):
        trainer._update_actor(batch, {})


# ---------------------------------------------------------------------- the end of a step


ALWAYS_LONG = (f"{OPTIONS}.response_length.max_growth=0.5", f"{OPTIONS}.response_length.over_steps=1")


def over(trainer, step: int) -> dict:
    """The metrics of a step that is over; raises what the run ends with."""
    trainer.global_steps, trainer._num_updates = step, 0
    metrics = {"train/response_length": 7.0}
    trainer._compute_metrics(None, metrics, {}, global_steps=step, epoch=0)
    return metrics


def guarded(tmp_path, action: str, *more: str):
    """A trainer one of whose guards always finds something."""
    options = (f"{OPTIONS}.response_length.action={action}", *ALWAYS_LONG, f"trainer.output_dir={tmp_path}")
    trainer = trainer_with(*options, "trainer.save_freq=4", *more)
    trainer.total_training_steps = 10
    return trainer


def test_a_warning_is_a_number_of_the_step(tmp_path):
    trainer = guarded(tmp_path, "warn")
    assert [over(trainer, step)["guardrails/response_length"] for step in (1, 2, 3)] == [1, 2, 3]
    assert trainer.total_training_steps == 10


def test_a_step_becomes_the_last_and_is_saved(tmp_path, verls):
    trainer = guarded(tmp_path, "end")
    (tmp_path / "checkpoints/global_step_6").mkdir(parents=True)
    over(trainer, 6)
    assert trainer.total_training_steps == 6
    assert read_ended(tmp_path / "checkpoints").reason.startswith("response_length: answers have 7.0 tokens")
    assert (tmp_path / "checkpoints/global_step_6/guardrails.json").is_file()


def test_the_step_that_stops_a_run_is_on_record(tmp_path):
    trainer = guarded(tmp_path, "stop")
    with pytest.raises(GuardrailError, match="step 6, guardrail response_length"):
        over(trainer, 6)
    assert trainer.logger.rows == [
        {
            "step": 6,
            "train/response_length": 7.0,
            "training/global_step": 6.0,
            "training/epoch": 0.0,
            "guardrails/findings": 1,
            "guardrails/response_length": 1,
        }
    ]


def test_a_run_goes_back_and_on_with_a_smaller_learning_rate(tmp_path, verls, monkeypatch):
    trainer = guarded(tmp_path, "roll_back")
    checkpoints = tmp_path / "checkpoints"
    for step in (4, 8):
        (checkpoints / f"global_step_{step}" / "actor").mkdir(parents=True)
        (checkpoints / f"global_step_{step}" / "data.pt").touch()
    with pytest.raises(RolledBackError, match="The run goes back to step 4, with 0.5 times"):
        over(trainer, 8)
    assert [(one.step, one.to_step) for one in rollbacks(checkpoints)] == [(8, 4)]
    events = [json.loads(line) for line in (tmp_path / "guardrails.jsonl").read_text().splitlines()]
    assert [event.get("went_back_to") for event in events] == [None, 4]

    again = guarded(tmp_path, "warn")
    factors = []
    again.actor_rollout_wg.use_learning_rate_factor = factors.append
    again._load_checkpoint()
    assert factors == [0.5]
    assert over(again, 5)["guardrails/rollbacks"] == 1
    (checkpoints / "global_step_4" / "actor").rmdir()
    again._save_checkpoint()  # of step 5
    (checkpoints / "rollbacks.json").unlink()
    third = guarded(tmp_path, "warn")
    third.actor_rollout_wg.use_learning_rate_factor = factors.append
    monkeypatch.setattr(verls, "_load_checkpoint", lambda self: setattr(self, "global_steps", 5))
    third._load_checkpoint()
    assert factors == [0.5, 0.5], "also without the record: the checkpoint knows"


def test_a_run_that_never_went_back_keeps_its_learning_rate(tmp_path, verls):
    trainer = guarded(tmp_path, "warn")
    trainer._load_checkpoint()  # the workers that stand in have no such method


def test_the_base_is_the_validation_before_the_first_step(tmp_path, monkeypatch, verls):
    trainer = trainer_with(f"{OPTIONS}.validation.action=stop", f"trainer.output_dir={tmp_path}")
    trainer.total_training_steps = 10
    scores = {SCORE: 0.6, error_of(SCORE): 0.03}
    monkeypatch.setattr(verls, "_val_metrics_update", lambda *_values, **_options: dict(scores))
    validation = (["gsm8k"], ["uid"], {"reward": [1.0]}, [1])
    trainer.global_steps = 0
    trainer._val_metrics_update(*validation)
    trainer.global_steps = 3
    scores[SCORE] = 0.1
    metrics = trainer._val_metrics_update(*validation)
    trainer._num_updates = 0
    with pytest.raises(GuardrailError, match=r"guardrail validation: the validation score is 0.1000, and was 0.6000"):
        trainer._compute_metrics(None, metrics, {}, global_steps=3, epoch=0)


# ---------------------------------------------------------------------- what is measured of the answers


def test_repetition_is_measured_on_what_was_generated(monkeypatch):
    """Answers of six tokens, of which the mask leaves five: two pieces of four."""
    import torch

    from verl_ext.training import trainer as module

    trainer = trainer_with("algorithm.adv_estimator=nsr")
    batch = step_of(monkeypatch, rows_of([[0, 0, 1]]))
    for row in module.tq.rows.values():
        row["responses"] = torch.tensor([5, 5, 5, 9, 5, 5])
        row["response_mask"] = torch.tensor([1, 1, 1, 0, 1, 1])
        row["rm_scores"] = torch.zeros(6)
    metrics: dict = {}
    trainer._filter(batch, metrics)
    assert metrics["train/repetition"] == 0.5
