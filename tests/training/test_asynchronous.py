"""The asynchronous trainer without Ray: what reaches the learner, what is counted and reported; what is refused beforehand."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import cycle, repeat

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import config_of
from tests.training.stand_in import NUM_TOKENS, OWN, rows_of, step_of, trainer_with
from verl_ext.training import preflight
from verl_ext.training.checks import asynchronous
from verl_ext.training.configuration import compose_config

MODE = "trainer.v1.trainer_mode"
ASYNC = f"{MODE}=sign_filter_colocate_async"
CAP = "algorithm.max_staleness_negative"
NOISE = "algorithm.noisy_grader"
NO_GAP = "trainer.guardrails.rollout_gap.action=null"
STEP = 6
"""Of the trainer, whose weights have seen 5 updates."""


def aged(groups, ages) -> list[dict]:
    """Rows for the outcomes of the responses to each prompt, of these ages."""
    rows = rows_of(groups)
    return [row | {"began": STEP - 1 - age} for row, age in zip(rows, ages, strict=True)]


def filtered(monkeypatch, rows, *overrides):
    """The trainer, the keys that it keeps and its metrics."""
    trainer = trainer_with(ASYNC, *overrides)
    trainer.global_steps = STEP
    metrics: dict = {}
    kept = trainer._filter(step_of(monkeypatch, rows), metrics).keys
    return trainer, list(kept), metrics


def keys_of(rows, indices) -> list[str]:
    return [rows[index]["key"] for index in indices]


# ---------------------------------------------------------------------- negative samples of old weights


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([f"{CAP}=1"], [0, 2, 3]),
        ([f"{CAP}=2"], [0, 1, 2, 3]),
        ([], [0, 1, 2, 3]),
        (["algorithm.adv_estimator=nsr", f"{CAP}=1"], [3]),
        (["algorithm.adv_estimator=nsr", "algorithm.drop_zero_advantage=False", f"{CAP}=1"], [0, 2, 3]),
        (["algorithm.adv_estimator=psr", f"{CAP}=0"], [0, 2]),
    ],
)
def test_positive_samples_stay_whatever_their_age(monkeypatch, options, kept):
    """Right and 9 updates old, wrong and 2, right and fresh, wrong and 1."""
    rows = aged([[1, 0, 1, 0]], [9, 2, 0, 1])
    _, keys, metrics = filtered(monkeypatch, rows, "algorithm.adv_estimator=reinforce", *options)
    assert keys == keys_of(rows, kept)
    assert metrics["train/kept_samples"] == len(kept)
    assert (metrics["train/staleness/mean"], metrics["train/staleness/max"]) == (3, 9)
    if any(CAP in option for option in options):
        assert metrics["train/stale_negatives"] == (1 if 1 not in kept and "psr" not in str(options) else 0)
    else:
        assert "train/stale_negatives" not in metrics


def test_a_prompt_whose_negatives_have_all_left_keeps_its_positives(monkeypatch):
    rows = aged([[1, 0, 0, 0], [0, 0, 0, 0]], [3] * 8)
    trainer, keys, metrics = filtered(monkeypatch, rows, "algorithm.adv_estimator=w_reinforce", f"{CAP}=2")
    assert keys == keys_of(rows, [0])
    assert metrics["train/stale_negatives"] == 7
    assert metrics["train/num_updates"] == 1
    assert len(trainer._dropped) == 7


def test_a_step_of_nothing_but_stale_negatives_makes_no_update(monkeypatch):
    from verl_ext.training.trainer import NothingKeptError

    rows = aged([[0, 0, 1, 1]], [3] * 4)
    trainer = trainer_with(ASYNC, "algorithm.adv_estimator=nsr", f"{CAP}=0")
    trainer.global_steps = STEP
    with pytest.raises(NothingKeptError):
        trainer._balance_batch(step_of(monkeypatch, rows), {})
    assert trainer._num_updates == 0


@cache
def normalizing(normalizer):
    return trainer_with(
        ASYNC, "algorithm.adv_estimator=reinforce", f"algorithm.loss_normalizer={normalizer}", f"{CAP}=0"
    )


@given(step=st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=8), most=st.integers(0, 3))
def test_the_normalizer_is_of_what_it_says(step, most):
    """kept: of the samples that are left. all: a sample weighs what it would if none had left; what left weighs nothing."""
    rows = aged([[float(is_correct) for is_correct, _ in step]], [age for _, age in step])
    is_left = [is_correct or age <= most for is_correct, age in step]
    for normalizer, share in (("kept", 1.0), ("all", sum(is_left) / len(step))):
        trainer = normalizing(normalizer)
        trainer.global_steps = STEP
        trainer._options = replace(trainer._options, max_staleness_negative=most)
        with pytest.MonkeyPatch.context() as monkeypatch:
            keys = trainer._filter(step_of(monkeypatch, rows), {}).keys
        assert list(keys) == [row["key"] for row, left in zip(rows, is_left, strict=True) if left]
        assert trainer._num_kept_tokens == NUM_TOKENS * sum(is_left)
        assert trainer._advantage_factor == pytest.approx(share)


def test_what_the_noisy_grader_says_is_the_sign(monkeypatch):
    """All samples are old, so the ones that it calls wrong leave: also right answers, and no wrong one that it calls right."""
    from verl_ext.training import trainer as module

    groups = [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]
    rows = aged(groups, [4] * 12)
    rates = [f"{NOISE}.{kind}_rate=0.49" for kind in ("false_negative", "false_positive")]
    _, keys, metrics = filtered(monkeypatch, rows, "algorithm.adv_estimator=reinforce", f"{CAP}=3", *rates)
    said = {key: float(row["rm_scores"].sum()) for key, row in module.tq.rows.items()}
    assert keys == [row["key"] for row in rows if said[row["key"]] == 1.0]
    assert metrics["train/stale_negatives"] == 12 - len(keys)
    assert metrics["train/false_negatives"] > 0 < metrics["train/false_positives"]


@pytest.mark.parametrize("one_pass", [True, False])
def test_the_update_has_no_stale_negative_in_one_pass_or_two(monkeypatch, one_pass):
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    from tests.training.stand_in import put_log_probs

    def compute(_self, batch, metrics):
        put_log_probs(batch.keys)
        return batch

    monkeypatch.setattr(PPOTrainer, "_compute_old_log_prob", compute)
    rows = aged([[1, 0, 0, 1]], [2, 2, 0, 0])
    rows = [row | {"log_prob": OWN["old_log_probs"] + (0.1 if place < 2 else 0.0)} for place, row in enumerate(rows)]
    options = ("algorithm.adv_estimator=reinforce", f"{CAP}=1", f"algorithm.one_pass={one_pass}", NO_GAP)
    trainer = trainer_with(ASYNC, *options)
    trainer.global_steps = STEP
    metrics: dict = {}
    batch = trainer._balance_batch(step_of(monkeypatch, rows), metrics)
    batch = trainer._compute_old_log_prob(batch, metrics)
    trainer._update_actor(batch, metrics)
    (update,) = trainer.actor_rollout_wg.updates
    assert update.keys == keys_of(rows, [0, 2, 3])
    assert getattr(update, "own_log_probs", False) == one_pass
    assert metrics["train/rollout_gap/fresh"] == pytest.approx(0.0, abs=1e-7)
    gap = np.exp(OWN["old_log_probs"] + 0.1) - np.exp(OWN["old_log_probs"])
    assert metrics["train/rollout_gap/stale"] == pytest.approx(gap, rel=1e-5)


@pytest.mark.parametrize("name", ["nsr", "reinforce", "grpo"])
def test_a_limit_changes_nothing_in_a_synchronous_run(monkeypatch, name):
    """Also where the objective compares samples, for which an asynchronous run refuses it."""
    rows = [row | {"began": 0} for row in rows_of([[1, 0, 0, 1], [0, 0, 0, 0]])]
    results = []
    for cap in ("null", "0"):
        trainer = trainer_with(f"algorithm.adv_estimator={name}", f"{CAP}={cap}")
        metrics: dict = {}
        results.append((list(trainer._balance_batch(step_of(monkeypatch, rows), metrics).keys), metrics))
    (keys, metrics), (capped_keys, capped) = results
    assert capped_keys == keys
    assert capped == metrics | {"train/stale_negatives": 0}


# ---------------------------------------------------------------------- samples that come back in a later step


def asynchronous_steps(monkeypatch, *overrides):
    """A trainer to which prompts b and a, then c, then d have been sent; verl has given up c, and d is not back."""
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.utils.tensordict_utils import get_tensordict

    monkeypatch.setattr(PPOTrainer, "_submit_batch_to_rollout", lambda _self, batch: len(batch["uid"]))
    monkeypatch.setattr(PPOTrainer, "prepare_step", lambda _self: {})
    trainer = trainer_with(ASYNC, "trainer.guardrails.failed_prompts.action=null", *overrides)
    trainer.global_steps = STEP
    for prompts in (["b", "a"], ["c"], ["d"]):
        trainer._submit_batch_to_rollout(get_tensordict({"uid": np.array(prompts, dtype=object)}))
        trainer.prepare_step()
    trainer.replay_buffer.prompt_global_steps["train"] = {"b": 4, "a": 4, "d": 6}
    return trainer


def sessions_of(prompts, scores=(0.0, 0.0)) -> list[dict]:
    return [
        {"key": f"{prompt}_{session}_0", "began": 3, "score": scores[session]}
        for prompt in prompts
        for session in (1, 0)
    ]


def test_what_was_submitted_is_known_until_the_step_after_it_is_back_or_given_up(monkeypatch):
    trainer = asynchronous_steps(monkeypatch, "algorithm.adv_estimator=reinforce")
    metrics: dict = {}
    batch = trainer._balance_batch(step_of(monkeypatch, sessions_of("ab")), metrics)
    assert list(batch.keys) == ["b_0_0", "b_1_0", "a_0_0", "a_1_0"]
    assert (metrics["train/prompts"], metrics["train/missing_samples"]) == (2, 4)
    assert list(trainer._num_submitted) == ["b", "a", "d"]
    trainer.replay_buffer.prompt_global_steps["train"] = {"d": 6}
    trainer._balance_batch(step_of(monkeypatch, sessions_of("d")), {})
    assert list(trainer._num_submitted) == ["d"]


def test_the_log_has_the_order_of_submission_also_where_the_update_needs_few(monkeypatch):
    """The first prompt is solved, so that NSR drops its samples; of the second it keeps one."""
    from verl_ext.training import trainer as module

    trainer = asynchronous_steps(monkeypatch, "algorithm.adv_estimator=nsr")
    rows = sessions_of("a", scores=(1.0, 0.0)) + sessions_of("b", scores=(1.0, 1.0))
    batch = trainer._balance_batch(step_of(monkeypatch, rows), {})
    assert list(batch.keys) == ["a_1_0"]
    trainer.tokenizer.decode = lambda tokens, **_: str(tokens)
    for row in module.tq.rows.values():
        row |= {"reward_model": {"ground_truth": "x"}, "data_source": "math", "advantages": torch.zeros(NUM_TOKENS)}
    logged = trainer._logged_rows(batch)
    assert [row["uid"] for row in logged] == ["b_0_0", "b_1_0", "a_0_0", "a_1_0"]


def test_verls_replay_buffer_still_knows_the_prompts_that_are_out():
    """What the trainer reads, when a batch has been taken."""
    from inspect import getsource

    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    assert "prompt_global_steps" in getsource(ReplayBuffer._sync_metadata_from_transfer_queue)
    assert "self.prompt_global_steps[partition_id].pop(uid, None)" in getsource(ReplayBuffer._clear_groups)


# ---------------------------------------------------------------------- prompts that fail and are replaced


class Prompts:
    """TransferQueue, with prompts that are back from the rollout as soon as they are sent."""

    def __init__(self, outcomes: Iterable[str]) -> None:
        self.outcomes = iter(outcomes)
        self.tags: dict[str, dict] = {}
        self.num_sent = 0

    def send(self, number: int) -> None:
        for _ in range(number):
            self.num_sent += 1
            uid = f"u{self.num_sent}"
            self.tags[uid] = {"is_prompt": True, "status": next(self.outcomes), "global_steps": STEP}
            self.tags[f"{uid}_0_0"] = {"global_steps": STEP}

    def kv_list(self) -> dict[str, dict]:
        return {"train": dict(self.tags)}

    def kv_clear(self, keys, partition_id) -> None:
        for key in keys:
            self.tags.pop(key, None)


def sampling(monkeypatch, outcomes: Iterable[str]):
    """verl's replay buffer as the trainer makes it, with 10 prompts to a step, and what it finds in TransferQueue."""
    from verl.trainer.ppo.v1 import replay_buffer

    prompts = Prompts(outcomes)
    monkeypatch.setattr(replay_buffer, "tq", prompts)
    trainer = trainer_with(ASYNC, "data.train_batch_size=10", "trainer.output_dir=outputs/run")
    monkeypatch.setattr(trainer, "_add_prompts_to_generate", prompts.send)
    return trainer._build_replay_buffer(), prompts


