"""verl's synchronous trainer with the sign filter in front of the learner.

A step of verl 0.9.1 samples, grades, balances, computes old log-probs, (reference, values,) advantages and updates.
Here samples with a zero advantage leave between grading and balancing, so that none of the later passes sees them, and
what is left is cut into mini-batches in the order of the data.

``trainer.v1.trainer_mode=sign_filter_sync`` chooses it, also in a stock ``python -m verl.trainer.main_ppo``.
"""

import json
import math
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.protocol import DataProto
from verl.trainer.ppo import padding_utils
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.metric import reduce_metrics
from verl.utils.py_functional import append_to_dict, rename_dict
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions, log_seqlen_unbalance

from verl_ext.grading import UNGRADED
from verl_ext.learner.worker import ActorWorker, LearnerWorker
from verl_ext.objectives.group_objectives import min_group_size
from verl_ext.objectives.groups import last_of_session, num_in_group
from verl_ext.objectives.mini_batches import MiniBatch, cut_for_several, equal_cut, num_updates, paper_cut
from verl_ext.objectives.outcome import CORRECT_ABOVE, outcome_scores
from verl_ext.objectives.sign_filter import kept_samples
from verl_ext.objectives.weight_schedule import held_at, schedule_under
from verl_ext.objectives.weights import WEIGHTS
from verl_ext.patches import short_padding_rows
from verl_ext.training import rollout_gap, step_metrics, validation
from verl_ext.training.events import emit
from verl_ext.training.options import (
    check_trainer_options,
    drops_zero_advantage,
    kept_share,
    loss_normalizer,
    mini_batches,
)

NAME = "sign_filter_sync"

LEARNER_FIELDS = (
    *("prompts", "responses", "input_ids", "position_ids", "response_mask", "loss_mask"),
    *("rollout_log_probs", "old_log_probs", "ref_log_prob", "rollout_is_weights"),
    *("advantages", "returns", "values"),
)
"""What forward passes and losses of a text model read of a sample; those that a sample does not have are left out."""


FIRST_GAP_FILE = "rollout_gap.json"
LEARNT: tuple[str, ...] = ("loss", "pg_loss", "vf_loss", "entropy_loss", "kl_loss", "grad_norm")
"""Metrics of an update, of actor or critic, that have to be numbers."""


class NothingKeptError(Exception):
    """Every sample of the step, ``batch``, has advantage zero: there is nothing to learn from, and nothing to run."""

    def __init__(self, batch: KVBatchMeta) -> None:
        super().__init__("no sample of this step has a non-zero advantage")
        self.batch = batch


def _without(batch: KVBatchMeta, is_kept: np.ndarray) -> tuple[KVBatchMeta, KVBatchMeta]:
    """Split a batch into the samples that are kept and those that are not."""
    halves = []
    for wanted in (is_kept, ~is_kept):
        rows = np.flatnonzero(wanted)
        halves.append(
            KVBatchMeta(
                keys=[batch.keys[row] for row in rows],
                tags=[batch.tags[row] for row in rows],
                partition_id=batch.partition_id,
                fields=batch.fields,
                extra_info=batch.extra_info,
            )
        )
    return halves[0], halves[1]


def _stretches(batch: KVBatchMeta, num_ranks: int, start: int, stop: int) -> KVBatchMeta:
    """The samples ``start`` to ``stop`` of every rank's stretch of the batch."""
    per_rank = len(batch) // num_ranks
    rows = np.concatenate([np.arange(rank * per_rank + start, rank * per_rank + stop) for rank in range(num_ranks)])
    is_wanted = np.zeros(len(batch), dtype=bool)
    is_wanted[rows] = True
    return _without(batch, is_wanted)[0]


def _section(model: str) -> str:
    return "critic" if model == "critic" else "actor_rollout_ref.actor"


def _scales_its_loss(actor: Any) -> bool:
    """Whether verl's engine trains in float16, with a loss scale that it lowers when a gradient overflows."""
    precision = actor.fsdp_config.get("mixed_precision") or {}
    return precision.get("param_dtype") in ("fp16", "float16", "half", 16)


