"""A step's samples are cut in the order of the data, balanced over the ranks, and trained on once each."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.training.stand_in import rows_of, step_of, trainer_with

RANKS = 8
FAILED = "trainer.guardrails.failed_prompts"


def submitted(trainer, prompts: list[str], monkeypatch, num_samples: list[int] | None = None) -> None:
    """Tell the trainer what its rollout is asked for, as verl does."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
    from verl.utils.tensordict_utils import get_tensordict

    monkeypatch.setattr(PPOTrainerSync, "_submit_batch_to_rollout", lambda _self, batch: len(batch["uid"]))
    columns = {"uid": np.array(prompts, dtype=object)}
    if num_samples is not None:
        columns["__rollout_n__"] = np.array(num_samples, dtype=object)
    trainer._submit_batch_to_rollout(get_tensordict(columns))
    assert list(trainer._num_submitted) == prompts


def mini_batches(trainer, batch) -> list[list[str]]:
    """Keys of each mini-batch as verl's workers cut them: each rank's stretch of the batch, part by part."""
    num_ranks = trainer._num_learner_ranks
    per_rank = len(batch) // num_ranks
    stretches = [batch.keys[rank * per_rank : (rank + 1) * per_rank] for rank in range(num_ranks)]
    parts, start = [], 0
    for part in trainer._cut:
        stop = start + part.size // num_ranks
        parts.append([key for stretch in stretches for key in stretch[start:stop]])
        start = stop
    return parts


def real(keys: list[str]) -> list[str]:
    return [key for key in keys if not key.startswith("pad")]


@pytest.mark.parametrize("cut", ["equal", "paper"])
def test_mini_batches_follow_the_data_not_the_length(monkeypatch, cut):
    """64 prompts x 8 samples on 8 ranks, short answers first to be complete: each mini-batch has the next 16 prompts."""
    trainer = trainer_with(
        "algorithm.adv_estimator=reinforce",
        f"algorithm.mini_batches={cut}",
        "actor_rollout_ref.rollout.n=8",
        "actor_rollout_ref.actor.ppo_mini_batch_size=16",
        num_ranks=RANKS,
    )
    lengths = np.random.default_rng(0).integers(100, 1200, size=(64, 8))
    prompts = [f"prompt-{number}" for number in np.random.default_rng(1).permutation(64)]
    submitted(trainer, prompts, monkeypatch)
    rows = [
        {"key": f"{prompt}_{session}_0", "length": int(lengths[place, session])}
        for place, prompt in enumerate(prompts)
        for session in range(8)
    ]
    batch = trainer._balance_batch(step_of(monkeypatch, sorted(rows, key=lambda row: row["length"])), {})
    parts = mini_batches(trainer, batch)
    assert [sorted({key.split("_")[0] for key in part}) for part in parts] == [
        sorted(prompts[start : start + 16]) for start in range(0, 64, 16)
    ]
    length_of = {row["key"]: row["length"] for row in rows}
    means = [np.mean([length_of[key] for key in part]) for part in parts]
    assert max(means) < 1.15 * min(means), "in the order of completion the last are four times as long as the first"
    for part in parts:  # ranks wait for each other in each
        per_rank = np.array([length_of[key] for key in part]).reshape(RANKS, -1).sum(axis=1)
        assert per_rank.max() < 1.05 * per_rank.min()


@pytest.mark.parametrize("cut", ["equal", "paper"])
def test_every_sample_is_trained_on_once_and_padding_fills_up(monkeypatch, cut):
    """30 kept samples in mini-batches of 16 on 8 ranks: 15 and 15, or 16 and 14; two rows of padding."""
    trainer = trainer_with(
        "algorithm.adv_estimator=nsr",
        f"algorithm.mini_batches={cut}",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        num_ranks=RANKS,
    )
    rows = rows_of([[0, 0, 0, 1], *[[0, 0, 0]] * 9])
    batch = trainer._balance_batch(step_of(monkeypatch, rows), {})
    parts = mini_batches(trainer, batch)
    assert [len(part) for part in parts] == [16, 16]
    assert [len(real(part)) for part in parts] == ([15, 15] if cut == "equal" else [16, 14])
    assert sorted(real(batch.keys)) == sorted(row["key"] for row in rows if row["score"] == 0)
    assert [bool(tag.get("is_padding")) for tag in batch.tags] == [key.startswith("pad") for key in batch.keys]


