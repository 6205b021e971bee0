"""verl's synchronous trainer with the sign filter in front of the learner.

A step of verl 0.9.1 samples, grades, balances, computes old log-probs, (reference, values,) advantages and updates.
Here samples with a zero advantage leave between grading and balancing, so that none of the later passes sees them.

``trainer.v1.trainer_mode=sign_filter_sync`` chooses it, also in a stock ``python -m verl.trainer.main_ppo``.
"""

import math
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.protocol import DataProto
from verl.trainer.ppo import padding_utils
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
from verl.utils import tensordict_utils as tu
from verl.utils.metric import reduce_metrics
from verl.utils.py_functional import rename_dict
from verl.workers.utils.padding import response_to_nested

from verl_ext.objectives.group_objectives import min_group_size
from verl_ext.objectives.groups import num_in_group
from verl_ext.objectives.outcome import CORRECT_ABOVE, outcome_scores
from verl_ext.objectives.sign_filter import kept_samples, num_updates, paper_mini_batches
from verl_ext.objectives.weight_schedule import held_at, schedule_under
from verl_ext.objectives.weights import WEIGHTS
from verl_ext.patches import short_padding_rows
from verl_ext.training import step_metrics
from verl_ext.training.events import emit
from verl_ext.training.options import drops_zero_advantage, loss_normalizer, mini_batches

NAME = "sign_filter_sync"

