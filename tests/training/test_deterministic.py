"""What a run that repeats asks for, and the seeds of its samples."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import config_of
from verl_ext.cpu.sample_seed import LARGEST_SEED, seed_of_sample
from verl_ext.training import launch, preflight
from verl_ext.training.configuration import compose_config
from verl_ext.training.deterministic import check_deterministic, described, variables_of
from verl_ext.training.one_process import is_one_process, samples_here

WHAT = st.tuples(st.integers(0, 2**31), st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 9999))


@given(WHAT, WHAT, st.booleans(), st.booleans())
def test_every_sample_has_a_seed_of_its_own(one, other, is_first_validation, is_second_validation):
    first = seed_of_sample(*one, is_validation=is_first_validation)
    second = seed_of_sample(*other, is_validation=is_second_validation)
    assert 0 <= first < LARGEST_SEED
    assert (first == second) == ((one, is_first_validation) == (other, is_second_validation))


def test_a_seed_is_what_it_was():
    """Of a checkpoint that is resumed by a later version."""
    assert seed_of_sample(42, 1, 0, 0, is_validation=False) == 102118753


def test_the_engine_orders_requests_by_number(folder):
    config = config_of(folder, "trainer.deterministic=True")
    preflight.check(config)
    assert config.actor_rollout_ref.rollout.scheduling_policy == "priority"
    assert config_of(folder).actor_rollout_ref.rollout.scheduling_policy == "fcfs"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("trainer.v1.trainer_mode=sign_filter_colocate_async", "exclude each other: which answers are complete"),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class=null", "which are all in one process"),
        ("actor_rollout_ref.rollout.full_determinism=True", "one seed, so that they are one answer"),
        ("actor_rollout_ref.rollout.multi_turn.enable=True", "answers of one turn"),
    ],
)
def test_what_cannot_repeat_is_refused(folder, option, message):
    with pytest.raises(ValueError, match=message):
        preflight.check(config_of(folder, "trainer.deterministic=True", option))


def test_on_an_accelerator_vllm_and_the_learner_are_asked_for_the_same_bits(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    config = compose_config(["trainer.deterministic=True"], device="gpu")
    check_deterministic(config)
    assert samples_here(config)
    assert not is_one_process(config)
    assert config.actor_rollout_ref.rollout.scheduling_policy == "priority"
    assert config.actor_rollout_ref.actor.fsdp_config.full_determinism
    assert config.actor_rollout_ref.ref.fsdp_config.full_determinism
    launch.prepare_environment(config)
    assert os.environ["VLLM_BATCH_INVARIANT"] == "1", "verl's name of what it hands on to the workers"
    assert "untested" in described(config)


@pytest.mark.parametrize(("device", "options"), [("gpu", []), ("cpu", ["trainer.deterministic=True"])])
def test_nothing_is_asked_of_other_runs(device, options):
    config = compose_config(options, device=device)
    assert not config.actor_rollout_ref.actor.fsdp_config.full_determinism
    assert not variables_of(config)
    assert not described(config)


def test_two_ranks_can_repeat_what_begins_with_given_weights(folder):
    two = ("trainer.deterministic=True", "trainer.n_gpus_per_node=2")
    preflight.check(config_of(folder, *two))
    for random in ("actor_rollout_ref.model.lora_rank=8", "algorithm.adv_estimator=gae"):
        check_deterministic(config_of(folder, "trainer.deterministic=True", random))
        with pytest.raises(ValueError, match="with 2 ranks needs a model whose first weights are on file"):
            check_deterministic(config_of(folder, *two, random))