def test_fixed_micro_batches_come_out_even(monkeypatch):
    trainer = trainer_with(
        "algorithm.adv_estimator=nsr",
        "actor_rollout_ref.actor.use_dynamic_bsz=False",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=3",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=2",
        "actor_rollout_ref.actor.ppo_mini_batch_size=3",
        num_ranks=2,
    )
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0, 0, 0, 0], [0, 0, 0]])), {})
    assert len(batch) == 12  # two ranks x a number of rows that 3 and 2 divide


# ---------------------------------------------------------------------- what the workers are asked for


def updates_of(monkeypatch, *overrides: str, num_kept: int = 22) -> list[SimpleNamespace]:
    trainer = trainer_with(
        "algorithm.adv_estimator=nsr", "actor_rollout_ref.actor.ppo_mini_batch_size=2", *overrides, num_ranks=2
    )
    batch = trainer._balance_batch(step_of(monkeypatch, rows_of([[0] * num_kept, [1, 1]])), {})
    trainer._update_actor(batch, {})
    return trainer.actor_rollout_wg.updates


def test_equal_mini_batches_are_one_call(monkeypatch):
    """22 samples in mini-batches of at most 8: three of 8 rows, two rows of padding."""
    (update,) = updates_of(monkeypatch, "actor_rollout_ref.actor.ppo_epochs=3")
    assert (update.mini_batch_size, update.epochs, update.steps_schedule, update.whole_size) == (8, 3, True, 0)
    assert len(update.keys) == 24


def test_epochs_of_the_papers_cut_are_outermost_and_the_schedule_moves_once(monkeypatch):
    """Two whole mini-batches and a rest of 6, twice; not the whole ones twice and then the rest twice."""
    overrides = ("algorithm.mini_batches=paper", "actor_rollout_ref.actor.ppo_epochs=2")
    updates = updates_of(monkeypatch, *overrides)
    assert [(update.mini_batch_size, len(update.keys)) for update in updates] == [(8, 16), (6, 6)] * 2
    assert [update.epochs for update in updates] == [1] * 4
    assert [update.steps_schedule for update in updates] == [False, False, False, True]
    assert {update.whole_size for update in updates} == {8}
    assert updates[0].seed != updates[2].seed
    assert sorted(updates[0].keys + updates[1].keys) == sorted(f"p0_{n}_0" for n in range(22))


def test_a_step_of_whole_mini_batches_is_one_call(monkeypatch):
    overrides = ("algorithm.mini_batches=paper", "algorithm.one_pass=False")
    (update,) = updates_of(monkeypatch, *overrides, num_kept=16)
    assert (update.mini_batch_size, update.steps_schedule, update.whole_size) == (8, True, 8)


@pytest.mark.parametrize(
    ("loss_agg_mode", "share"),
    [("token-mean", 12 / 14), ("token-sum", 1.0), ("seq-mean-token-sum", 4 / 6), ("seq-mean-token-mean", 4 / 6)],
)
def test_all_counts_what_the_loss_counts(monkeypatch, loss_agg_mode, share):
    """4 of 6 responses are kept, 12 of 14 tokens: three each, and one each of those that leave."""
    trainer = trainer_with(
        "algorithm.adv_estimator=nsr",
        "algorithm.loss_normalizer=all",
        f"actor_rollout_ref.actor.loss_agg_mode={loss_agg_mode}",
    )
    rows = rows_of([[0, 0, 0, 0, 1, 1]])
    batch = step_of(monkeypatch, rows)
    from verl_ext.training import trainer as module

    for row in rows:
        if row["score"]:
            module.tq.rows[row["key"]]["response_mask"] = torch.tensor([1, 0, 0])
    batch = trainer._balance_batch(batch, {})
    trainer._update_actor(batch, {})
    assert trainer.actor_rollout_wg.updates[0].advantage_factor == pytest.approx(share)


# ---------------------------------------------------------------------- samples that did not come back