def test_a_step_whose_prompts_all_fail_ends_the_run(monkeypatch):
    """verl would replace them for ever. Batches of 10: the fifth is more than 40."""
    buffer, prompts = sampling(monkeypatch, repeat("failure", 1000))
    prompts.send(10)
    with pytest.raises(RuntimeError) as raised:
        buffer.sample(global_steps=STEP, partition_id="train", batch_size=10)
    assert prompts.num_sent == 50
    assert str(raised.value) == (
        "step 6 waits for its samples, and 50 of its prompts have failed in the rollout and were replaced. outputs/run/train.log has "
        "the error of each; a reward function that raises fails all of them. Repair that and run the same command again: it goes on "
        "from the last checkpoint."
    )


def test_prompts_that_fail_now_and_then_are_replaced(monkeypatch):
    """More of them over the run than a step may have."""
    buffer, prompts = sampling(monkeypatch, cycle(["failure", "failure", "failure", "finished"]))
    for step in range(STEP, STEP + 4):
        prompts.send(10)
        batch, metrics = buffer.sample(global_steps=step, partition_id="train", batch_size=10)
        assert len(batch.keys) == 10
        assert metrics["training/rollout_failure/evicted_samples"] == 30


# ---------------------------------------------------------------------- checkpoints


class RestoredQueue(dict):
    """Keys and tags of verl's queue, as a checkpoint has brought them."""

    def kv_list(self, partition_id):
        return {partition_id: dict(self)}

    def kv_clear(self, keys, partition_id):
        assert partition_id == "train"
        for key in keys:
            del self[key]


