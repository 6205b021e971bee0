"""Where old log-probs come from: the first update of a step, where that is exact, or a pass beforehand."""

import json
import math

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict

from tests.training.conftest import config_of
from tests.training.stand_in import OWN, put_log_probs, rows_of, step_of, trainer_with
from verl_ext.learner.dropout import dropouts
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.training.checks.algorithm import check_estimator
from verl_ext.training.checks.old_log_probs import described, takes_own_log_probs
from verl_ext.training.checks.trainer_options import check_trainer_options
from verl_ext.training.configuration import compose_config
from verl_ext.training.fingerprint import fingerprint
from verl_ext.training.guards.rollout_gap import METRIC

ACTOR = "actor_rollout_ref.actor"
NO_GAP = ("trainer.guardrails.rollout_gap.action=null",)
NEEDED = {
    "KL in the reward": (
        ["algorithm.adv_estimator=grpo", "algorithm.use_kl_in_reward=True"],
        "use_kl_in_reward=True puts",
    ),
    "a critic": (["algorithm.adv_estimator=gae"], "a critic splits"),
    "advantages": (["algorithm.adv_estimator=optimal_token_baseline"], "optimal_token_baseline computes"),
    "weights": (["algorithm.rollout_correction.rollout_is=token"], "rollout_is=token weighs"),
    "rejection": (["algorithm.rollout_correction.rollout_rs=token_k1"], "rollout_rs=token_k1 weighs"),
    "bypass": (["algorithm.rollout_correction.bypass_mode=True", *NO_GAP], "bypass_mode=True takes the rollout's"),
    "epochs": ([f"{ACTOR}.ppo_epochs=2"], "ppo_epochs=2 comes back"),
    "an order of its own": ([f"{ACTOR}.shuffle=True"], "shuffle=True leaves open"),
    "steps without an update": (["trainer.critic_warmup=3"], "critic_warmup=3 makes"),
    "another engine": ([f"{ACTOR}.strategy=megatron"], "strategy=megatron is not known"),
}


@pytest.mark.parametrize("case", NEEDED)
def test_a_pass_is_made_where_it_is_needed_and_the_launch_says_why(case):
    overrides, why = NEEDED[case]
    config = compose_config(overrides, device="cpu")
    assert not takes_own_log_probs(config, AlgorithmOptions.read(config.algorithm))
    assert described(config).startswith("old log-probs: a pass of their own, because ")
    assert why in described(config)
    check_trainer_options(config)


@pytest.mark.parametrize("case", NEEDED)
@pytest.mark.parametrize("check", [check_trainer_options, check_estimator])
def test_one_pass_is_refused_where_it_is_not_exact(case, check):
    overrides, why = NEEDED[case]
    with pytest.raises(ValueError, match=f"algorithm.one_pass=True takes .*, but .*{why}.* Leave it at null"):
        check(compose_config([*overrides, "algorithm.one_pass=True"], device="cpu"))


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm.adv_estimator=nsr"],
        ["algorithm.adv_estimator=grpo", f"{ACTOR}.use_kl_loss=True"],
        ["algorithm.mini_batches=paper", f"{ACTOR}.policy_loss.loss_mode=paper", f"{ACTOR}.entropy_coeff=1e-4"],
        ["actor_rollout_ref.rollout.calculate_log_probs=False", *NO_GAP],
        ["algorithm.one_pass=True"],
    ],
)
def test_elsewhere_none_is_made(overrides):
    config = compose_config(overrides, device="cpu")
    assert takes_own_log_probs(config, check_trainer_options(config))
    assert "those of a step's first update are its own" in described(config)


def test_switched_off():
    config = compose_config(["algorithm.one_pass=False"], device="cpu")
    assert not takes_own_log_probs(config, check_trainer_options(config))
    assert described(config) == "old log-probs: a pass of their own (algorithm.one_pass=False)"
    assert described(compose_config(["trainer.v1.trainer_mode=sync"], device="cpu")) == ""


