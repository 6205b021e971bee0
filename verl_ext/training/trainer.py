"""verl's trainers with the sign filter in front of the learner, and the synchronous one of them.

A step of verl 0.9.1 samples, grades, balances, computes old log-probs, (reference, values,) advantages and updates.
Here samples with a zero advantage leave between grading and balancing, so that none of the later passes sees them, and
what is left is cut into mini-batches in the order of the data. The first update's old log-probs are its own.

``trainer.v1.trainer_mode=sign_filter_sync`` chooses it, also in a stock ``python -m verl.trainer.main_ppo``. The asynchronous
one is in ``verl_ext.training.async_trainer``.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.protocol import DataProto
from verl.trainer.ppo import padding_utils
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer
from verl.utils.metric import reduce_metrics
from verl.utils.py_functional import append_to_dict, rename_dict
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions, log_seqlen_unbalance

from verl_ext.learner.verl_workers import ActorWorker, LearnerWorker
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import drops_zero_advantage, objective_under
from verl_ext.objectives.names import OUR_TRAINER
from verl_ext.objectives.weight_schedule import held_at
from verl_ext.patches import early_llm_servers, other_worker_groups, short_padding_rows
from verl_ext.training import own_log_prob_metrics, stall, validation, validation_counts, validation_pass_at_k
from verl_ext.training.checks.old_log_probs import takes_own_log_probs
from verl_ext.training.checks.trainer_options import check_trainer_options
from verl_ext.training.deterministic import is_deterministic
from verl_ext.training.events import emit
from verl_ext.training.guarded_trainer import GuardedTrainer, numbers_of
from verl_ext.training.guards import rollout_gap
from verl_ext.training.guards.guard import Moment
from verl_ext.training.one_process import is_one_process
from verl_ext.training.parts import Parts
from verl_ext.training.step import (
    arrivals,
    flipped_verdicts,
    mini_batches,
    repetition,
    rollout_log,
    sample_filter,
    staleness,
    step_report,
    token_gaps,
)
from verl_ext.training.step.loss_share import kept_share
from verl_ext.training.step.samples import Samples

LEARNER_FIELDS = (
    *("prompts", "responses", "input_ids", "position_ids", "response_mask", "loss_mask"),
    *("rollout_log_probs", "old_log_probs", "ref_log_prob", "rollout_is_weights"),
    *("advantages", "returns", "values"),
)
"""What forward passes and losses of a text model read of a sample; those that a sample does not have are left out."""

NUM_REPLACED = "training/rollout_failure/evicted_samples"
"""verl's number of prompts that have failed and were replaced by others."""


class NothingKeptError(Exception):
    """Every sample of the step, ``batch``, has advantage zero: there is nothing to learn from, and nothing to run."""

    def __init__(self, batch: KVBatchMeta) -> None:
        super().__init__("no sample of this step has a non-zero advantage")
        self.batch = batch


