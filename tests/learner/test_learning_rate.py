"""A smaller learning rate after a checkpoint, which brings the one that it was saved with along."""

from types import SimpleNamespace

import pytest
import torch
from verl.utils.torch_functional import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup

from verl_ext.learner.verl_workers import LearnerWorker

RATE = 1e-3
SCHEDULES = {
    "constant": lambda optimizer: get_constant_schedule_with_warmup(optimizer, num_warmup_steps=6),
    "cosine": lambda optimizer: get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=2, num_training_steps=12),
}


def engine_of(kind: str, rate: float) -> SimpleNamespace:
    """What verl's engine holds of optimizer and schedule."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=rate)
    return SimpleNamespace(
        optimizer=optimizer, lr_scheduler=SCHEDULES[kind](optimizer), optimizer_config=SimpleNamespace(lr=rate)
    )


def rates(engine: SimpleNamespace, num_steps: int) -> list[float]:
    """Those of the next updates."""
    found = []
    for _ in range(num_steps):
        found.append(engine.optimizer.param_groups[0]["lr"])
        engine.optimizer.step()
        engine.lr_scheduler.step()
    return found


@pytest.mark.parametrize("kind", SCHEDULES)
def test_from_a_checkpoint_on_it_is_that_of_a_run_with_the_smaller_one(kind):
    saved, resumed = engine_of(kind, RATE), engine_of(kind, RATE)
    whole = rates(engine_of(kind, 0.5 * RATE), 12)
    before = rates(saved, 4)
    assert before == pytest.approx([2 * rate for rate in whole[:4]])
    resumed.optimizer.load_state_dict(saved.optimizer.state_dict())
    resumed.lr_scheduler.load_state_dict(saved.lr_scheduler.state_dict())
    LearnerWorker.use_learning_rate_factor(SimpleNamespace(engine=resumed), 0.5)
    assert resumed.lr_scheduler.get_last_lr() == pytest.approx(whole[4:5])
    assert rates(resumed, 8) == pytest.approx(whole[4:])


def test_a_checkpoint_brings_its_learning_rate_along():
    """Why the option alone would not do."""
    saved, resumed = engine_of("constant", RATE), engine_of("constant", 0.5 * RATE)
    rates(saved, 8)
    resumed.optimizer.load_state_dict(saved.optimizer.state_dict())
    resumed.lr_scheduler.load_state_dict(saved.lr_scheduler.state_dict())
    assert rates(resumed, 2) == [RATE, RATE]
