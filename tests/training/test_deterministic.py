"""What a run that repeats asks for, and the seeds of its samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import config_of
from verl_ext.cpu.sample_seed import LARGEST_SEED, seed_of_sample
from verl_ext.training import preflight
from verl_ext.training.deterministic import check_deterministic

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


def test_two_ranks_can_repeat_what_begins_with_given_weights(folder):
    two = ("trainer.deterministic=True", "trainer.n_gpus_per_node=2")
    preflight.check(config_of(folder, *two))
    for random in ("actor_rollout_ref.model.lora_rank=8", "algorithm.adv_estimator=gae"):
        check_deterministic(config_of(folder, "trainer.deterministic=True", random))
        with pytest.raises(ValueError, match="with 2 ranks needs a model whose first weights are on file"):
            check_deterministic(config_of(folder, *two, random))
