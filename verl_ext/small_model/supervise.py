"""Supervised training in plain torch: cross entropy on the answers, Muon and AdamW, a warm-up and a cosine."""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from tqdm import trange
from transformers import Qwen2ForCausalLM

from verl_ext.small_model.demonstrations import IGNORED
from verl_ext.small_model.muon import Muon


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast the model learns."""

    num_steps: int = 2000
    batch_size: int = 64
    num_warmup_steps: int = 50
    matrix_learning_rate: float = 0.01
    """Of Muon, for the matrices inside the layers. At equal steps its loss on demonstrations was 0.39, AdamW's 0.46."""
    learning_rate: float = 3e-3
    """Of AdamW, for the rest: embeddings, norms and biases, which have no weight decay."""
    weight_decay: float = 0.5
    """Of the matrices. A fifth of it let the model learn the training problems by heart."""
    max_grad_norm: float = 1.0

    def factor_at(self, step: int) -> float:
        """Share of the learning rates at ``step``: linear over the warm-up, then a cosine to 0."""
        if step < self.num_warmup_steps:
            return (step + 1) / self.num_warmup_steps
        progress = (step - self.num_warmup_steps) / (self.num_steps - self.num_warmup_steps)
        return (1 + math.cos(math.pi * progress)) / 2


def supervise(
    model: Qwen2ForCausalLM, token_DT: torch.Tensor, label_DT: torch.Tensor, schedule: Schedule
) -> list[float]:
    """Train ``model`` in place, one pass over the demonstrations in their order, and return the loss of each step.

    Repeats to the bit on the same machine with the same torch and number of threads. There is no attention mask: a
    causal model never sees the padding on its right.

    Args:
        model: Trained in place.
        token_DT: (D, T) tokens of D = ``num_steps * batch_size`` demonstrations.
        label_DT: (D, T) the token that follows each, or ``IGNORED`` where it is not to be predicted.
        schedule: Steps, batch size, optimizer settings.
    """
    optimizers = _optimizers(model, schedule)
    model.train()
    losses = []
    progress = trange(schedule.num_steps, desc="supervise", unit="step", mininterval=1.0)
    for step in progress:
        rows = slice(step * schedule.batch_size, (step + 1) * schedule.batch_size)
        hidden_BTH = model.model(input_ids=token_DT[rows], use_cache=False).last_hidden_state
        is_answer_BT = label_DT[rows] != IGNORED
        loss = cross_entropy(model.lm_head(hidden_BTH[is_answer_BT]), label_DT[rows][is_answer_BT])
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.max_grad_norm)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * schedule.factor_at(step)
            optimizer.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    model.eval()
    return losses


def _optimizers(model: Qwen2ForCausalLM, schedule: Schedule) -> list[torch.optim.Optimizer]:
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and ".layers." in name else others).append(parameter)
    optimizers: list[torch.optim.Optimizer] = [
        Muon(matrices, lr=schedule.matrix_learning_rate, weight_decay=schedule.weight_decay),
        torch.optim.AdamW(others, lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers
