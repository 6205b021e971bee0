"""No actor waits forever: what the run asks Ray for, what a Ray of its own gets, and what a cluster must have."""

import os
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def nodes(*rooms: tuple[int, int], is_alive: bool = True) -> list[dict]:
    """As ``ray.nodes()`` has them, with so many GPUs and CPUs."""
    return [
        {
            "NodeID": f"{number:056x}",
            "Alive": is_alive,
            "NodeManagerAddress": f"10.0.0.{number}",
            "Resources": {"CPU": float(cpus), "memory": 1e11, f"node:10.0.0.{number}": 1.0}
            | ({"GPU": float(gpus)} if gpus else {}),
        }
        for number, (gpus, cpus) in enumerate(rooms, start=1)
    ]


@pytest.fixture
def two_nodes(monkeypatch):
    """A run on two nodes of eight GPUs."""
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    return compose_config(["trainer.n_gpus_per_node=8", "trainer.nnodes=2"], device="gpu")


def test_a_cluster_that_is_too_small_is_refused(two_nodes):
    with pytest.raises(RuntimeError, match=r"The Ray cluster auto has 8 GPUs, and this run asks for 16"):
        resources.check_cluster(two_nodes, nodes((8, 512)))
    with pytest.raises(RuntimeError, match=r"has 32 CPUs, and this run asks for 58.*ray start --num-cpus"):
        resources.check_cluster(two_nodes, nodes((8, 16), (8, 16)))
    with pytest.raises(RuntimeError, match=r"has 0 GPUs"):
        resources.check_cluster(two_nodes, nodes((8, 64), (8, 64), is_alive=False))
    resources.check_cluster(two_nodes, nodes((8, 29), (8, 29)))


@pytest.mark.parametrize(
    ("rooms", "has"),
    [
        (((8, 64), (8, 4)), "10.0.0.1 8 GPUs and 64 CPUs, 10.0.0.2 8 GPUs and 4 CPUs"),
        (((12, 64), (4, 64)), "10.0.0.1 12 GPUs and 64 CPUs, 10.0.0.2 4 GPUs and 64 CPUs"),
        (((4, 32),) * 4, "10.0.0.1 4 GPUs and 32 CPUs"),
    ],
)
def test_what_verl_wants_together_is_on_one_node(two_nodes, rooms, has):
    """The sums would do; verl's placement groups would wait for ever."""
    with pytest.raises(RuntimeError) as raised:
        resources.check_cluster(two_nodes, nodes(*rooms))
    assert f"The nodes of the Ray cluster auto have {has}" in str(raised.value)
    assert "this run asks for 2 x 8 GPUs with 24 CPUs, each of them on one node; it would wait forever" in str(
        raised.value
    )
    assert "--num-gpus, --num-cpus" in str(raised.value)


@pytest.mark.parametrize("rooms", [((16, 64),), ((0, 64), (8, 24), (8, 24)), ((8, 24), (16, 64))])
def test_what_fits_may_be_anywhere(two_nodes, rooms):
    resources.check_cluster(two_nodes, nodes(*rooms))


@given(st.lists(st.sampled_from([1, 2, 4, 8]), max_size=5), st.lists(st.integers(0, 16), max_size=4))
def test_groups_fit_where_some_way_of_putting_them_does(groups, rooms):
    ways = product(range(len(rooms)), repeat=len(groups))
    fits = any(
        all(
            sum(group for group, place in zip(groups, way, strict=True) if place == room) <= size
            for room, size in enumerate(rooms)
        )
        for way in ways
    )
    assert resources.fit(groups, rooms) == fits


def test_what_verl_and_transfer_queue_still_ask_for():
    """The numbers behind ``cpus_needed``, in the installed packages."""
    from transfer_queue.controller import TransferQueueController
    from transfer_queue.storage.simple_storage import SimpleStorageUnit
    from verl.single_controller.ray.base import ResourcePoolManager

    assert ResourcePoolManager(resource_pool_spec={}, mapping={}).max_colocate_count == resources.CPUS_PER_RANK
    assert TransferQueueController._default_options["num_cpus"] == resources.CONTROLLER_CPUS
    assert SimpleStorageUnit._default_options["num_cpus"] == 1