def test_prompts_that_failed_are_counted(monkeypatch):
    """Of four prompts two failed; one of these came back in part."""
    trainer = trainer_with("algorithm.adv_estimator=reinforce", f"{FAILED}.action=null")
    submitted(trainer, ["p0", "p1", "p2", "p3"], monkeypatch)
    trainer.replay_buffer.failure_keys = {"train": {"p1", "p3"}, "val": {"v0"}}
    metrics: dict = {}
    rows = [{"key": f"{prompt}_{session}_0"} for prompt, n in (("p0", 4), ("p1", 1), ("p2", 4)) for session in range(n)]
    trainer._balance_batch(step_of(monkeypatch, rows), metrics)
    assert (metrics["train/prompts"], metrics["train/failed_prompts"], metrics["train/missing_samples"]) == (4, 2, 7)
    assert metrics["train/samples"] == 9


def step_with_failures(monkeypatch, num_failed: int, *options: str):
    """What is left of a step of ten prompts with four samples each, of which some failed as a whole, and its metrics."""
    trainer = trainer_with("algorithm.adv_estimator=reinforce", *options)
    prompts = [f"p{number}" for number in range(10)]
    submitted(trainer, prompts, monkeypatch)
    trainer.replay_buffer.failure_keys = {"train": set(prompts[:num_failed])}
    metrics: dict = {}
    rows = [{"key": f"{prompt}_{session}_0"} for prompt in prompts[num_failed:] for session in range(4)]
    return trainer._balance_batch(step_of(monkeypatch, rows), metrics), metrics


def test_a_step_of_which_too_many_prompts_failed_is_not_trained_on(monkeypatch):
    """A reward function that raises on 40 % of the prompts: the rest may be all right, or all wrong."""
    reason = r"guardrail failed_prompts: 40.0% of the prompts .*\(4 of 10 failed, 16 samples are missing\)"
    with pytest.raises(RuntimeError, match=reason):
        step_with_failures(monkeypatch, 4)


@pytest.mark.parametrize(
    ("num_failed", "options"),
    [(0, ()), (4, (f"{FAILED}.action=warn",)), (4, (f"{FAILED}.action=null",)), (4, (f"{FAILED}.max_ratio=0.4",))],
)
def test_a_step_that_is_whole_or_may_lack_prompts_is_trained_on(monkeypatch, num_failed, options):
    batch, metrics = step_with_failures(monkeypatch, num_failed, *options)
    assert len(batch) == 40 - 4 * num_failed
    assert metrics["train/failed_ratio"] == num_failed / 10


def test_nothing_missing_is_zero_also_where_a_prompt_asks_for_its_own_number(monkeypatch):
    trainer = trainer_with("algorithm.adv_estimator=reinforce")
    submitted(trainer, ["p0", "p1"], monkeypatch, num_samples=[1, 3])
    metrics: dict = {}
    rows = [{"key": key} for key in ("p0_0_0", "p1_0_0", "p1_0_1", "p1_1_0", "p1_2_0")]
    trainer._balance_batch(step_of(monkeypatch, rows), metrics)
    assert (metrics["train/prompts"], metrics["train/failed_prompts"], metrics["train/missing_samples"]) == (2, 0, 0)


def test_verls_replay_buffer_still_knows_which_prompts_failed():
    """What _count_missing reads, after the batch has been taken."""
    from inspect import getsource

    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    assert "self.failure_keys[partition_id].add(key)" in getsource(ReplayBuffer._sync_metadata_from_transfer_queue)
    assert "failure_keys" not in getsource(ReplayBuffer._materialize_batch)


def test_rollouts_on_file_hold_no_padding(monkeypatch):
    """The dropped sample is there, the padding is not, and they are in the order of the data."""
    trainer = trainer_with("algorithm.adv_estimator=nsr", num_ranks=2)
    trainer.tokenizer.decode = lambda tokens, skip_special_tokens: " ".join(map(str, tokens))
    written = {}
    monkeypatch.setattr(trainer, "_dump_generations", lambda **columns: written.update(columns))
    rows = rows_of([[0, 0, 0, 1]])
    batch = trainer._balance_batch(step_of(monkeypatch, rows), {})
    assert len(batch) == 4
    assert any(key.startswith("pad") for key in batch.keys)
    trainer._log_rollout_data(batch, {}, "folder")
    more = written["reward_extra_infos_dict"]
    assert more["uid"] == [row["key"] for row in rows]
    assert more["kept"] == [True, True, True, False]
    assert written["scores"] == [0, 0, 0, 1]
    assert written["inputs"] == ["0 1"] * 4
    assert written["dump_path"] == "folder"