LEARNER_FIELDS = (
    *("prompts", "responses", "input_ids", "position_ids", "response_mask", "loss_mask"),
    *("rollout_log_probs", "old_log_probs", "ref_log_prob", "rollout_is_weights"),
    *("advantages", "returns", "values"),
)
"""What forward passes and losses of a text model read of a sample; those that a sample does not have are left out."""


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
        super().__init__(config)
        algorithm = self.config.algorithm
        self._weight_schedule = schedule_under(algorithm)
        self._drops = drops_zero_advantage(algorithm)
        self._normalizer = loss_normalizer(algorithm)
        self._cuts_as_paper = mini_batches(algorithm) == "paper"
        if self._drops and self.use_critic:
            raise ValueError(
                "algorithm.drop_zero_advantage=True needs advantages that follow from the rewards alone; "
                f"algorithm.adv_estimator={algorithm.adv_estimator} needs a critic's values first. Set it to False."
            )
        self._dropped: KVBatchMeta | None = None
        self._num_updates = 0
        self._num_learner_ranks = 1
        self._kept_token_share = 1.0

    def _setup(self) -> None:
        if self.config.trainer.device != "cpu":
            super()._setup()
            return
        from verl_ext.patches import early_llm_servers

        with early_llm_servers(trainer_base, self.config):
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
        self._check_sync_truth(metrics)
        return batch

    def _set_positive_weight(self, metrics: dict[str, Any]) -> None:
        """Put this step's lambda where the estimator reads it; without a schedule nothing is touched."""
        if self._weight_schedule is not None:
            weight = self._weight_schedule.weight_at(self.global_steps, self.total_training_steps)
            for option, value in held_at(weight).items():
                OmegaConf.update(self.config.algorithm, option, value, force_add=True)
            metrics["train/positive_advantage_weight"] = weight

    # ------------------------------------------------------------------ the filter

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> KVBatchMeta:
        """Filter, then balance what is left. verl calls this right after the samples are graded."""
        batch = self._filter(batch, metrics)
        metrics["train/num_updates"] = self._num_updates
        if not len(batch):
            everything, self._dropped = self._dropped, None
            raise NothingKeptError(everything)
        with short_padding_rows(padding_utils, longest=max(tag["seq_len"] for tag in batch.tags)):
            return super()._balance_batch(batch, metrics, *args, **kwargs)

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
        is_graded_B = torch.tensor([not info.get("grader_error", 0.0) for info in infos])
        self._report(metrics, uids, scores_B, infos, num_tokens_B, is_graded_B)

        is_kept_B = is_graded_B
        if self.config.algorithm.get("mask_truncated", False):
            is_kept_B = is_kept_B & torch.tensor([not info.get("truncated", 0.0) for info in infos])
        is_kept_B = is_kept_B & self._has_enough_company(is_kept_B, uids)
        if self._drops and is_kept_B.any():
            rows = is_kept_B.nonzero().squeeze(-1)
            keys, prompts = [batch.keys[row] for row in rows], [uids[row] for row in rows]
            has_advantage = kept_samples(self._advantages(proto.select_idxs(rows), prompts, keys), mask_BT[rows])
            if self.config.algorithm.adv_estimator not in WEIGHTS:
                # verl computes advantages again on what is left: those that compare samples need their groups whole.
                has_advantage = torch.tensor(num_in_group(has_advantage.tolist(), prompts)) > 0
            is_kept_B[rows] = has_advantage
        kept, self._dropped = _without(batch, is_kept_B.numpy())

        actor = self.config.actor_rollout_ref.actor
        self._num_updates = num_updates(len(kept), actor.ppo_mini_batch_size * self.config.actor_rollout_ref.rollout.n)
        self._kept_token_share = float((num_tokens_B * is_kept_B).sum() / num_tokens_B.sum().clamp(min=1))
        metrics |= {"train/samples": len(batch), "train/kept_samples": len(kept)}
        if "rollout_log_probs" in proto.batch:
            # verl's actor/entropy is a mean over the kept samples, so it cannot be compared between objectives. This
            # one is over all of them: the surprise of the sampled tokens, whose mean is the entropy at temperature 1.
            surprise = -(proto.batch["rollout_log_probs"] * mask_BT).sum() / num_tokens_B.sum().clamp(min=1)
            metrics["train/entropy"] = float(surprise)
        metrics |= {"train/kept_ratio": len(kept) / len(batch), "train/kept_token_ratio": self._kept_token_share}
        return kept

    def _has_enough_company(self, is_kept_B: torch.Tensor, uids: list[str]) -> torch.Tensor:
        """Whether enough samples of each sample's prompt are kept for an objective that compares k of them, (B,) bool."""
        algorithm = self.config.algorithm
        num_kept_B = torch.tensor(num_in_group(is_kept_B.tolist(), uids))
        return num_kept_B >= min_group_size(algorithm.adv_estimator, algorithm)

    def _advantages(self, proto: DataProto, uids: list[str], keys: list[str]) -> torch.Tensor:
        """What the configured estimator gives these samples, shape (B, T); the filter has no opinion of its own."""
        proto.batch["token_level_rewards"] = proto.batch["rm_scores"]
        proto.non_tensor_batch["uid"] = np.array(uids, dtype=object)
        algorithm = self.config.algorithm
        data = compute_advantage_for_multi_trajectories(
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
        is_graded_B: torch.Tensor,
    ) -> None:
        metrics |= step_metrics.group_shares(uids, (scores_B > CORRECT_ABOVE).tolist())
        metrics |= step_metrics.reason_shares(infos)
        metrics["train/response_length"] = float(num_tokens_B.float().mean())
        error_ratio = 1.0 - float(is_graded_B.float().mean())
        limit = self.config.trainer.get("max_grader_error_ratio", 1.0)
        if error_ratio > limit:
            raise RuntimeError(
                f"The grader failed on {error_ratio:.1%} of the samples of step {self.global_steps}, more than "
                f"trainer.max_grader_error_ratio={limit}. A sample that could not be graded is neither right nor wrong; "
                "training on it would corrupt the gradient. The log file has the grader's errors."
            )

    def _clear_dropped(self) -> None:
        """Forget the samples that the last step did not train on."""
        if self._dropped is not None and len(self._dropped):
            tq.kv_clear(keys=self._dropped.keys, partition_id=self._dropped.partition_id)
        self._dropped = None

    # ------------------------------------------------------------------ the update

    def _get_required_batch_multiple(self, dp_size: int) -> int:
        """What the batch is padded to: one equal share per rank and update.

        verl pads to a whole number of ``ppo_mini_batch_size``, which for a filtered batch could be mostly padding.
        """
        if self.use_critic:
            return int(super()._get_required_batch_multiple(dp_size))
        self._num_learner_ranks = dp_size
        return dp_size if self._cuts_as_paper else dp_size * self._num_updates

    def _narrowed(self, batch: KVBatchMeta) -> KVBatchMeta:
        """``batch`` with only the fields that the learner reads; verl's methods give back one with other fields.

        A worker otherwise fetches every field of every row, prompt text and grader's notes included, and moves these
        Python objects one by one from device to device: a quarter of a small update. Images need them, text does not.
        """
        if self.processor is None and not self.config.actor_rollout_ref.rollout.enable_rollout_routing_replay:
            batch.fields = list(LEARNER_FIELDS)
        return batch

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        return super()._compute_old_log_prob(self._narrowed(batch), metrics=metrics)

    def _compute_ref_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        return super()._compute_ref_log_prob(self._narrowed(batch), metrics=metrics)

    def _compute_values(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        return super()._compute_values(self._narrowed(batch), metrics=metrics)

    def _update_critic(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        return super()._update_critic(self._narrowed(batch), metrics=metrics)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._compute_advantage(batch, metrics=metrics)
        if self._normalizer == "all" and self._kept_token_share < 1.0:
            # The policy loss is linear in the advantages' size, so this divides it by the tokens of every sample.
            self._scale_advantages(batch, self._kept_token_share)
        return batch

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Update on the kept samples in ``train/num_updates`` mini-batches.

        With a critic the batch is whole and verl's own split applies.
        """
        if self.use_critic:
            return super()._update_actor(self._narrowed(batch), metrics=metrics)
        if self._cuts_as_paper:
            return self._update_actor_as_paper(self._narrowed(batch), metrics)
        output = self._updates(self._narrowed(batch), len(batch) // self._num_updates)
        metrics.update(reduce_metrics(output))
        return batch

    def _updates(self, batch: KVBatchMeta, mini_batch_size: int) -> dict[str, Any]:
        """Update on ``batch`` in mini-batches of ``mini_batch_size`` over all ranks; returns verl's metrics of them."""
        actor, rollout = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout
        batch.extra_info.update(
            {
                "calculate_entropy": actor.calculate_entropy or actor.entropy_coeff != 0.0,
                "distillation_use_topk": False,
                "distillation_only": False,
                "global_batch_size": mini_batch_size,
                "mini_batch_size": mini_batch_size,
                "epochs": actor.ppo_epochs,
                "seed": actor.data_loader_seed,
                "dataloader_kwargs": {"shuffle": actor.shuffle},
                "temperature": rollout.temperature,
            }
        )
        output: dict[str, Any] = rename_dict(self.actor_rollout_wg.update_actor(batch)["metrics"], "actor/")
        output["perf/mfu/actor"] = output.pop("actor/mfu")
        return output

    def _update_actor_as_paper(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Whole mini-batches first, then the rest with its policy loss scaled by its share of a whole one.

        Each rank has one stretch of the batch, so a part of the batch is the same part of every stretch. The released
        code scales the entropy bonus of the rest too; here it is whole.
        """
        actor, rollout = self.config.actor_rollout_ref.actor, self.config.actor_rollout_ref.rollout
        num_ranks = self._num_learner_ranks
        per_rank = len(batch) // num_ranks
        mini_batch_per_rank = actor.ppo_mini_batch_size * rollout.n // num_ranks
        cut = paper_mini_batches(per_rank, mini_batch_per_rank)
        whole = cut.num_whole * mini_batch_per_rank
        outputs = []
        if whole:
            part = _stretches(batch, num_ranks, 0, whole)
            outputs.append((cut.num_whole, self._updates(part, mini_batch_per_rank * num_ranks)))
        if cut.rest:
            part = _stretches(batch, num_ranks, whole, per_rank)
            self._scale_advantages(part, cut.rest_weight)
            outputs.append((1, self._updates(self._narrowed(part), cut.rest * num_ranks)))
        reduced = [(weight, reduce_metrics(output)) for weight, output in outputs]
        total = sum(weight for weight, _ in reduced)
        for name in reduced[0][1]:
            metrics[name] = sum(weight * output[name] for weight, output in reduced) / total
        return batch

    def _scale_advantages(self, batch: KVBatchMeta, factor: float) -> None:
        """Multiply the stored advantages; the policy loss is linear in their size."""
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages", "response_mask"]
        )
        advantages_BT = data.to_padded_tensor()["advantages"] * factor
        scaled = tu.get_tensordict({"advantages": response_to_nested(advantages_BT, data["response_mask"])})
        tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=scaled)

    # ------------------------------------------------------------------ what is reported

    def _check_sync_truth(self, metrics: dict[str, Any]) -> None:
        """Stop a run whose rollout samples from other weights than the ones that are trained."""
        gap = metrics.get("training/rollout_probs_diff_mean", math.nan)
        limit = self.config.trainer.get("max_rollout_probs_diff")
        if limit is not None and gap > limit:
            raise RuntimeError(
                f"The rollout engine and the actor disagree: at step {self.global_steps} their probabilities of the same "
                f"tokens differ by {gap:.2g} on average, more than trainer.max_rollout_probs_diff={limit}. The samples "
                "do not come from the policy that is trained, most likely because the last weight update did not arrive. "
                "If the two engines are known to differ this much (quantised rollout), raise the limit."
            )

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
        """Write every sample of the step, also those that the update did not need."""
        if self._dropped is not None and len(self._dropped):
            batch = KVBatchMeta(
                keys=batch.keys + self._dropped.keys,
                tags=batch.tags + self._dropped.tags,
                partition_id=batch.partition_id,
            )
        super()._log_rollout_data(batch, timing_raw, rollout_data_dir)