@register_trainer(NAME)
class SignFilterTrainer(PPOTrainerSync):
    """verl's ``sync`` trainer; differs in what reaches the learner, in its polling and in what it reports."""

    @property
    def trainer_mode(self) -> str:
        """Always ``sync``: verl compares the mode with that word to pick a replay buffer and its checkpoint contents."""
        return "sync"

    @trainer_mode.setter
    def trainer_mode(self, _registered_name: str) -> None: ...

    def __init__(self, config: Any) -> None:
        check_trainer_options(config)
        super().__init__(config)
        self._read_options()

    def _read_options(self) -> None:
        algorithm, trainer = self.config.algorithm, self.config.trainer
        self._weight_schedule = schedule_under(algorithm)
        self._drops = drops_zero_advantage(algorithm)
        self._normalizer = loss_normalizer(algorithm)
        self._cuts_as_paper = mini_batches(algorithm) == "paper"
        limits = trainer.get("max_rollout_probs_diff"), trainer.get("max_rollout_probs_diff_growth")
        self._gap = rollout_gap.RolloutGap(*limits)
        self._asked_for: dict[str, int] = {}
        self._dropped: KVBatchMeta | None = None
        self._cut: list[MiniBatch] = []
        self._num_updates = 0
        self._num_learner_ranks = 1
        self._num_kept_tokens = 0
        self._advantage_factor = 1.0

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        for role in self.role_worker_mapping:
            if role is not Role.RefPolicy:
                self.role_worker_mapping[role] = ray.remote(LearnerWorker if role is Role.Critic else ActorWorker)

    def _setup(self) -> None:
        if self.config.trainer.device != "cpu":
            super()._setup()
            return
        from verl_ext.cpu.servers import start_early_servers
        from verl_ext.patches import early_llm_servers

        with early_llm_servers(trainer_base, start_early_servers(self.config)):
            super()._setup()

    def _build_replay_buffer(self) -> Any:
        replay_buffer = super()._build_replay_buffer()
        poll_interval = self.config.trainer.v1.sampler.get("poll_interval")
        if poll_interval is not None:
            replay_buffer.poll_interval = float(poll_interval)
        return replay_buffer

    def _step_once(self, metrics: dict[str, Any], timing_raw: dict[str, float], sample_batch_size: int) -> KVBatchMeta:
        self._set_positive_weight(metrics)
        try:
            batch = super()._step_once(metrics, timing_raw, sample_batch_size)
        except NothingKeptError as nothing:
            return nothing.batch
        return batch

    def prepare_step(self) -> dict[str, Any]:
        self._asked_for.clear()
        metrics: dict[str, Any] = super().prepare_step()
        return metrics

    def _submit_batch_to_rollout(self, batch: Any) -> int:
        """Note the order of the data, and how many samples each prompt should come back with."""
        uids, n = list(batch["uid"]), self.config.actor_rollout_ref.rollout.n
        wanted = list(batch["__rollout_n__"]) if "__rollout_n__" in batch else [n] * len(uids)
        self._asked_for |= {uid: int(number) for uid, number in zip(uids, wanted, strict=True)}
        return int(super()._submit_batch_to_rollout(batch))

    def _set_positive_weight(self, metrics: dict[str, Any]) -> None:
        """Put this step's lambda where the estimator reads it; without a schedule nothing is touched."""
        if self._weight_schedule is not None:
            weight = self._weight_schedule.weight_at(self.global_steps, self.total_training_steps)
            for option, value in held_at(weight).items():
                OmegaConf.update(self.config.algorithm, option, value, force_add=True)
            metrics["train/positive_advantage_weight"] = weight

    # ------------------------------------------------------------------ the filter

    def _balance_batch(
        self,
        batch: KVBatchMeta,
        metrics: dict[str, Any],
        logging_prefix: str = "global_seqlen",
        keep_minibatch: bool = False,
    ) -> KVBatchMeta:
        """Filter, cut into mini-batches in the order of the data, and balance each over the ranks.

        verl calls this right after the samples are graded. verl itself balances the whole step, so that its mini-batches
        hold the samples in the order in which they happened to be complete: the short ones first.
        """
        del keep_minibatch
        self._report_missing(batch, metrics)
        batch = self._filter(self._in_data_order(batch), metrics)
        metrics["train/num_updates"] = self._num_updates
        if not len(batch):
            everything, self._dropped = self._dropped, None
            raise NothingKeptError(everything)
        num_kept = len(batch)
        self._num_learner_ranks = num_ranks = self._query_num_ranks()
        self._cut = self._mini_batches(num_kept, num_ranks)
        num_rows = sum(part.size for part in self._cut)
        with short_padding_rows(padding_utils, longest=max(tag["seq_len"] for tag in batch.tags)):
            batch = padding_utils.upsample_batch_to_divisible_size(batch, num_rows, self.tokenizer.eos_token_id)
        lengths = torch.tensor([tag["seq_len"] for tag in batch.tags], dtype=torch.int64)
        workloads = calculate_workload(lengths)
        of_rank: list[list[int]] = [[] for _ in range(num_ranks)]
        padding = iter(range(num_kept, num_rows))
        for part in self._cut:
            rows = [*range(part.start, part.stop), *(next(padding) for _ in range(part.num_padding))]
            shares = get_seqlen_balanced_partitions(workloads[rows], k_partitions=num_ranks, equal_size=True)
            for rank, share in enumerate(shares):
                of_rank[rank] += [rows[index] for index in share]
        batch.reorder([row for rows in of_rank for row in rows])
        metrics |= log_seqlen_unbalance(seqlen_list=lengths.tolist(), partitions=of_rank, prefix=logging_prefix)
        return batch

    def _query_num_ranks(self) -> int:
        """How many shares the actor's worker group cuts a batch into."""
        group = self.actor_rollout_wg
        if "actor" not in group._dispatch_info:
            group._dispatch_info["actor"] = group._query_dispatch_info("actor")
        return int(max(group._dispatch_info["actor"]) + 1)

    def _mini_batches(self, num_kept: int, num_ranks: int) -> list[MiniBatch]:
        """How this step's samples are cut. With a critic, whose mini-batches are others, the step is padded as verl does."""
        config, n = self.config.actor_rollout_ref, self.config.actor_rollout_ref.rollout.n
        size = config.actor.ppo_mini_batch_size * n
        if self.use_critic:
            sizes = [self.config.critic.ppo_mini_batch_size * n]
            if self.config.trainer.critic_warmup <= self.global_steps:
                sizes.append(size)
            return cut_for_several(num_kept, sizes, super()._get_required_batch_multiple(num_ranks))
        multiple = num_ranks
        if not config.actor.use_dynamic_bsz:
            # verl cuts a rank's share of a mini-batch into micro-batches of a fixed size, and asks that it comes out even.
            micro = [config.actor.ppo_micro_batch_size_per_gpu, config.rollout.log_prob_micro_batch_size_per_gpu]
            if self.use_reference_policy:
                micro.append(config.ref.log_prob_micro_batch_size_per_gpu)
            multiple *= math.lcm(*(rows for rows in micro if rows))
        return (paper_cut if self._cuts_as_paper else equal_cut)(num_kept, size, multiple)

    def _in_data_order(self, batch: KVBatchMeta) -> KVBatchMeta:
        """The samples by prompt, as the data has them, and within a prompt by session and output.

        A prompt that this step did not submit (verl's rollout skip reads old ones) follows in the order it came in.
        """
        order = {uid: position for position, uid in enumerate(self._asked_for)}
        places = []
        for row, key in enumerate(batch.keys):
            uid, session, output = key.rsplit("_", 2)
            places.append((order.setdefault(uid, len(order)), int(session), int(output), row))
        batch.reorder([place[-1] for place in sorted(places)])
        return batch

    def _report_missing(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> None:
        """Count prompts that failed in the rollout and samples that did not come back, which verl passes over."""
        failed = set(self.replay_buffer.failure_keys.get("train", ()))
        sessions = {key.rpartition("_")[0] for key in batch.keys}
        uids = failed | {session.rpartition("_")[0] for session in sessions}
        num_wanted = sum(self._asked_for.get(uid, self.config.actor_rollout_ref.rollout.n) for uid in uids)
        num_replaced = metrics.get("training/rollout_failure/evicted_samples", 0)
        metrics["train/prompts"] = len(uids) + num_replaced
        metrics["train/failed_prompts"] = len(failed) + num_replaced
        metrics["train/missing_samples"] = num_wanted - len(sessions)

    def _filter(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Report on all samples of the step and return those that the update needs."""
        self._clear_dropped()
        data = tq.kv_batch_get(
            keys=batch.keys,
            partition_id=batch.partition_id,
            select_fields=["uid", "response_mask", "rm_scores", "rollout_log_probs", "extra_fields"],
        )
        uids = data.pop("uid").tolist()
        infos = [extra.get("reward_extra_info", {}) for extra in data.pop("extra_fields").tolist()]
        proto = DataProto(batch=data.to_padded_tensor())
        mask_BT, scores_BT = proto.batch["response_mask"], proto.batch["rm_scores"]
        num_tokens_B = mask_BT.sum(dim=-1)

        scores_B = outcome_scores(scores_BT)
        last_B = last_of_session(batch.keys)
        self._report(metrics, uids, scores_B, infos, num_tokens_B, sorted(set(last_B)))

        is_kept_B = torch.tensor([step_metrics.is_graded(info) for info in infos])
        if self.config.algorithm.get("mask_truncated", False):
            is_kept_B = is_kept_B & ~self._is_truncated(infos)
        is_kept_B = is_kept_B & self._has_enough_company(is_kept_B, uids, last_B)
        if self._drops and is_kept_B.any():
            rows = is_kept_B.nonzero().squeeze(-1)
            keys, prompts = [batch.keys[row] for row in rows], [uids[row] for row in rows]
            has_advantage = kept_samples(self._advantages(proto.select_idxs(rows), prompts, keys), mask_BT[rows])
            if self.config.algorithm.adv_estimator not in WEIGHTS:
                # verl computes advantages again on what is left: those that compare samples need their groups whole.
                has_advantage = torch.tensor(num_in_group(has_advantage.tolist(), prompts)) > 0
            is_kept_B[rows] = has_advantage
        if not (num_tokens_B * is_kept_B).any():
            is_kept_B = torch.zeros_like(is_kept_B)  # no token to learn from
        kept, self._dropped = _without(batch, is_kept_B.numpy())

        actor = self.config.actor_rollout_ref.actor
        self._num_updates = num_updates(len(kept), actor.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n)
        self._num_kept_tokens = int((num_tokens_B * is_kept_B).sum())
        tokens = self._num_kept_tokens, int(num_tokens_B.sum())
        responses = int(((num_tokens_B > 0) & is_kept_B).sum()), int((num_tokens_B > 0).sum())
        self._advantage_factor = 1.0
        if self._normalizer == "all":
            self._advantage_factor = kept_share(actor, tokens=tokens, responses=responses)
        metrics |= {"train/samples": len(batch), "train/kept_samples": len(kept)}
        if "rollout_log_probs" in proto.batch:
            # verl's actor/entropy is a mean over the kept samples, so it cannot be compared between objectives. This
            # one is over all of them: the surprise of the sampled tokens, whose mean is the entropy at temperature 1.
            surprise = -(proto.batch["rollout_log_probs"] * mask_BT).sum() / num_tokens_B.sum().clamp(min=1)
            metrics["train/entropy"] = float(surprise)
        metrics |= {"train/kept_ratio": len(kept) / len(batch), "train/kept_token_ratio": tokens[0] / max(tokens[1], 1)}
        return kept

    def _is_truncated(self, infos: list[dict[str, float]]) -> torch.Tensor:
        """Which answers the reward function calls cut, (B,) bool."""
        if not all("truncated" in info for info in infos):
            reward = self.config.reward.custom_reward_function
            raise ValueError(
                "algorithm.mask_truncated=True needs a reward that reports the key truncated (1.0 for an answer that was "
                f"cut by the length limit, else 0.0), and reward.custom_reward_function.path={reward.path} "
                f"(name={reward.name}) does not. Set mask_truncated=False, or return the key."
            )
        return torch.tensor([bool(info["truncated"]) for info in infos])

    def _has_enough_company(self, is_kept_B: torch.Tensor, uids: list[str], last_B: list[int]) -> torch.Tensor:
        """Whether enough sessions of each output's prompt are kept for an objective that compares k of them, (B,) bool."""
        algorithm = self.config.algorithm
        is_counted = [
            kept and row == last for row, (kept, last) in enumerate(zip(is_kept_B.tolist(), last_B, strict=True))
        ]
        num_kept_B = torch.tensor(num_in_group(is_counted, uids))
        return num_kept_B >= min_group_size(algorithm.adv_estimator, algorithm)

    def _advantages(self, proto: DataProto, uids: list[str], keys: list[str]) -> torch.Tensor:
        """What the configured estimator gives these samples, shape (B, T); the filter has no opinion of its own."""
        proto.batch["token_level_rewards"] = proto.batch["rm_scores"]
        proto.non_tensor_batch["uid"] = np.array(uids, dtype=object)
        algorithm = self.config.algorithm
        data = trainer_base.compute_advantage_for_multi_trajectories(
            proto,
            batch_keys=keys,
            adv_estimator=algorithm.adv_estimator,
            gamma=algorithm.gamma,
            lam=algorithm.lam,
            num_repeat=self.config.actor_rollout_ref.rollout.n,
            norm_adv_by_std_in_grpo=algorithm.get("norm_adv_by_std_in_grpo", True),
            config=algorithm,
        )
        advantages_BT: torch.Tensor = data.batch["advantages"]
        return advantages_BT

    def _report(
        self,
        metrics: dict[str, Any],
        uids: list[str],
        scores_B: torch.Tensor,
        infos: list[dict[str, float]],
        num_tokens_B: torch.Tensor,
        sessions: list[int],
    ) -> None:
        """Report on the samples; ``sessions`` are the rows that stand for one each, where a session has several."""
        of_session = [infos[row] for row in sessions]
        is_correct = (scores_B > CORRECT_ABOVE).tolist()
        metrics |= step_metrics.group_shares([uids[row] for row in sessions], [is_correct[row] for row in sessions])
        metrics |= step_metrics.reason_shares(of_session)
        metrics["train/response_length"] = float(num_tokens_B.float().mean())
        error_ratio = 1.0 - float(np.mean([step_metrics.is_graded(info) for info in of_session]))
        limit = self.config.trainer.get("max_grader_error_ratio", 1.0)
        if error_ratio > limit:
            faults = [
                f"{metrics[f'train/reason/{why}']:.1%} {why}" for why in UNGRADED if f"train/reason/{why}" in metrics
            ]
            raise RuntimeError(
                f"The grader failed on {error_ratio:.1%} of the samples of step {self.global_steps} ({', '.join(faults)}), "
                f"more than trainer.max_grader_error_ratio={limit}. A sample that could not be graded is neither right nor "
                "wrong; training on it would corrupt the gradient. The log file has the grader's errors; "
                "VERL_EXT_GRADER_SECONDS is the time that a comparison may take."
            )

    def _clear_dropped(self) -> None:
        """Forget the samples that the last step did not train on."""
        if self._dropped is not None and len(self._dropped):
            tq.kv_clear(keys=self._dropped.keys, partition_id=self._dropped.partition_id)
        self._dropped = None

    # ------------------------------------------------------------------ the update

    def _narrowed(self, batch: KVBatchMeta) -> KVBatchMeta:
        """``batch`` with only the fields that the learner reads; verl's methods give back one with other fields.

        A worker otherwise fetches every field of every row, prompt text and grader's notes included, and moves these
        Python objects one by one from device to device: a quarter of a small update. Images need them, text does not.
        """
        if self.processor is None and not self.config.actor_rollout_ref.rollout.enable_rollout_routing_replay:
            batch.fields = list(LEARNER_FIELDS)
        return batch

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._compute_old_log_prob(self._narrowed(batch), metrics=metrics)
        self._gap.check(self.global_steps, metrics.get(rollout_gap.METRIC), self._num_kept_tokens)
        return batch

    def _compute_ref_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        return super()._compute_ref_log_prob(self._narrowed(batch), metrics=metrics)

    def _compute_values(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        return super()._compute_values(self._narrowed(batch), metrics=metrics)

    def _update_critic(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._update_critic(self._narrowed(batch), metrics=metrics)
        self._check_finite(metrics, "critic")
        return batch

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Update on the kept samples in ``train/num_updates`` mini-batches.

        With a critic the batch is whole and verl's own split applies.
        """
        batch = self._narrowed(batch)
        batch.extra_info["advantage_factor"] = self._advantage_factor
        if self.use_critic:
            batch = super()._update_actor(batch, metrics=metrics)
        else:
            metrics |= reduce_metrics(self._updates(batch))
        self._check_finite(metrics, "actor")
        return batch

    def _updates(self, batch: KVBatchMeta) -> dict[str, Any]:
        """Make the updates; returns verl's metrics, a list for each name.

        A worker cuts what it gets into mini-batches of one size. So the last one of the paper's cut, which is smaller,
        goes to the workers by itself, once in every epoch.
        """
        actor, num_ranks = self.config.actor_rollout_ref.actor, self._num_learner_ranks
        of_size = [
            (size, sum(part.size for part in parts)) for size, parts in groupby(self._cut, lambda part: part.size)
        ]
        if len(of_size) == 1:
            return self._update_on(batch, of_size[0][0], epochs=actor.ppo_epochs, seed=actor.data_loader_seed)
        metrics: dict[str, Any] = {}
        for epoch in range(actor.ppo_epochs):
            start = 0
            for index, (size, num_rows) in enumerate(of_size):
                stop = start + num_rows // num_ranks
                part = self._narrowed(_stretches(batch, num_ranks, start, stop))
                is_last = epoch == actor.ppo_epochs - 1 and index == len(of_size) - 1
                seed = actor.data_loader_seed + epoch * num_ranks  # a worker adds its rank
                append_to_dict(metrics, self._update_on(part, size, epochs=1, seed=seed, steps_schedule=is_last))
                start = stop
        return metrics

    def _update_on(
        self, batch: KVBatchMeta, size: int, *, epochs: int, seed: int, steps_schedule: bool = True
    ) -> dict[str, Any]:
        """Update on ``batch`` in mini-batches of ``size`` rows over all ranks; returns verl's metrics of them."""
        actor, rollout = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout
        batch.extra_info.update(
            {
                "calculate_entropy": actor.calculate_entropy or actor.entropy_coeff != 0.0,
                "distillation_use_topk": False,
                "distillation_only": False,
                "global_batch_size": size,
                "mini_batch_size": size,
                "epochs": epochs,
                "seed": seed,
                "dataloader_kwargs": {"shuffle": actor.shuffle},
                "temperature": rollout.temperature,
                "advantage_factor": self._advantage_factor,
                "whole_size": actor.ppo_mini_batch_size * rollout.n if self._cuts_as_paper else 0,
                "steps_schedule": steps_schedule,
            }
        )
        output: dict[str, Any] = rename_dict(self.actor_rollout_wg.update_actor(batch)["metrics"], "actor/")
        output["perf/mfu/actor"] = output.pop("actor/mfu")
        return output

    def _check_finite(self, metrics: dict[str, Any], model: str) -> None:
        """Stop a run whose loss or gradient is no number: verl skips such an update with a print, and every later one."""
        names = LEARNT
        if model == "actor" and _scales_its_loss(self.config.actor_rollout_ref.actor):
            names = tuple(name for name in LEARNT if name != "grad_norm")  # an overflow is how it finds its scale
        broken = {f"{model}/{name}": metrics.get(f"{model}/{name}", 0.0) for name in names}
        broken = {name: value for name, value in broken.items() if not math.isfinite(value)}
        if broken:
            values = ", ".join(f"{name}={value}" for name, value in broken.items())
            raise RuntimeError(
                f"Step {self.global_steps} has {values}: such an update cannot be made, and the ones after it would not be "
                f"either. Resume from the last checkpoint with a smaller learning rate ({_section(model)}.optim.lr) or a "
                f"tighter {_section(model)}.grad_clip; a reward, or old weights, that are no numbers are other causes."
            )

    # ------------------------------------------------------------------ what is reported

    def _save_checkpoint(self) -> None:
        super()._save_checkpoint()
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        (folder / FIRST_GAP_FILE).write_text(json.dumps(self._gap.state()))

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        trainer = self.config.trainer
        folder = Path(trainer.default_local_dir) / f"global_step_{self.global_steps}"
        if trainer.resume_mode == "resume_path":
            folder = Path(trainer.resume_from_path)
        if self.global_steps and (folder / FIRST_GAP_FILE).is_file():
            self._gap.restore(json.loads((folder / FIRST_GAP_FILE).read_text()))

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        sample_turns: list[int],
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        """verl's validation metrics, with answers that could not be graded neither right nor wrong."""
        infos, expected = validation.without_ungraded(
            data_sources, sample_uids, reward_extra_infos_dict, expected_acc_counts
        )
        metrics: dict[str, float] = super()._val_metrics_update(
            data_sources, sample_uids, infos, sample_turns, expected_acc_counts=expected
        )
        num_ungraded = sum(validation.ungraded_rows(reward_extra_infos_dict))
        if num_ungraded:
            num_samples = max(
                (expected_acc_counts or {}).values(), default=self.config.actor_rollout_ref.rollout.val_kwargs.n
            )
            metrics |= validation.means_over_prompts(data_sources, sample_uids, infos, expected, num_samples)
        num_wanted = sum((expected_acc_counts or {}).values()) or len(sample_uids)
        emit(
            "validation",
            step=self.global_steps,
            metrics={name: float(value) for name, value in metrics.items()},
            num_samples=num_wanted,
            num_ungraded=num_ungraded,
            num_missing=num_wanted - len(sample_uids),
        )
        return metrics

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict[str, Any], timing_raw: dict[str, float], global_steps: int, epoch: int
    ) -> None:
        if self._num_updates:
            super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        else:
            metrics |= {"training/global_step": global_steps, "training/epoch": epoch}
            metrics |= {f"timing_s/{name}": seconds for name, seconds in timing_raw.items()}
        metrics |= step_metrics.clip_fractions(metrics)
        numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, int | float | np.number)}
        emit("step", step=global_steps, total=self.total_training_steps, metrics=numbers)

    def _log_rollout_data(self, batch: KVBatchMeta, timing_raw: dict[str, float], rollout_data_dir: str) -> None:
        """Write every sample of the step, also those that the update did not need, and no padding."""
        if self._dropped is not None and len(self._dropped):
            batch = KVBatchMeta(
                keys=batch.keys + self._dropped.keys,
                tags=batch.tags + self._dropped.tags,
                partition_id=batch.partition_id,
            )
        batch = _without(batch, np.array([not tag.get("is_padding", False) for tag in batch.tags]))[0]
        super()._log_rollout_data(batch, timing_raw, rollout_data_dir)