def test_a_run_may_go_on_with_the_other(folder):
    on, off = (fingerprint(config_of(folder, f"algorithm.one_pass={value}")) for value in ("True", "False"))
    assert on == off


def test_a_model_with_dropout_is_another_in_an_update(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"attention_dropout": 0.1, "classifier_dropout": 0.5}))
    config = config_of(folder, f"actor_rollout_ref.model.path={tmp_path}")
    assert f"because attention_dropout=0.1 of actor_rollout_ref.model.path={tmp_path}" in described(config)
    (tmp_path / "config.json").write_text(json.dumps({"attention_dropout": 0.0}))
    assert "are its own" in described(config)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_dropout": 0.05}))
    config = config_of(folder, f"actor_rollout_ref.model.lora_adapter_path={tmp_path}")
    assert "lora_dropout=0.05 of actor_rollout_ref.model.lora_adapter_path" in described(config)


def test_dropouts_of_a_model_of_several_parts():
    config = {"id2label": {0: "no"}, "text_config": {"resid_pdrop": 0.1, "dropout": 0}, "summary_first_dropout": 0.1}
    assert dropouts(config | {"use_dropout": True, "dropout_rate": None}) == {"resid_pdrop": 0.1}


def test_the_workers_refuse_a_dropout_that_the_launcher_could_not_see():
    from verl_ext.learner.verl_workers import _check_no_dropout

    with pytest.raises(RuntimeError, match=r"attention_dropout=0.1, 0 \(p=0.5\).* set algorithm.one_pass=False"):
        _check_no_dropout({"attention_dropout": 0.1}, torch.nn.Sequential(torch.nn.Dropout(0.5)))
    _check_no_dropout({"attention_dropout": 0.0}, torch.nn.Sequential(torch.nn.Dropout(0.0)))


# ---------------------------------------------------------------------- in the trainer


