"""Old log-probs of a mini-batch from the forward pass of its own update.

The policy that sampled is the one that a step's first update starts from. So the ratio of that update is 1, and what
verl computes beforehand in a pass of its own is what the update's forward pass gives, detached: to the bit in the same
micro-batches. That pass also shows whether the rollout had these weights. It is looked at after the backward pass and
before the optimizer's step, and a mini-batch that stale weights have sampled is not learned from.

Letters in shapes: B rows of the mini-batch, T response tokens (jagged).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.workers.utils.padding import response_from_nested

from verl_ext.learner.token_statistics import entropy_only_reported

Loss = Callable[..., tuple[torch.Tensor, dict[str, Any]]]

ROW = "row_of_mini_batch"
FIELDS = {"old_log_probs": "log_probs", "entropy": "entropy"}
"""The names under which verl's trainer stores what the model gives under the other names."""


class StaleRolloutError(Exception):
    """The samples of a mini-batch come from other weights than the ones it was about to update."""


class OwnLogProbs:
    """Collects what the forward passes of one update say of its tokens; one for each update.

    Args:
        data: The mini-batch of this rank. Beside its fields it may say ``max_rollout_gap``, the largest mean difference to
            the rollout's probabilities that is learned from; ``num_kept_tokens``, over how many tokens of the step that
            mean is, and ``gap_of_others``, what it is over those of them that are not in this mini-batch.
        group: The ranks that share the mini-batch.
    """

    def __init__(self, data: TensorDict, group: Any) -> None:
        self._data, self._group = data, group
        self._has_entropy_loss = bool(tu.get_non_tensor_data(data=data, key="calculate_entropy", default=False))
        self._of_row: dict[str, dict[int, torch.Tensor]] = {name: {} for name in FIELDS}
        self._gap: float | None = None
        data[ROW] = torch.arange(len(data))
        tu.assign_non_tensor(data, calculate_entropy=True)

    def loss(self, loss_fn: Loss, model_output: Any, data: TensorDict, dp_group: Any = None) -> Any:
        """``loss_fn`` of a micro-batch whose old log-probs are its own."""
        rows = data[ROW].tolist()
        of_tokens = {
            name: response_from_nested(model_output[source].detach(), data["responses"])
            for name, source in FIELDS.items()
        }
        for name, values in of_tokens.items():
            self._of_row[name] |= dict(zip(rows, values.unbind(), strict=True))
        data = data.copy()
        data["old_log_probs"] = of_tokens["old_log_probs"]
        if not self._has_entropy_loss:
            model_output = {name: value for name, value in model_output.items() if name != "entropy"}
        return loss_fn(model_output=model_output, data=data, dp_group=dp_group)

    def fields(self) -> dict[str, torch.Tensor]:
        """Old log-probs and entropy, (B, T) each; after the forward passes."""
        return {
            name: torch.nested.as_nested_tensor([of_row[row] for row in range(len(of_row))], layout=torch.jagged)
            for name, of_row in self._of_row.items()
        }

    def gap(self) -> float | None:
        """The mean difference to the rollout's probabilities over the step's tokens; None where it has not noted them.

        Every rank of the group has to ask.
        """
        if self._gap is None and "rollout_log_probs" in self._data:
            self._gap = self._mean_difference()
        return self._gap

    def _mean_difference(self) -> float:
        of_row = self._of_row["old_log_probs"]
        own = torch.cat([of_row[row] for row in range(len(of_row))]).double()
        rollout, is_real = (
            torch.cat(list(self._data[name].unbind())).to(own.device) for name in ("rollout_log_probs", "response_mask")
        )
        differences = (own.exp() - rollout.double().exp()).abs()[is_real.bool()]
        here = torch.stack([differences.sum(), differences.new_tensor(len(differences))])
        torch.distributed.all_reduce(here, group=self._group)
        difference, num_tokens = float(here[0]), int(here[1])
        num_kept_tokens = int(tu.get_non_tensor_data(data=self._data, key="num_kept_tokens", default=num_tokens))
        if num_kept_tokens > num_tokens:
            gap_of_others = float(tu.get_non_tensor_data(data=self._data, key="gap_of_others", default=0.0))
            difference += gap_of_others * (num_kept_tokens - num_tokens)
        return difference / max(num_kept_tokens, 1)

    def check(self, *_hooked: Any) -> None:
        """The gap is within ``max_rollout_gap``; a hook that torch calls before an optimizer's step.

        Raises:
            StaleRolloutError: It is beyond, or no number.
        """
        bound = tu.get_non_tensor_data(data=self._data, key="max_rollout_gap", default=None)
        gap = self.gap()
        if bound is not None and gap is not None and not gap <= bound:
            raise StaleRolloutError(f"a gap of {gap}, more than {bound}")

    @contextmanager
    def watching(self, worker: Any) -> Iterator[None]:
        """Let ``worker`` (verl's TrainingWorker) make its update through ``loss``, with ``check`` before the step."""
        loss_fn = worker.loss_fn
        reporting = nullcontext() if self._has_entropy_loss else entropy_only_reported()
        hook = worker.engine.optimizer.register_step_pre_hook(self.check)
        worker.loss_fn = partial(self.loss, loss_fn)
        try:
            with reporting:
                yield
        finally:
            worker.loss_fn = loss_fn
            hook.remove()
