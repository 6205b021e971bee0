"""A worker group of one rank in a thread, called as verl's trainer calls its groups."""

import pytest
import ray
from verl.protocol import DataProto
from verl.single_controller.base import Worker
from verl.single_controller.base.decorator import Dispatch, Execute, register

from verl_ext.cpu import local_workers
from verl_ext.cpu.local_workers import LocalWorkerGroup
from verl_ext.cpu.loop_thread import LoopThread


class Learner(Worker):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.config["seen"] = True

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def add(self, first, second=0):
        return self.rank, first + second

    @register(dispatch_mode=Dispatch.DP_COMPUTE_PROTO)
    def double(self, data):
        data.batch["x"] *= 2
        return data

    @register(dispatch_mode=Dispatch.ONE_TO_ALL, blocking=False)
    async def push(self, step):
        return step

    @register(execute_mode=Execute.RANK_ZERO)
    def first(self, value):
        return value

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def fail(self):
        raise ValueError("out of data")


@pytest.fixture
def group(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "RAY_LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "undone afterwards")
    monkeypatch.setattr(local_workers.ray, "put", lambda value: ("reference to", value))
    local_workers._enter_group_of_one()
    return LocalWorkerGroup(LoopThread("learner"), Learner, {"config": CONFIG})


CONFIG = {}


def test_the_trainers_configuration_is_its_own(group):
    assert CONFIG == {}


def test_a_method_of_all_ranks_answers_for_each(group):
    assert group.world_size == 1
    assert group.add(1, second=2) == [(0, 3)]
    assert group.add([1], second=[2]) == [(0, [1, 2])], "a list that is an argument is no list of shares"
    assert group.first([5]) == [5]


def test_batches_are_shared_out_and_collected_by_verls_functions(group):
    batch = DataProto.from_single_dict({"x": __import__("torch").tensor([1.0, 2.0, 3.0])})
    assert group.double(batch).batch["x"].tolist() == [2.0, 4.0, 6.0]
    assert batch.batch["x"].tolist() == [1.0, 2.0, 3.0]


def test_what_is_not_waited_for_is_a_reference(group):
    assert group.push(7) == [("reference to", 7)]


def test_a_worker_that_fails_says_so_with_its_own_error(group):
    with pytest.raises(ValueError, match="out of data"):
        group.fail()


def test_it_has_no_actor_that_could_be_killed(group):
    assert group.workers == []
    assert not ray.is_initialized()