@pytest.fixture
def passes(monkeypatch):
    """The rows of each pass that is made beforehand; it finds a gap of 0.01."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    made: list[list[str]] = []

    def compute(_self, batch, metrics):
        made.append(list(batch.keys))
        put_log_probs(batch.keys)
        metrics[METRIC] = 0.01
        return batch

    monkeypatch.setattr(PPOTrainerSync, "_compute_old_log_prob", compute)
    return made


def stepped(monkeypatch, *overrides: str, num_kept: int, num_ranks: int = 2, gap: float | None = 0.0):
    """A step up to its updates, in mini-batches of 8; returns the trainer, the batch and the metrics."""
    trainer = trainer_with(
        "algorithm.adv_estimator=nsr", f"{ACTOR}.ppo_mini_batch_size=2", *overrides, num_ranks=num_ranks
    )
    trainer.actor_rollout_wg.rollout_gap = gap
    metrics: dict = {}
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0] * num_kept, [1, 1]])), metrics)
    batch = trainer._compute_old_log_prob(batch, metrics)
    trainer._update_actor(batch, metrics)
    return trainer, batch, metrics


def test_one_update_makes_no_pass(monkeypatch, passes):
    trainer, batch, metrics = stepped(monkeypatch, num_kept=7)
    (update,) = trainer.actor_rollout_wg.updates
    assert passes == []
    assert update.own_log_probs
    assert (update.max_rollout_gap, update.num_kept_tokens, update.gap_of_others) == (0.02, 21, 0.0)
    assert update.keys == batch.keys
    assert update.steps_schedule
    assert metrics["actor/entropy"] == OWN["entropy"]
    assert metrics["actor/grad_norm"] == 1.0
    assert "actor/rollout_gap" not in metrics


@pytest.mark.parametrize(("cut", "sizes"), [("equal", [8, 16]), ("paper", [8, 8, 6])])
def test_more_updates_make_it_for_the_later_ones(monkeypatch, passes, cut, sizes):
    """22 samples; what was said of the first update is not said of the later ones."""
    trainer, batch, _ = stepped(monkeypatch, f"algorithm.mini_batches={cut}", num_kept=22)
    first, *later = trainer.actor_rollout_wg.updates
    assert [len(update.keys) for update in (first, *later)] == sizes
    assert [sorted(keys) for keys in passes] == [sorted(key for update in later for key in update.keys)]
    assert sorted(first.keys + passes[0]) == sorted(batch.keys)
    assert first.gap_of_others == 0.01
    assert not any(hasattr(update, "own_log_probs") or hasattr(update, "gap_of_others") for update in later)
    assert [update.steps_schedule for update in (first, *later)] == [False] * len(later) + [True]


def test_switched_off_the_pass_is_made_for_all(monkeypatch, passes):
    trainer, batch, _ = stepped(monkeypatch, "algorithm.one_pass=False", num_kept=22)
    assert passes == [batch.keys]
    assert not any(hasattr(update, "own_log_probs") for update in trainer.actor_rollout_wg.updates)


@pytest.mark.parametrize("gap", [0.03, math.nan, None])
def test_a_stale_rollout_stops_the_run_after_the_first_call(monkeypatch, passes, gap):
    """In which the workers have made no update: tests/learner/test_own_log_probs.py."""
    with pytest.raises(RuntimeError, match="actor disagree|differ by nan|has no training/rollout_probs_diff_mean"):
        stepped(monkeypatch, num_kept=22, gap=gap)
    trainer, *_ = stepped(monkeypatch, *NO_GAP, num_kept=22, gap=gap)
    assert len(trainer.actor_rollout_wg.updates) == 2
    assert not hasattr(trainer.actor_rollout_wg.updates[0], "max_rollout_gap")


def test_the_workers_are_told_the_growth_that_is_let_through(monkeypatch, passes):
    trainer, batch, _ = stepped(monkeypatch, num_kept=7, gap=1e-5)
    trainer._look_at_gap(1e-5, 1000)
    trainer._update_actor(batch, {})
    assert trainer.actor_rollout_wg.updates[-1].max_rollout_gap == pytest.approx(1e-4)


def test_verl_computes_no_correction_from_what_is_not_there_yet(monkeypatch):
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    seen = []

    def compute(self, batch, metrics):
        seen.append(self.config.algorithm.rollout_correction)
        return batch

    monkeypatch.setattr(PPOTrainerSync, "_compute_advantage", compute)
    for one_pass in (True, False):
        trainer = trainer_with("algorithm.adv_estimator=nsr", f"algorithm.one_pass={one_pass}")
        before = OmegaConf.to_container(trainer.config.algorithm.rollout_correction)
        trainer._compute_advantage(step_of(monkeypatch, rows_of([[0]])), {})
        assert (seen[-1] is None) == one_pass
        assert OmegaConf.to_container(trainer.config.algorithm.rollout_correction) == before


def test_what_is_reported_is_over_the_tokens_of_the_step():
    """Three tokens and one of padding: entropies 1, 2, 3; probabilities 0.5, 0.25 and 0.2 against 0.4, 0.25 and 0.4."""
    from verl_ext.training.own_log_prob_metrics import reported

    data = TensorDict(
        {
            "old_log_probs": torch.tensor([[0.5, 0.25], [0.2, 1.0]]).log(),
            "rollout_log_probs": torch.tensor([[0.4, 0.25], [0.4, 0.5]]).log(),
            "entropy": torch.tensor([[1.0, 2.0], [3.0, 9.0]]),
            "response_mask": torch.tensor([[1, 1], [1, 0]]),
            "responses": torch.ones(2, 2, dtype=torch.int64),
        },
        batch_size=2,
    )
    actor = compose_config([], device="cpu").actor_rollout_ref.actor
    metrics = reported(data, actor)
    assert metrics["actor/entropy"] == pytest.approx(2.0)
    assert metrics[METRIC] == pytest.approx(0.1)
    assert metrics["training/rollout_probs_diff_max"] == pytest.approx(0.2)
    assert metrics["rollout_corr/kl"] == pytest.approx((math.log(0.4 / 0.5) + math.log(0.4 / 0.2)) / 3)
    assert reported(data.exclude("rollout_log_probs"), actor) == {"actor/entropy": pytest.approx(2.0)}
