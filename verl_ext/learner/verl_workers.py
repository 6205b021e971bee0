"""verl's training workers, whose losses know what a mini-batch really holds.

verl divides a mini-batch's loss by ``global_batch_size``, which the trainer states beforehand. Padding rows are in that
number, so a mini-batch with more of them has a smaller loss: with one, three responses would weigh 3/4.
Here the workers count the rows that have a token to learn from, over all ranks, mini-batch by mini-batch.

The trainer may say four things more of a batch, each a plain value beside its fields:

    advantage_factor    multiplies the advantages inside the policy loss, and nowhere else (1 by default)
    whole_size          rows of a whole mini-batch: the whole loss is multiplied by (rows with tokens) / whole_size, as in
                        the code of arXiv:2506.01347; metrics stay those of the loss before that. 0 for no such thing
    steps_schedule      whether the last mini-batch of this batch ends the step for the learning rate's schedule (True)
    own_log_probs       whether the batch, one mini-batch, has no old log-probs and takes its own (False); see
                        ``verl_ext.learner.own_log_probs``, which reads three values more. What the forward pass gives comes
                        back in the batch's fields, and how far the rollout was from it as the metric ``rollout_gap``
"""

import gc
from functools import partial
from typing import Any

import torch
from tensordict import TensorDict
from verl.single_controller.base.decorator import Dispatch, make_nd_compute_dataproto_dispatch_fn, register
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_id
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

from verl_ext.learner.dropout import dropouts
from verl_ext.learner.gradient_types import settle_gradient_types
from verl_ext.learner.own_log_probs import Loss, OwnLogProbs, StaleRolloutError


def weighted_loss(
    loss_fn: Loss, model_output: Any, data: TensorDict, dp_group: Any = None
) -> tuple[torch.Tensor, dict[str, Any]]:
    """``loss_fn`` of a micro-batch under ``advantage_factor`` and ``loss_weight``; its metrics are before the weight."""
    factor = tu.get_non_tensor_data(data=data, key="advantage_factor", default=1.0)
    if factor != 1.0:
        data = data.copy()
        data["advantages"] = data["advantages"] * factor
    loss, metrics = loss_fn(model_output=model_output, data=data, dp_group=dp_group)
    return loss * tu.get_non_tensor_data(data=data, key="loss_weight", default=1.0), metrics


def _check_no_dropout(model_config: dict[str, Any], module: torch.nn.Module) -> None:
    """A forward pass of the update is the policy's; the launcher looks too, and sees only files that are here."""
    found = [f"{name}={share}" for name, share in dropouts(model_config).items()]
    found += [f"{name} (p={m.p})" for name, m in module.named_modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]
    if found:
        raise RuntimeError(
            f"The model has dropout: {', '.join(found)}. An update's forward pass is random, so old log-probs have to be "
            "computed before it: set algorithm.one_pass=False."
        )


class _StartsOver:
    """A worker whose process serves several runs, one after the other."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def start_over(self, **arguments: Any) -> None:
        """Let go of everything of the last run and be what a new worker with these ``arguments`` is.

        What remains is the process's: its imports and the process group.
        """
        vars(self).clear()
        gc.collect()
        type(self).__init__(self, **arguments)


class LearnerWorker(_StartsOver, TrainingWorker):
    """verl's worker of one model, actor or critic."""

    own_log_probs: OwnLogProbs | None = None
    """Of the last mini-batch, where the trainer asked for them."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def reset(self) -> None:
        """verl's, which builds the model on the first call."""
        super().reset()
        settle_gradient_types(self.engine.module)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def set_loss_fn(self, loss_fn: Loss) -> None:
        super().set_loss_fn(partial(weighted_loss, loss_fn))

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def use_learning_rate_factor(self, factor: float) -> None:
        """Train with ``factor`` times the configured learning rate from here to the end of its schedule.

        A checkpoint that was loaded has brought the learning rate that it was saved with along.
        """
        schedule, base = self.engine.lr_scheduler, factor * self.engine.optimizer_config.lr
        schedule.base_lrs = [base for _ in schedule.base_lrs]
        schedule._last_lr = [base * share_of(schedule.last_epoch) for share_of in schedule.lr_lambdas]
        for group, rate in zip(self.engine.optimizer.param_groups, schedule._last_lr, strict=True):
            group["initial_lr"], group["lr"] = base, rate

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="train"), blocking=False)
    def train_batch(self, data: TensorDict) -> TensorDict | None:
        """One update on one mini-batch."""
        num_rows = self._num_rows_with_tokens(data)
        whole_size = tu.get_non_tensor_data(data=data, key="whole_size", default=0)
        weight = num_rows / whole_size if whole_size else 1.0
        # A mini-batch of nothing but padding has a loss of 0 whatever it is divided by.
        tu.assign_non_tensor(data, global_batch_size=max(num_rows, 1), loss_weight=weight)
        if not tu.get_non_tensor_data(data=data, key="steps_schedule", default=True):
            tu.assign_non_tensor(data, update_lr_scheduler=False)
        self.own_log_probs = None
        if tu.get_non_tensor_data(data=data, key="own_log_probs", default=False):
            return self._train_batch_on_own_log_probs(data, weight)
        return self._unweighted(super().train_batch(data), weight)

    def _train_batch_on_own_log_probs(self, data: TensorDict, weight: float) -> TensorDict | None:
        """The update, or, where the rollout was stale, the gap alone and no optimizer's step."""
        _check_no_dropout(self.model_config.hf_config.to_dict(), self.engine.module)
        own = self.own_log_probs = OwnLogProbs(data, self.engine.get_data_parallel_group())
        try:
            with own.watching(self):
                output = self._unweighted(super().train_batch(data), weight)
        except StaleRolloutError:
            output = tu.get_tensordict(tensor_dict={}, non_tensor_dict={"metrics": {}})
        gap = own.gap()
        if output is not None and gap is not None:
            tu.get(output, "metrics")["rollout_gap"] = gap
        return output

    @staticmethod
    def _unweighted(output: TensorDict | None, weight: float) -> TensorDict | None:
        if output is not None and weight:
            tu.get(output, "metrics")["loss"] /= weight
        return output

    def _num_rows_with_tokens(self, data: TensorDict) -> int:
        """Rows over all ranks that have a token to learn from; those of a mini-batch, so that it may differ in each."""
        has_token_B = data["loss_mask"].to_padded_tensor(0).any(dim=-1)
        count = has_token_B.sum().to(get_device_id())
        torch.distributed.all_reduce(count, group=self.engine.get_data_parallel_group())
        return int(count)


class ActorWorker(_StartsOver, ActorRolloutRefWorker):
    """verl's worker of actor, rollout and reference."""

    actor_worker_cls = LearnerWorker

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def use_learning_rate_factor(self, factor: float) -> None:
        """Train the actor with ``factor`` times the configured learning rate."""
        self.actor.use_learning_rate_factor(factor)

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="actor"))
    def update_actor(self, data: TensorDict) -> TensorDict | None:
        """verl's; where old log-probs are the update's own, they and the entropy become fields of the batch."""
        output: TensorDict | None = super().update_actor(data)
        own = self.actor.own_log_probs
        if output is None or own is None:
            return output
        return tu.get_tensordict(tensor_dict=own.fields(), non_tensor_dict={"metrics": tu.get(output, "metrics")}).cpu()