def test_a_checkpoint_brings_no_sample_back_that_has_been_trained_on(monkeypatch):
    """Prompt a was trained on, with a row of padding; b waits to be; c is asked again, with one of its answers there."""
    from verl_ext.training import async_trainer
    from verl_ext.training.trainer import FilteringTrainer

    waiting = {uid: {"is_prompt": True, "status": status} for uid, status in (("b", "finished"), ("c", "pending"))}
    samples = {key: {"status": "success"} for key in ("a_0_0", "a_1_0", "b_0_0", "b_1_0", "c_0_0")}
    queue = RestoredQueue(samples | waiting | {"pad_0_0": {"is_padding": True}})
    monkeypatch.setattr(async_trainer, "tq", queue)
    monkeypatch.setattr(FilteringTrainer, "_load_checkpoint", lambda _self: None)
    trainer = trainer_with(ASYNC, "algorithm.adv_estimator=nsr")
    trainer._load_checkpoint()
    assert set(queue) == {"b_0_0", "b_1_0", "c_0_0", "b", "c"}
    trainer._load_checkpoint()
    queue.clear()
    trainer._load_checkpoint()


def test_verl_still_saves_a_step_before_it_clears_its_samples():
    from inspect import getsource

    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    fit = getsource(PPOTrainer.fit)
    assert 0 < fit.index("self._save_checkpoint()") < fit.index("tq.kv_clear(keys=batch.keys")
    assert "tq.save_checkpoint(" in getsource(PPOTrainer._save_checkpoint)


