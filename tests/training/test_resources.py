"""No actor waits forever: what the run asks Ray for, what a Ray of its own gets, and what a cluster must have."""

import os

import pytest

from verl_ext.training import resources
from verl_ext.training.checks.machine import check_ranks
from verl_ext.training.configuration import compose_config


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_worked_example():
    config = compose_config(["trainer.n_gpus_per_node=8", "trainer.nnodes=2"], device="gpu")
    # 16 devices x 3, 8 storage units, their controller, and one for an actor that is being placed
    assert resources.cpus_needed(config) == 16 * 3 + 8 + 1 + 1


def test_devices_of_a_reward_model_count():
    options = [
        "trainer.n_gpus_per_node=2",
        "reward.reward_model.enable_resource_pool=True",
        "reward.reward_model.nnodes=1",
    ]
    assert resources.num_ranks(compose_config(options, device="gpu")) == 2 + 8


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("num_cpus", [1, 4, 512])
def test_a_ray_of_its_own_has_enough_on_any_machine(monkeypatch, device, num_cpus):
    monkeypatch.setattr(os, "cpu_count", lambda: num_cpus)
    config = compose_config(["trainer.n_gpus_per_node=8"], device=device)
    assert resources.ray_init_options(config)["num_cpus"] == max(num_cpus, resources.cpus_needed(config))


def test_too_few_are_refused():
    options = ["trainer.n_gpus_per_node=1", "ray_kwargs.ray_init.num_cpus=8"]
    with pytest.raises(ValueError, match=r"num_cpus=8, but the actors of this run ask Ray for 13"):
        resources.check_cpus(compose_config(options, device="gpu"))
    with pytest.raises(ValueError, match=r"num_cpus=2, but the actors"):
        check_ranks(compose_config(["ray_kwargs.ray_init.num_cpus=2"], device="cpu"))
    resources.check_cpus(compose_config(["ray_kwargs.ray_init.num_cpus=13", "trainer.n_gpus_per_node=1"], device="gpu"))


def test_a_cluster_is_joined_with_what_it_has(monkeypatch):
    """ray.init refuses num_cpus and num_gpus together with an address."""
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    options = resources.ray_init_options(compose_config(["ray_kwargs.ray_init.num_cpus=64"], device="cpu"))
    assert "num_cpus" not in options
    assert "num_gpus" not in options


def test_a_cluster_that_is_too_small_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    config = compose_config(["trainer.n_gpus_per_node=8", "trainer.nnodes=2"], device="gpu")
    with pytest.raises(RuntimeError, match=r"The Ray cluster auto has 8 GPUs, and this run asks for 16"):
        resources.check_cluster(config, {"GPU": 8, "CPU": 512})
    with pytest.raises(RuntimeError, match=r"has 32 CPUs, and this run asks for 58.*ray start --num-cpus"):
        resources.check_cluster(config, {"GPU": 16, "CPU": 32})
    resources.check_cluster(config, {"GPU": 16, "CPU": 58})


def test_what_verl_and_transfer_queue_still_ask_for():
    """The numbers behind ``cpus_needed``, in the installed packages."""
    from transfer_queue.controller import TransferQueueController
    from transfer_queue.storage.simple_storage import SimpleStorageUnit
    from verl.single_controller.ray.base import ResourcePoolManager

    assert ResourcePoolManager(resource_pool_spec={}, mapping={}).max_colocate_count == resources.CPUS_PER_RANK
    assert TransferQueueController._default_options["num_cpus"] == resources.CONTROLLER_CPUS
    assert SimpleStorageUnit._default_options["num_cpus"] == 1