class FilteringTrainer(GuardedTrainer):
    """What a trainer of verl's is with the filter: other samples reach the learner, it polls and reports in another way."""

    val_dataloader: Any
    verl_mode: str
    """verl's name of the trainer that it is."""

    @property
    def trainer_mode(self) -> str:
        """verl compares the mode with its own names to pick a replay buffer and what a checkpoint has."""
        return self.verl_mode

    @trainer_mode.setter
    def trainer_mode(self, _registered_name: str) -> None: ...

    def __init__(self, config: Any) -> None:
        options = check_trainer_options(config)
        super().__init__(config)
        self._set_up_filter(options)

    def _set_up_filter(self, options: AlgorithmOptions) -> None:
        self._options = options
        objective = objective_under(options)
        self._rules = sample_filter.Rules(
            masks_truncated=options.mask_truncated,
            smallest_group=1 if objective is None else objective.smallest_group(options),
            drops_zero_advantage=drops_zero_advantage(options),
            # verl computes advantages again on what is left: those that compare samples need their groups whole.
            keeps_groups_whole=objective is None or objective.compares_responses or options.group_normalize,
        )
        self._set_up_guards()
        self._takes_own_log_probs = takes_own_log_probs(self.config, options)
        self._gap_of_others: float | None = 0.0
        self._num_submitted: dict[str, int] = {}
        self._val_rows: list[Any] = []
        self._dropped: KVBatchMeta | None = None
        self._cut: list[mini_batches.MiniBatch] = []
        self._num_updates = 0
        self._num_learner_ranks = 1
        self._num_kept_tokens = 0
        self._advantage_factor = 1.0

    parts: Parts | None = None
    """Of the run before this one, where a stack serves several."""
    server_manager: type | None = None
    """verl's manager class with this run's rollout servers, where they can be kept."""

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        for role in self.role_worker_mapping:
            if role is not Role.RefPolicy:
                self.role_worker_mapping[role] = ray.remote(LearnerWorker if role is Role.Critic else ActorWorker)
        if self.parts is not None:
            self.resource_pool_manager = self.parts.pools

    def _setup(self) -> None:
        if self.config.trainer.device != "cpu":
            super()._setup()
            return
        from verl_ext.cpu.local_workers import local_groups_for
        from verl_ext.cpu.servers import start_servers

        if is_deterministic(self.config):
            # The first weights of an adapter, and of a critic's head
            torch.manual_seed(self.config.actor_rollout_ref.rollout.seed)
        with ExitStack() as seams:
            if self.parts is None:
                is_one = is_one_process(self.config)
                self.server_manager = start_servers(self.config, is_one_process=is_one)
                if is_one:
                    seams.enter_context(other_worker_groups(trainer_base, local_groups_for(self)))
            else:
                self.server_manager = self.parts.server_manager
                seams.enter_context(other_worker_groups(trainer_base, self.parts.groups_for(self)))
            seams.enter_context(early_llm_servers(trainer_base, self.server_manager))
            super()._setup()

    def on_init_end(self) -> None:
        """Seed the rollout engines as at the first start, then verl's push of the weights."""
        if self.server_manager is not None:
            from verl_ext.cpu.servers import seed_sampling

            seed_sampling(self.llm_server_manager.server_handles, self.config.actor_rollout_ref.rollout)
        super().on_init_end()

    def _build_replay_buffer(self) -> Any:
        replay_buffer = super()._build_replay_buffer()
        poll_interval = self.config.trainer.v1.sampler.get("poll_interval")
        if poll_interval is not None:
            replay_buffer.poll_interval = float(poll_interval)
        emit(stall.SAMPLING, prompts=partial(stall.prompts_of, replay_buffer))
        return replay_buffer

    # ------------------------------------------------------------------ verl's steps of a step, in their order

    def _submit_batch_to_rollout(self, batch: Any) -> int:
        """Note the order of the data, and how many samples each prompt should come back with."""
        uids, n = list(batch["uid"]), self.config.actor_rollout_ref.rollout.n
        num_samples = list(batch["__rollout_n__"]) if "__rollout_n__" in batch else [n] * len(uids)
        self._num_submitted |= {uid: int(number) for uid, number in zip(uids, num_samples, strict=True)}
        return int(super()._submit_batch_to_rollout(batch))

    def _step_once(self, metrics: dict[str, Any], timing_raw: dict[str, float], sample_batch_size: int) -> KVBatchMeta:
        self._set_positive_weight(metrics)
        try:
            batch = super()._step_once(metrics, timing_raw, sample_batch_size)
        except NothingKeptError as nothing:
            return nothing.batch
        return batch

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
        self._count_missing(batch, metrics)
        batch.reorder(arrivals.data_order(batch.keys, self._num_submitted))
        batch = self._filter(batch, metrics)
        if not len(batch):
            everything, self._dropped = self._dropped, None
            raise NothingKeptError(everything)
        self._num_learner_ranks = self._query_num_ranks()
        self._cut = self._cut_into_mini_batches(len(batch), self._num_learner_ranks)
        batch = self._padded(batch)
        return self._balanced(batch, metrics, logging_prefix)

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Those that the first update does not give itself: of all samples, or of the mini-batches after the first."""
        self._limit_fields(batch)
        if self._takes_own_log_probs:
            self._compute_later_old_log_probs(batch)
            return batch
        batch = super()._compute_old_log_prob(batch, metrics=metrics)
        self._write_gaps(batch)
        self._look_at_gap(metrics.get(rollout_gap.METRIC), self._num_kept_tokens)
        return batch

    def _compute_later_old_log_probs(self, batch: KVBatchMeta) -> None:
        """verl's pass over the samples that are trained on once the policy has moved; they are reported with the others."""
        self._gap_of_others = 0.0
        later = self._updates(first_apart=True)[1:]
        num_ranks = self._num_learner_ranks
        rows = sorted(row for update in later for row in mini_batches.rows_of_update(update, len(batch), num_ranks))
        if rows:
            metrics: dict[str, Any] = {}
            super()._compute_old_log_prob(batch.select_keys([batch.keys[row] for row in rows]), metrics=metrics)
            self._gap_of_others = metrics.get(rollout_gap.METRIC)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """verl's; what it reports of the rollout's probabilities here comes after the first update in one pass."""
        if not self._takes_own_log_probs:
            return super()._compute_advantage(batch, metrics=metrics)
        correction = self.config.algorithm.get("rollout_correction")
        OmegaConf.update(self.config.algorithm, "rollout_correction", None, force_add=True)
        try:
            return super()._compute_advantage(batch, metrics=metrics)
        finally:
            OmegaConf.update(self.config.algorithm, "rollout_correction", correction)

    def _compute_ref_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self._limit_fields(batch)
        return super()._compute_ref_log_prob(batch, metrics=metrics)

    def _compute_values(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self._limit_fields(batch)
        return super()._compute_values(batch, metrics=metrics)

    def _update_critic(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        self._limit_fields(batch)
        batch = super()._update_critic(batch, metrics=metrics)
        self._look(Moment.UPDATED, metrics)
        return batch

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Update on the kept samples in ``train/num_updates`` mini-batches; with a critic verl's own split applies."""
        self._limit_fields(batch)
        batch.extra_info["advantage_factor"] = self._advantage_factor
        if self.use_critic:
            batch = super()._update_actor(batch, metrics=metrics)
        else:
            metrics |= reduce_metrics(self._update_in_mini_batches(batch, metrics))
        self._look(Moment.UPDATED, metrics)
        return batch

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict[str, Any], timing_raw: dict[str, float], global_steps: int, epoch: int
    ) -> None:
        if self._num_updates:
            super()._compute_metrics(batch, metrics, timing_raw, global_steps=global_steps, epoch=epoch)
        else:
            metrics |= {"training/global_step": global_steps, "training/epoch": epoch}
            metrics |= {f"timing_s/{name}": seconds for name, seconds in timing_raw.items()}
        metrics |= step_report.clip_fractions(metrics)
        emit("step", step=global_steps, total=self.total_training_steps, metrics=numbers_of(metrics))
        self._see_step(metrics)

    def _log_rollout_data(self, batch: KVBatchMeta, timing_raw: dict[str, float], rollout_data_dir: str) -> None:
        """Write the samples of the step, also those that the update did not need, with what it made of each; no padding."""
        with marked_timer("dump_rollout_generations", timing_raw):
            rows = rollout_log.within(self._logged_rows(batch), self._num_logged_bytes())
            self._dump_generations(**rollout_log.as_columns(rows), dump_path=rollout_data_dir)

    def _logged_rows(self, batch: KVBatchMeta) -> list[rollout_log.Row]:
        """A row of each sample, in the order of the data."""
        real = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
        keys = real + ([] if self._dropped is None else list(self._dropped.keys))
        keys = [keys[row] for row in arrivals.data_order(keys, self._num_submitted)]
        decode = partial(self.tokenizer.decode, skip_special_tokens=True)
        with_log_probs = self.config.trainer.get("rollout_data_log_probs", False)

        def fetch(keys: list[str], fields: Sequence[str]) -> Any:
            return tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=list(fields))

        learned: dict[str, dict[str, torch.Tensor]] = {key: {} for key in real if self._num_updates}
        if learned:
            columns = fetch(real, rollout_log.LEARNED if with_log_probs else rollout_log.LEARNED[:1])
            for name, column in columns.items():
                for key, value in zip(real, column.unbind(), strict=True):
                    learned[key][name] = value
        data = fetch(keys, rollout_log.FIELDS)
        rows = rollout_log.rows_of(keys, data, learned, decode)
        if with_log_probs:
            log_probs = fetch(keys, ["rollout_log_probs"])["rollout_log_probs"].unbind()
            responses = [tokens_T.tolist() for tokens_T in data["responses"].unbind()]
            rollout_log.add_log_probs(rows, responses, log_probs, learned, decode)
        return rows

    def _num_logged_bytes(self) -> float | None:
        return rollout_log.share_of_step(self.config.trainer.get("rollout_data_max_mb"), self.total_training_steps)

    # ------------------------------------------------------------------ the filter

    def _set_positive_weight(self, metrics: dict[str, Any]) -> None:
        """Put this step's lambda where the estimator reads it; without a schedule nothing is touched."""
        schedule = self._options.positive_advantage_weight_schedule
        if schedule is not None:
            weight = schedule.weight_at(self.global_steps, self.total_training_steps)
            for option, value in held_at(weight).items():
                OmegaConf.update(self.config.algorithm, option, value, force_add=True)
            metrics["train/positive_advantage_weight"] = weight

    def _count_missing(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> None:
        metrics |= arrivals.count_missing(
            batch.keys,
            failed=self.replay_buffer.failure_keys.get("train", ()),
            num_submitted=self._num_submitted,
            default_num_samples=self.config.actor_rollout_ref.rollout.n,
            num_replaced=metrics.get(NUM_REPLACED, 0),
        )

    def _filter(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Report on all samples of the step and return those that the update needs; ``_dropped`` has the others."""
        self._clear_dropped()
        samples = _graded_samples(batch, staleness.ages_of(batch.tags, self.global_steps - 1))
        metrics |= self._describe_samples(samples) | _repetition(batch)
        self._look(Moment.GRADED, metrics)
        if self._rules.masks_truncated:
            sample_filter.check_truncation_is_reported(samples.infos, self.config.reward.custom_reward_function)
        if self._options.noisy_grader.flips:
            samples = self._flip_verdicts(samples, batch.partition_id, metrics)

        advantages_of = partial(self._advantages, samples)
        is_kept_B = sample_filter.select(samples, self._rules, advantages_of)
        most = self._options.max_staleness_negative
        if most is not None:
            is_stale_B = staleness.stale_negatives(samples, is_kept_B, advantages_of, most)
            metrics["train/stale_negatives"] = int(is_stale_B.sum())
            is_kept_B = sample_filter.none_without_a_token(samples, is_kept_B & ~is_stale_B)
        batch, self._dropped = _split(batch, is_kept_B.tolist())

        kept = sample_filter.count_kept(samples, is_kept_B)
        actor, n = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout.n
        self._num_updates = mini_batches.num_updates(kept.samples.kept, actor.ppo_mini_batch_size * n)
        self._num_kept_tokens = kept.tokens.kept
        self._advantage_factor = 1.0
        if self._options.loss_normalizer == "all":
            self._advantage_factor = kept_share(actor, tokens=kept.tokens, responses=kept.responses)
        metrics |= step_report.kept_shares(kept.samples, kept.tokens) | {"train/num_updates": self._num_updates}
        return batch

    def _describe_samples(self, samples: Samples) -> dict[str, float]:
        return step_report.describe(samples)

    def _flip_verdicts(self, samples: Samples, partition_id: str, metrics: dict[str, Any]) -> Samples:
        """The samples as the noisy grader sees them, which is what the rest of the step finds in the queue from here on."""
        sessions = flipped_verdicts.flipped_sessions(
            samples,
            self._options.noisy_grader.rates,
            arrivals.places(samples.keys, self._num_submitted),
            seed=self.config.actor_rollout_ref.rollout.seed,
            step=self.global_steps,
        )
        noisy, rows = flipped_verdicts.with_flipped(samples, sessions)
        metrics |= flipped_verdicts.describe_flipped(samples, noisy, sessions)
        if rows:
            keys = [samples.keys[row] for row in rows]
            stored = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["rm_scores"])["rm_scores"]
            scores = [noisy.scores_BT[row, : len(before)] for row, before in zip(rows, stored.unbind(), strict=True)]
            nested = torch.nested.as_nested_tensor(scores, layout=torch.jagged)
            tq.kv_batch_put(keys=keys, partition_id=partition_id, fields=TensorDict({"rm_scores": nested}, len(keys)))
        return noisy

    def _advantages(self, samples: Samples, rows_K: torch.Tensor) -> torch.Tensor:
        """What the configured estimator gives these rows, shape (K, T); the filter has no opinion of its own."""
        rows = rows_K.tolist()
        fields = {"rm_scores": samples.scores_BT, "response_mask": samples.mask_BT}
        if samples.log_probs_BT is not None:
            fields["rollout_log_probs"] = samples.log_probs_BT
        proto = DataProto.from_dict({name: value[rows_K] for name, value in fields.items()})
        proto.batch["token_level_rewards"] = proto.batch["rm_scores"]
        proto.non_tensor_batch["uid"] = np.array([samples.prompts[row] for row in rows], dtype=object)
        algorithm = self.config.algorithm
        data = trainer_base.compute_advantage_for_multi_trajectories(
            proto,
            batch_keys=[samples.keys[row] for row in rows],
            adv_estimator=algorithm.adv_estimator,
            gamma=algorithm.gamma,
            lam=algorithm.lam,
            num_repeat=self.config.actor_rollout_ref.rollout.n,
            norm_adv_by_std_in_grpo=algorithm.get("norm_adv_by_std_in_grpo", True),
            config=algorithm,
        )
        advantages_BT: torch.Tensor = data.batch["advantages"]
        return advantages_BT

    def _clear_dropped(self) -> None:
        """Forget the samples that the last step did not train on."""
        if self._dropped is not None and len(self._dropped):
            tq.kv_clear(keys=self._dropped.keys, partition_id=self._dropped.partition_id)
        self._dropped = None

    # ------------------------------------------------------------------ the mini-batches

    def _query_num_ranks(self) -> int:
        """How many shares the actor's worker group cuts a batch into."""
        group = self.actor_rollout_wg
        if "actor" not in group._dispatch_info:
            group._dispatch_info["actor"] = group._query_dispatch_info("actor")
        return int(max(group._dispatch_info["actor"]) + 1)

    def _cut_into_mini_batches(self, num_kept: int, num_ranks: int) -> list[mini_batches.MiniBatch]:
        """How this step's samples are cut; with a critic, which has mini-batches of its own size, padded as verl does."""
        config, n = self.config.actor_rollout_ref, self.config.actor_rollout_ref.rollout.n
        size = config.actor.ppo_mini_batch_size * n
        if self.use_critic:
            sizes = [self.config.critic.ppo_mini_batch_size * n]
            if self.config.trainer.critic_warmup <= self.global_steps:
                sizes.append(size)
            return mini_batches.cut_for_several(num_kept, sizes, super()._get_required_batch_multiple(num_ranks))
        micro_batches = []
        if not config.actor.use_dynamic_bsz:
            micro_batches = [
                config.actor.ppo_micro_batch_size_per_gpu,
                config.rollout.log_prob_micro_batch_size_per_gpu,
            ]
            if self.use_reference_policy:
                micro_batches.append(config.ref.log_prob_micro_batch_size_per_gpu)
        cut = mini_batches.paper_cut if self._options.mini_batches == "paper" else mini_batches.equal_cut
        return cut(num_kept, size, mini_batches.row_multiple(num_ranks, micro_batches))

    def _padded(self, batch: KVBatchMeta) -> KVBatchMeta:
        """The samples, then the rows of padding of all mini-batches."""
        num_rows = sum(part.size for part in self._cut)
        with short_padding_rows(padding_utils, longest=max(tag["seq_len"] for tag in batch.tags)):
            return padding_utils.upsample_batch_to_divisible_size(batch, num_rows, self.tokenizer.eos_token_id)

    def _balanced(self, batch: KVBatchMeta, metrics: dict[str, Any], logging_prefix: str) -> KVBatchMeta:
        """The rows of each rank one after the other, so that in every mini-batch all ranks have as much to do."""
        num_ranks = self._num_learner_ranks
        lengths = torch.tensor([tag["seq_len"] for tag in batch.tags], dtype=torch.int64)
        workloads = calculate_workload(lengths)
        of_rank = mini_batches.rows_of_ranks(
            self._cut,
            num_ranks,
            lambda rows: get_seqlen_balanced_partitions(
                workloads[rows].tolist(), k_partitions=num_ranks, equal_size=True
            ),
        )
        batch.reorder([row for rows in of_rank for row in rows])
        metrics |= log_seqlen_unbalance(seqlen_list=lengths.tolist(), partitions=of_rank, prefix=logging_prefix)
        return batch

    # ------------------------------------------------------------------ the update

    def _limit_fields(self, batch: KVBatchMeta) -> None:
        """Leave only the fields that the learner reads in ``batch``; verl's methods give back one with other fields.

        A worker otherwise fetches every field of every row, prompt text and grader's notes included, and moves these
        Python objects one by one from device to device: a quarter of a small update. Images need them, text does not.
        """
        if self.processor is None and not self.config.actor_rollout_ref.rollout.enable_rollout_routing_replay:
            batch.fields = list(LEARNER_FIELDS)

    def _updates(self, *, first_apart: bool) -> list[mini_batches.Update]:
        actor = self.config.actor_rollout_ref.actor
        return mini_batches.updates_of(
            self._cut,
            num_ranks=self._num_learner_ranks,
            epochs=actor.ppo_epochs,
            seed=actor.data_loader_seed,
            is_first_apart=first_apart,
        )

    def _update_in_mini_batches(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> dict[str, Any]:
        """Make the updates; returns verl's metrics of them, a list for each name.

        Those of a first update on its own log-probs, which are numbers of the step, go into ``metrics``.
        """
        of_updates: dict[str, Any] = {}
        is_first = self._takes_own_log_probs
        for update in self._updates(first_apart=self._takes_own_log_probs):
            rows = mini_batches.rows_of_update(update, len(batch), self._num_learner_ranks)
            part = batch if len(rows) == len(batch) else batch.select_keys([batch.keys[row] for row in rows])
            self._describe_update(part, update)
            if is_first:
                append_to_dict(of_updates, self._update_on_own_log_probs(part))
                metrics |= self._own_log_prob_metrics(batch)
            else:
                append_to_dict(of_updates, self.actor_rollout_wg.update_actor(part)["metrics"])
            is_first = False
        of_updates = rename_dict(of_updates, "actor/")
        of_updates["perf/mfu/actor"] = of_updates.pop("actor/mfu")
        return of_updates

    def _update_on_own_log_probs(self, part: KVBatchMeta) -> dict[str, Any]:
        """Make the step's first update, unless the rollout had other weights; the workers look before they step.

        Raises:
            RuntimeError: It had. No update has been made then.
        """
        said = {
            "own_log_probs": True,
            "num_kept_tokens": self._num_kept_tokens,
            "gap_of_others": math.nan if self._gap_of_others is None else self._gap_of_others,
        }
        largest_gap = self._guardrails.largest_gap
        if largest_gap is not None:
            said["max_rollout_gap"] = largest_gap
        part.extra_info.update(said)
        output: KVBatchMeta = self.actor_rollout_wg.update_actor(part)
        for name in said:
            del part.extra_info[name]  # the later parts share it
        metrics: dict[str, Any] = output.extra_info["metrics"][0]  # a rank's, which has put together those of all
        self._write_gaps(part)
        (gap,) = metrics.pop("rollout_gap", [None])
        self._look_at_gap(gap, self._num_kept_tokens)
        return metrics

    def _write_gaps(self, batch: KVBatchMeta) -> None:
        """Note where the rollout differs from the actor, before a gap that is too large stops the run."""
        path = self.config.trainer.get("rollout_gap_file")
        if path is None:
            return
        fields = ["old_log_probs", "rollout_log_probs", "response_mask", "responses"]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        padded = data.to_padded_tensor()
        actor_BT, rollout_BT, mask_BT, tokens_BT = (padded[name] for name in fields)
        found = token_gaps.step_gaps(
            self.global_steps, actor_BT, rollout_BT, mask_BT, tokens_BT, batch.keys, self.tokenizer.decode
        )
        token_gaps.write(Path(path), found)

    def _own_log_prob_metrics(self, batch: KVBatchMeta) -> dict[str, Any]:
        """What verl reports of a pass over old log-probs, of the step's own."""
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=list(own_log_prob_metrics.FIELDS)
        )
        return own_log_prob_metrics.reported(data.to_padded_tensor(), self.config.actor_rollout_ref.actor)

    def _describe_update(self, batch: KVBatchMeta, update: mini_batches.Update) -> None:
        """Tell the workers how to train on all of ``batch``."""
        actor, rollout_options = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout
        whole_size = actor.ppo_mini_batch_size * rollout_options.n if self._options.mini_batches == "paper" else 0
        batch.extra_info.update(
            {
                "calculate_entropy": actor.calculate_entropy or actor.entropy_coeff != 0.0,
                "distillation_use_topk": False,
                "distillation_only": False,
                "global_batch_size": update.size,
                "mini_batch_size": update.size,
                "epochs": update.epochs,
                "seed": update.seed,
                "dataloader_kwargs": {"shuffle": actor.shuffle},
                "temperature": rollout_options.temperature,
                "advantage_factor": self._advantage_factor,
                "whole_size": whole_size,
                "steps_schedule": update.is_last,
            }
        )

    # ------------------------------------------------------------------ validation

    def _validate(self) -> dict[str, float]:
        """verl's, which forgets what rows say of their problems; they are noted as they pass."""
        self._val_rows = []
        loader = self.val_dataloader
        self.val_dataloader = validation_pass_at_k.noting(loader, self._val_rows)
        try:
            metrics: dict[str, float] = super()._validate()
        finally:
            self.val_dataloader = loader
        return metrics

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        sample_turns: list[int],
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        """verl's validation metrics, with answers that could not be graded neither right nor wrong."""
        rows = validation.order_of_data(sample_uids, expected_acc_counts)
        data_sources = [data_sources[row] for row in rows]
        sample_uids = [sample_uids[row] for row in rows]
        sample_turns = [sample_turns[row] for row in rows]
        reward_extra_infos_dict = {
            key: [values[row] for row in rows] for key, values in reward_extra_infos_dict.items()
        }
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
        metrics |= validation.standard_errors(data_sources, sample_uids, infos)
        metrics |= self._record_validation(data_sources, sample_uids, infos, expected)
        self._see_validation(metrics)
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

    def _record_validation(
        self,
        data_sources: list[str],
        uids: list[str],
        infos: validation.Infos,
        expected: dict[tuple[str, str], int] | None,
    ) -> dict[str, float]:
        """Put the counts of every problem on file; returns pass@k of them where it is asked for."""
        folder = self.config.trainer.get("output_dir")  # none in a stock run of verl
        ks = self.config.trainer.get("pass_at_k")
        if "acc" not in infos:
            if ks:
                raise RuntimeError(
                    f"{validation_pass_at_k.OPTION}={list(ks)} counts correct answers, and the reward function says none: no acc."
                )
            return {}
        found = validation_counts.counts(data_sources, uids, infos["acc"], expected)
        if folder is not None:
            validation_counts.append(Path(folder) / validation_counts.NAME, self.global_steps, found)
        if not ks:
            return {}
        self._ending.see_counts(self.global_steps, found, max(ks))
        # verl asks for the samples of every row, in the order in which the rows have passed
        sources = [source for source, _uid in expected or {}]
        groups = validation_pass_at_k.groups_of(sources, self._val_rows) if len(sources) == len(self._val_rows) else {}
        return validation_pass_at_k.described(found, groups, list(ks))


@register_trainer(OUR_TRAINER)
class SignFilterTrainer(FilteringTrainer, PPOTrainerSync):
    """verl's ``sync`` trainer with the filter."""

    verl_mode = "sync"

    def prepare_step(self) -> dict[str, Any]:
        self._num_submitted.clear()
        metrics: dict[str, Any] = super().prepare_step()
        return metrics


def _graded_samples(batch: KVBatchMeta, ages: list[int]) -> Samples:
    """Fetch what report and filter need of a step's outputs."""
    data = tq.kv_batch_get(
        keys=batch.keys,
        partition_id=batch.partition_id,
        select_fields=["uid", "response_mask", "rm_scores", "rollout_log_probs", "extra_fields"],
    )
    prompts = data.pop("uid").tolist()
    infos = [extra.get("reward_extra_info", {}) for extra in data.pop("extra_fields").tolist()]
    tensors = data.to_padded_tensor()
    return Samples(
        keys=batch.keys,
        prompts=prompts,
        infos=infos,
        scores_BT=tensors["rm_scores"],
        mask_BT=tensors["response_mask"],
        log_probs_BT=tensors.get("rollout_log_probs"),
        ages=ages,
    )


def _repetition(batch: KVBatchMeta) -> dict[str, float]:
    """How much the answers of a step repeat themselves."""
    keys = [batch.keys[row] for row in repetition.rows_looked_at(len(batch.keys))]
    fields = ["responses", "response_mask"]
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields).to_padded_tensor()
    rows = zip(data["responses"], data["response_mask"].bool(), strict=True)
    return repetition.describe(tokens_T[mask_T].numpy() for tokens_T, mask_T in rows)


def _split(batch: KVBatchMeta, is_kept: list[bool]) -> tuple[KVBatchMeta, KVBatchMeta]:
    """The samples that are kept, and those that are not."""
    keys: dict[bool, list[str]] = {True: [], False: []}
    for key, kept in zip(batch.keys, is_kept, strict=True):
        keys[kept].append(key)
    return batch.select_keys(keys[True]), batch.select_keys(keys[False])
