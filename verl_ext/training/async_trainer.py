"""verl's trainer that begins with the next answers before a step has its own, with the sign filter in front of the learner.

``colocate_async`` of verl 0.9.1: the rollout is a batch ahead and takes turns with the learner on the same devices. When a step
has its samples, answers that are not complete are interrupted, and go on under the new weights after the update.

``trainer.v1.trainer_mode=sign_filter_colocate_async`` chooses it, also in a stock ``python -m verl.trainer.main_ppo``. Letters in
shapes: B responses, T response tokens.
"""

from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync

from verl_ext.objectives.names import OUR_ASYNC_TRAINER
from verl_ext.training.step import arrivals, staleness
from verl_ext.training.step.samples import Samples
from verl_ext.training.trainer import NUM_REPLACED, FilteringTrainer


@register_trainer(OUR_ASYNC_TRAINER)
class SignFilterColocateAsyncTrainer(FilteringTrainer, PPOTrainerColocateAsync):
    """verl's ``colocate_async`` trainer with the filter; says how old its samples are."""

    verl_mode = "colocate_async"

    def _build_replay_buffer(self) -> Any:
        """The filter's; verl's replaces prompts that fail without end, so those of a step are counted."""
        buffer = super()._build_replay_buffer()
        folder = self.config.trainer.get("output_dir")  # none in a stock run of verl
        log = "its log" if folder is None else f"{folder}/train.log"
        replaced = arrivals.Replacements(self.config.data.train_batch_size, log)
        evict = buffer._evict_terminal_groups

        def evict_and_count(global_steps: int, *of_the_step: Any) -> Any:
            evicted = evict(global_steps, *of_the_step)
            *_, metrics = evicted
            replaced.add(global_steps, metrics.get(NUM_REPLACED, 0))
            return evicted

        buffer._evict_terminal_groups = evict_and_count
        return buffer

    def _balance_batch(
        self,
        batch: KVBatchMeta,
        metrics: dict[str, Any],
        logging_prefix: str = "global_seqlen",
        keep_minibatch: bool = False,
    ) -> KVBatchMeta:
        """The filter's; what was submitted stays known until its samples have come, in whichever step, or verl has let go of it.

        The step that it comes in reads it to its end: the rollout log has the order of the data too.
        """
        known = self.replay_buffer.prompt_global_steps["train"].keys() | {key.rsplit("_", 2)[0] for key in batch.keys}
        self._num_submitted = {uid: number for uid, number in self._num_submitted.items() if uid in known}
        return super()._balance_batch(batch, metrics, logging_prefix, keep_minibatch)

    def _load_checkpoint(self) -> None:
        """verl's, without the samples that the restored step was trained on.

        verl saves before it clears a step's samples: no prompt would ever claim them, and every later checkpoint would have them.
        """
        super()._load_checkpoint()
        trained = arrivals.without_prompt((tq.kv_list("train") or {}).get("train", {}))
        if trained:
            tq.kv_clear(keys=trained, partition_id="train")

    def _describe_samples(self, samples: Samples) -> dict[str, float]:
        return super()._describe_samples(samples) | staleness.describe(samples)

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        keys, ages = list(batch.keys), staleness.ages_of(batch.tags, self.global_steps - 1)
        updated = super()._update_actor(batch, metrics)
        fields = ["old_log_probs", "rollout_log_probs", "response_mask"]
        data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields).to_padded_tensor()
        if "rollout_log_probs" in data:
            actor_BT, rollout_BT, mask_BT = (data[name] for name in fields)
            metrics |= staleness.gaps_by_age(actor_BT, rollout_BT, mask_BT, ages)
        return updated
