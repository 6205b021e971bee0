"""A rollout with other weights than the actor's stops the run, and so does a gap that is missing or no number."""

import json
import math
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.stand_in import rows_of, step_of, trainer_with
from verl_ext.training.checks.trainer_options import check_gap_limits
from verl_ext.training.configuration import compose_config
from verl_ext.training.rollout_gap import METRIC, RolloutGap

MANY = 1_000_000


def gaps(watch: RolloutGap, *values: float | None, num_tokens: int = MANY) -> None:
    for step, gap in enumerate(values, start=1):
        watch.check(step, gap, num_tokens)


def test_an_absolute_limit():
    gaps(RolloutGap(0.02, None), 0.001, 0.019)
    with pytest.raises(
        RuntimeError, match=r"at step 2 .* 0.03 on average, more than trainer.max_rollout_probs_diff=0.02"
    ):
        gaps(RolloutGap(0.02, None), 0.001, 0.03)


def test_a_lost_adapter_shows_at_a_learning_rate_of_1e_6():
    """Float32: 1e-9 while the weights are the same, then 1e-7 more in every step that the rollout does not hear of."""
    with pytest.raises(RuntimeError, match=r"at step 3 .* 2e-07 .* first steps by 1e-09; .*_diff_growth=10"):
        gaps(RolloutGap(0.02, 10), 1e-9, 0.9e-7, 2e-7, 3e-7)


def test_a_lost_adapter_shows_in_bfloat16_too():
    with pytest.raises(RuntimeError, match="at step 4"):
        gaps(RolloutGap(0.02, 10), 1e-4, 4e-4, 9e-4, 1.1e-3)


def test_float32_noise_is_no_drift():
    gaps(RolloutGap(0.02, 10), 1e-9, 5e-9, 9e-8)


def test_the_first_steps_are_as_many_as_it_takes_to_see_enough_tokens():
    """300 tokens a step: four steps, whose mean is 2e-5."""
    watch = RolloutGap(0.02, 10)
    gaps(watch, 1e-5, 3e-5, 1e-5, 3e-5, 1.9e-4, num_tokens=300)
    assert watch.of_first_steps == pytest.approx(2e-5)
    with pytest.raises(RuntimeError, match="first steps by 2e-05"):
        watch.check(6, 2.1e-4, 300)


GAPS = st.one_of(st.floats(0, 1), st.sampled_from([math.nan, math.inf]))
LIMITS = st.one_of(st.none(), st.floats(0, 0.5))


@given(LIMITS, st.one_of(st.none(), st.floats(1, 100)), st.lists(st.floats(0, 1e-3), max_size=3), GAPS)
def test_the_bound_is_what_is_let_through(limit, growth, before, gap):
    """The workers compare with it, before they step; the trainer stops the run afterwards."""
    watch = RolloutGap(limit, growth)
    with suppress(RuntimeError):
        gaps(watch, *before)
    bound = watch.bound
    if bound is None or gap <= bound:
        watch.check(9, gap, MANY)
    else:
        with pytest.raises(RuntimeError):
            watch.check(9, gap, MANY)


@pytest.mark.parametrize("gap", [math.nan, math.inf])
@pytest.mark.parametrize("limits", [(0.02, None), (None, 10)])
def test_a_gap_that_is_no_number_stops_the_run(gap, limits):
    with pytest.raises(RuntimeError, match="At step 1 the probabilities .* differ by (nan|inf)"):
        gaps(RolloutGap(*limits), gap)


@pytest.mark.parametrize("limits", [(0.02, None), (None, 10)])
def test_a_missing_gap_stops_the_run(limits):
    with pytest.raises(RuntimeError, match="Step 1 has no .*Set both to null"):
        gaps(RolloutGap(*limits), None)


def test_without_limits_nothing_is_asked():
    gaps(RolloutGap(None, None), None, math.nan, 1.0)


@pytest.mark.parametrize(
    "option", ["algorithm.rollout_correction.bypass_mode=True", "actor_rollout_ref.rollout.calculate_log_probs=False"]
)
def test_options_that_hide_the_gap_are_refused_beside_a_limit(option):
    name = option.partition("=")[0]
    with pytest.raises(
        ValueError, match=f"trainer.max_rollout_probs_diff=0.02 and .*_growth=10 compare .*{name}="
    ) as error:
        check_gap_limits(compose_config([option], device="cpu"))
    assert "set trainer.max_rollout_probs_diff=null and trainer.max_rollout_probs_diff_growth=null" in str(error.value)
    off = ["trainer.max_rollout_probs_diff=null", "trainer.max_rollout_probs_diff_growth=null"]
    check_gap_limits(compose_config([option, *off], device="cpu"))


# ---------------------------------------------------------------------- in the trainer


@pytest.fixture
def trainer(monkeypatch):
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    trainer = trainer_with("algorithm.adv_estimator=nsr", "algorithm.one_pass=False")
    monkeypatch.setattr(PPOTrainerSync, "_compute_old_log_prob", lambda _self, batch, metrics: batch)
    return trainer