# ---------------------------------------------------------------------- before anything starts

REFUSED = {
    (f"{MODE}=sign_filter_separate_async",): "or separate_async for verl's trainer without the filter",
    (f"{MODE}=separate_async",): "none of verl 0.9.1's runs without an accelerator. Set " + ASYNC,
    (f"{MODE}=fully_async",): "verl's fully asynchronous trainer is another program",
    (
        f"{MODE}=colocate_async",
        "algorithm.one_pass=True",
    ): f"algorithm.one_pass=True would be ignored: {MODE}=colocate_async",
    (
        ASYNC,
        "algorithm.adv_estimator=grpo",
        f"{CAP}=1",
    ): f"{CAP}=1 removes single samples, and algorithm.adv_estimator=grpo",
    (ASYNC, "algorithm.group_normalize=True", f"{CAP}=1"): "and algorithm.group_normalize=True is not known to give",
    (ASYNC, "distillation.enabled=True"): "distillation.enabled=True needs every sample",
    ("+async_training.staleness_threshold=1",): "+async_training is for verl's fully asynchronous trainer",
    (f"{CAP}=-1",): CAP,
    (f"{CAP}=1.5",): CAP,
}


@pytest.mark.parametrize("overrides", REFUSED, ids=" ".join)
def test_what_does_not_work_is_refused_by_name(folder, overrides):
    with pytest.raises(ValueError) as error:
        preflight.check(config_of(folder, *overrides))
    assert REFUSED[overrides] in str(error.value)


