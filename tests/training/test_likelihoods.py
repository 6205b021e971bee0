"""Objectives that weigh responses by their likelihood, from the rollout's log-probs in the queue to the advantages."""

from math import exp, log

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from tests.training.stand_in import NUM_TOKENS, step_of, trainer_with
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.training.checks.algorithm import check_estimator
from verl_ext.training.checks.old_log_probs import takes_own_log_probs
from verl_ext.training.checks.trainer_options import check_trainer_options
from verl_ext.training.configuration import compose_config

ALL = ("cw_nsr", "lens", "unlikeliness")
EACH = pytest.mark.parametrize("name", ALL)
ROWS = [
    # a mixed prompt, one of wrong answers, one of right answers
    *({"key": f"a_{n}_0", "score": n % 2.0, "log_prob": log(0.2 * (n + 1))} for n in range(4)),
    *({"key": f"b_{n}_0", "score": 0.0, "log_prob": log(0.2 * (n + 1))} for n in range(4)),
    *({"key": f"c_{n}_0", "score": 1.0, "log_prob": log(0.2 * (n + 1))} for n in range(4)),
]
WRONG = [row["key"] for row in ROWS if row["score"] == 0]
MIXED = [f"a_{n}_0" for n in range(4)]


def trainer_of(name: str, *overrides: str):
    return trainer_with(f"algorithm.adv_estimator={name}", *overrides)


def kept_keys(monkeypatch, name: str, *overrides: str, rows=ROWS) -> list[str]:
    trainer = trainer_of(name, *overrides)
    return trainer._filter(step_of(monkeypatch, rows), {}).keys


class Queue:
    """The queue as verl's own advantages read it: nested tensors, one row for each key."""

    def __init__(self, rows: list[dict]) -> None:
        self.rows = {row["key"]: row for row in rows}
        self.written: TensorDict | None = None

    def kv_batch_get(self, keys, partition_id, select_fields):
        def column(values):
            return torch.nested.as_nested_tensor(list(values), layout=torch.jagged)

        rows = [self.rows[key] for key in keys]
        last = torch.nn.functional.one_hot(torch.tensor(NUM_TOKENS - 1), NUM_TOKENS).float()
        fields = {
            "uid": NonTensorStack(*(key.partition("_")[0] for key in keys)),
            "response_mask": column(torch.ones(NUM_TOKENS, dtype=torch.int64) for _ in rows),
            "rm_scores": column(row["score"] * last for row in rows),
            "old_log_probs": column(torch.full((NUM_TOKENS,), -7.0) for _ in rows),
        }
        if all("log_prob" in row for row in rows):
            fields["rollout_log_probs"] = column(torch.full((NUM_TOKENS,), row["log_prob"]) for row in rows)
        return TensorDict({name: value for name, value in fields.items() if name in select_fields}, len(keys))

    def kv_batch_put(self, keys, partition_id, fields):
        self.written = fields


def advantages_by_verl(monkeypatch, trainer, batch, rows=ROWS) -> dict[str, float]:
    """Key -> what the learner will find, by verl's own step over the batch."""
    from verl.trainer.ppo.v1 import trainer_base

    queue = Queue(rows)
    monkeypatch.setattr(trainer_base, "tq", queue)
    trainer._compute_advantage(batch, {})
    return {key: float(row[0]) for key, row in zip(batch.keys, queue.written["advantages"].unbind(), strict=True)}


def test_only_wrong_answers_are_kept_for_cw_nsr(monkeypatch):
    assert kept_keys(monkeypatch, "cw_nsr") == WRONG
    assert kept_keys(monkeypatch, "cw_nsr", "algorithm.drop_zero_advantage=False") == [row["key"] for row in ROWS]


def test_the_filter_drops_whole_prompts_of_the_others(monkeypatch):
    filtered = "algorithm.drop_zero_advantage=True"
    assert kept_keys(monkeypatch, "unlikeliness", filtered) == MIXED
    assert kept_keys(monkeypatch, "lens", filtered) == [*MIXED, *(f"b_{n}_0" for n in range(4))]
    assert kept_keys(monkeypatch, "lens", filtered, "algorithm.lens_alpha=0") == MIXED