def test_the_trainer_looks_before_it_updates(monkeypatch, trainer, tmp_path):
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0, 0]])), {})
    trainer._compute_old_log_prob(batch, {METRIC: 0.01})
    trainer._gap.save(tmp_path)
    assert json.loads((tmp_path / "rollout_gap.json").read_text()) == {"sum": pytest.approx(0.06), "num_tokens": 6}
    with pytest.raises(RuntimeError, match="disagree: at step 1"):
        trainer._compute_old_log_prob(batch, {METRIC: 0.03})
    with pytest.raises(RuntimeError, match="has no training/rollout_probs_diff_mean"):
        trainer._compute_old_log_prob(batch, {})


def test_verl_calls_the_gap_by_this_name():
    import torch
    from tensordict import TensorDict
    from verl.utils.debug.metrics import calculate_debug_metrics

    log_probs = torch.log(torch.tensor([[0.5, 0.25]]))
    batch = {"rollout_log_probs": log_probs, "old_log_probs": log_probs + math.log(1.5)}
    batch |= {"response_mask": torch.ones(1, 2), "responses": torch.ones(1, 2)}
    assert calculate_debug_metrics(SimpleNamespace(batch=TensorDict(batch, 1)))[METRIC] == pytest.approx(0.1875)


def test_a_resumed_run_remembers_the_first_steps(monkeypatch, tmp_path):
    """Its own first steps come after the weights have moved: a rollout that lost them would set its own measure."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    def load(self):
        self.global_steps = 4

    monkeypatch.setattr(PPOTrainerSync, "_save_checkpoint", lambda _self: None)
    monkeypatch.setattr(PPOTrainerSync, "_load_checkpoint", load)
    first = trainer_with(f"trainer.default_local_dir={tmp_path}")
    first.global_steps = 4
    first._gap.check(1, 1e-9, MANY)
    (tmp_path / "global_step_4").mkdir()
    first._save_checkpoint()
    for how in ((), ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={tmp_path}/global_step_4")):
        resumed = trainer_with(f"trainer.default_local_dir={tmp_path}", *how)
        resumed._load_checkpoint()
        assert resumed._gap.of_first_steps == pytest.approx(1e-9)
    assert json.loads((tmp_path / "global_step_4" / "rollout_gap.json").read_text())["num_tokens"] == MANY


# ---------------------------------------------------------------------- updates that are no numbers


@pytest.mark.parametrize("metric", ["grad_norm", "pg_loss", "loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_update_stops_the_run(monkeypatch, metric, value):
    """The second of two updates: verl would skip it, and all that come after."""
    trainer = trainer_with("algorithm.adv_estimator=nsr")
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0, 0]])), {})
    trainer.global_steps = 7
    trainer._update_actor(batch, {})
    trainer.actor_rollout_wg.metrics = {metric: [1.0, value]}
    with pytest.raises(RuntimeError, match=rf"Step 7 has actor/{metric}={value}: .*actor_rollout_ref.actor.optim.lr"):
        trainer._update_actor(batch, {})


def test_a_broken_critic_stops_the_run(monkeypatch):
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    def update(_self, batch, metrics):
        metrics |= {"critic/vf_loss": math.nan, "actor/loss": math.nan}
        return batch

    monkeypatch.setattr(PPOTrainerSync, "_update_critic", update)
    trainer = trainer_with("algorithm.adv_estimator=nsr")
    with pytest.raises(RuntimeError, match=r"Step 1 has critic/vf_loss=nan: .*critic.optim.lr"):
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
    with pytest.raises(RuntimeError, match="actor/loss"):
        trainer._update_actor(batch, {})


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        (("top_p=1", "temperature=1"), "processed_logprobs"),
        (("top_p=0.7", "temperature=1.0"), "raw_logprobs"),
        (("top_k=20", "temperature=1"), "raw_logprobs"),
        (("top_p=1", "temperature=1.2"), "processed_logprobs"),
        (("top_p=0.7", "logprobs_mode=processed_logprobs"), "processed_logprobs"),
    ],
)
def test_vllm_reports_the_distribution_that_the_actor_has(options, mode):
    config = compose_config([f"actor_rollout_ref.rollout.{option}" for option in options], device="cpu")
    assert config.actor_rollout_ref.rollout.logprobs_mode == mode


def test_a_gap_that_is_there_from_the_start_has_no_absolute_limit():
    cut = ["actor_rollout_ref.rollout.top_p=0.7", "actor_rollout_ref.rollout.temperature=1.2"]
    with pytest.raises(
        ValueError, match=r"max_rollout_probs_diff=0.02 .* top_p=0.7, top_k=-1 at temperature 1.2 .*=null"
    ):
        check_gap_limits(compose_config(cut, device="cpu"))
    check_gap_limits(compose_config([*cut, "trainer.max_rollout_probs_diff=null"], device="cpu"))