def test_options_of_the_fully_asynchronous_trainer_are_named():
    with pytest.raises(
        ValueError, match="async_training.staleness_threshold=1 is for verl's fully asynchronous trainer"
    ):
        compose_config(["async_training.staleness_threshold=1"], device="cpu")


ROLLOUT = "actor_rollout_ref.rollout"
SEPARATE = (
    f"{MODE}=separate_async",
    *(f"{ROLLOUT}.checkpoint_engine.backend=nccl", f"{ROLLOUT}.nnodes=1", f"{ROLLOUT}.n_gpus_per_node=2"),
    *("data.train_batch_size=64", "actor_rollout_ref.actor.ppo_mini_batch_size=16"),
)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"{ROLLOUT}.checkpoint_engine.backend=naive", "backend=naive cannot send weights"),
        (f"{ROLLOUT}.nnodes=0", "needs devices for its rollouts: set actor_rollout_ref.rollout.nnodes, which is 0"),
        ("data.train_batch_size=32", "32 is not 4 x 16"),
    ],
)
def test_what_verl_would_assert_after_ray_has_started_is_said_before(override, message):
    asynchronous.check_separate(compose_config(SEPARATE, device="gpu"))
    with pytest.raises(ValueError, match=message):
        asynchronous.check_separate(compose_config([*SEPARATE, override], device="gpu"))


def test_the_launch_says_what_is_different(folder):
    config = config_of(folder, ASYNC, f"{CAP}=4")
    preflight.check(config)
    assert f"({CAP}: negative ones of more than 4 updates ago are left out)" in asynchronous.described(config)
    assert "of any age" in asynchronous.described(config_of(folder, ASYNC))
    assert asynchronous.described(config_of(folder)) == ""
