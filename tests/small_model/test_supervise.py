from dataclasses import replace

import pytest
import torch
from torch.nn.functional import pad

from verl_ext.small_model.architecture import random_weights
from verl_ext.small_model.build import TINY
from verl_ext.small_model.demonstrations import IGNORED, draw_demonstrations, tokenize
from verl_ext.small_model.supervise import Schedule, supervise
from verl_ext.small_model.tokenizer import build_tokenizer
from verl_ext.tasks.countdown import generate_problems

THREE_STEPS = Schedule(num_steps=3, batch_size=8, num_warmup_steps=1)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(max_length=64)


@pytest.fixture(scope="module")
def batch(tokenizer):
    problems = generate_problems(100, seed=0, split="train")
    return tokenize(draw_demonstrations(problems, 24, wrong_share=0.3, seed=0), tokenizer)


def trained(tokenizer, batch, *, num_threads=1):
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        model = random_weights(TINY, tokenizer, seed=0)
        losses = supervise(model, *batch, THREE_STEPS)
    finally:
        torch.set_num_threads(before)
    return losses, model.state_dict()


@pytest.mark.parametrize("num_threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_repeats_to_the_bit(tokenizer, batch, num_threads):
    losses, weights = trained(tokenizer, batch, num_threads=num_threads)
    losses_again, weights_again = trained(tokenizer, batch, num_threads=num_threads)
    assert losses == losses_again
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)


def test_every_weight_learns(tokenizer, batch):
    before = random_weights(TINY, tokenizer, seed=0).state_dict()
    _, after = trained(tokenizer, batch)
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_loss_is_that_of_the_answers(tokenizer, batch):
    """The first loss, by hand: minus the mean log-probability of the answers' tokens and of their ends."""
    model = random_weights(TINY, tokenizer, seed=0)
    token_DT, label_DT = (part[:8] for part in batch)
    with torch.no_grad():
        logp_DTV = model(token_DT).logits.log_softmax(-1)
    expected = -torch.stack(
        [
            logp_DTV[d, t, label_DT[d, t]]
            for d in range(8)
            for t in range(token_DT.shape[1])
            if label_DT[d, t] != IGNORED
        ]
    ).mean()
    losses, _ = trained(tokenizer, batch)
    assert losses[0] == pytest.approx(expected.item(), abs=1e-5)


def test_a_step_sees_its_own_batch_only(tokenizer, batch):
    """With learning rates of 0 the gradients that remain are those of the last batch, of the weights of the start."""
    model, fresh = (random_weights(TINY, tokenizer, seed=0) for _ in range(2))
    still = replace(THREE_STEPS, learning_rate=0.0, matrix_learning_rate=0.0, max_grad_norm=1e9)
    supervise(model, *batch, still)
    supervise(fresh, *(part[16:] for part in batch), replace(still, num_steps=1, num_warmup_steps=0))
    for parameter, expected in zip(model.parameters(), fresh.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad)


def test_padding_changes_nothing(tokenizer, batch):
    token_DT, label_DT = batch
    wider = pad(token_DT, (0, 5), value=tokenizer.pad_token_id), pad(label_DT, (0, 5), value=IGNORED)
    assert trained(tokenizer, batch)[0] == pytest.approx(trained(tokenizer, wider)[0], abs=1e-4)


def test_learns_one_demonstration_by_heart(tokenizer, batch):
    one = tuple(part[:1].repeat(80, 1) for part in batch)
    losses = supervise(
        random_weights(TINY, tokenizer, seed=0), *one, Schedule(num_steps=80, batch_size=1, num_warmup_steps=1)
    )
    assert losses[0] > 4 > 0.1 > losses[-1]


def test_schedule():
    schedule = Schedule(num_steps=110, num_warmup_steps=10)
    factors = [schedule.factor_at(step) for step in (0, 4, 9, 10, 60, 110)]
    assert factors == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.5, 0.0])