@EACH
@pytest.mark.parametrize("one_pass", [True, False])
def test_the_update_has_what_it_had_without_the_filter(monkeypatch, name, one_pass):
    """The rollout's log-probs give the advantages, before and behind the filter, and not the actor's (-7 here)."""
    results = []
    for filtered in (True, False):
        trainer = trainer_of(name, f"algorithm.drop_zero_advantage={filtered}", f"algorithm.one_pass={one_pass}")
        batch = trainer._filter(step_of(monkeypatch, ROWS), {})
        results.append(advantages_by_verl(monkeypatch, trainer, batch))
    kept, everything = results
    assert len(kept) < len(everything) == len(ROWS)
    assert {key: everything[key] for key in kept} == kept
    assert not any(value for key, value in everything.items() if key not in kept)
    if name == "cw_nsr":
        assert kept == pytest.approx({row["key"]: -exp(row["log_prob"]) for row in ROWS if row["score"] == 0})


@EACH
def test_flipped_verdicts_are_what_is_weighed(monkeypatch, name):
    """algorithm.noisy_grader: with every right answer called wrong, no prompt has one."""
    filtered = ("algorithm.drop_zero_advantage=True", "algorithm.noisy_grader.false_negative_rate=0.99")
    kept = kept_keys(monkeypatch, name, *filtered)
    assert kept == ([] if name == "unlikeliness" else [row["key"] for row in ROWS])


def test_the_loss_can_be_divided_by_all_samples(monkeypatch):
    trainer = trainer_of("cw_nsr", "algorithm.loss_normalizer=all")
    trainer._filter(step_of(monkeypatch, ROWS), {})
    assert trainer._advantage_factor == pytest.approx(len(WRONG) / len(ROWS))


@EACH
def test_the_launcher_and_the_trainer_take_it_with_these(name):
    """In one pass, since the log-probs are the rollout's; with the same results to the bit; without a pass over old ones."""
    base = [f"algorithm.adv_estimator={name}"]
    config = compose_config(base, device="cpu")
    assert takes_own_log_probs(config, AlgorithmOptions.read(config.algorithm))
    for more in (["algorithm.one_pass=True"], ["trainer.deterministic=True"], ["algorithm.mini_batches=paper"]):
        check_estimator(compose_config([*base, *more], device="cpu"))


@EACH
@pytest.mark.parametrize("mode", ["sign_filter_sync", "sync"])
def test_a_rollout_without_log_probs_is_refused(name, mode):
    overrides = [
        f"algorithm.adv_estimator={name}",
        f"trainer.v1.trainer_mode={mode}",
        "actor_rollout_ref.rollout.calculate_log_probs=False",
        "trainer.guardrails.rollout_gap.action=null",
    ]
    config = compose_config(overrides, device="cpu")
    for check in (check_estimator, check_trainer_options):
        with pytest.raises(
            ValueError, match=f"adv_estimator={name} weighs .*calculate_log_probs=False leaves out. Set it"
        ):
            check(config)


@EACH
def test_log_probs_that_did_not_come_are_missed(monkeypatch, name):
    rows = [{key: value for key, value in row.items() if key != "log_prob"} for row in ROWS]
    trainer = trainer_of(name, "algorithm.drop_zero_advantage=False")
    batch = trainer._filter(step_of(monkeypatch, rows), {})
    with pytest.raises(
        ValueError, match=r"no rollout_log_probs. Set actor_rollout_ref.rollout.calculate_log_probs=True"
    ):
        advantages_by_verl(monkeypatch, trainer, batch, rows)
    with pytest.raises(ValueError, match="no rollout_log_probs"):
        kept_keys(monkeypatch, name, "algorithm.drop_zero_advantage=True", rows=rows)


@EACH
def test_verls_own_trainer_gets_them_too(monkeypatch, name):
    """``trainer.v1.trainer_mode=sync`` fetches the rollout's log-probs for its correction, and has the same advantages."""
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    ours = trainer_of(name, "algorithm.drop_zero_advantage=False")
    batch = ours._filter(step_of(monkeypatch, ROWS), {})
    expected = advantages_by_verl(monkeypatch, ours, batch)
    queue = Queue(ROWS)
    monkeypatch.setattr("verl.trainer.ppo.v1.trainer_base.tq", queue)
    PPOTrainer._compute_advantage(ours, batch, {})
    assert [float(row[0]) for row in queue.written["advantages"].unbind()] == list(expected.values())


def test_groups_of_one_outcome_may_not_be_thrown_away_before_cw_nsr():
    config = compose_config(["algorithm.adv_estimator=cw_nsr", "algorithm.filter_groups.enable=True"], device="cpu")
    with pytest.raises(ValueError, match="which cw_nsr learns most from. Set it to False"):
        check_estimator(config)
