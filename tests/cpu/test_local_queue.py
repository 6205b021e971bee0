"""TransferQueue's classes without Ray's processes."""

import asyncio
import threading

import pytest
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import NonTensorStack, TensorDict
from transfer_queue import interface
from transfer_queue.storage.bootstrap import simple_storage_bootstrap
from transfer_queue.storage.managers.base import StorageManagerFactory

from verl_ext.cpu import local_queue
from verl_ext.cpu.local_queue import ActorClassHere, StorageHere
from verl_ext.patches import queue_in_this_process


def test_an_actor_class_makes_plain_instances(monkeypatch):
    monkeypatch.setattr(local_queue.ray, "put", lambda value: ("reference to", value))

    @ray.remote(num_cpus=1)
    class Storage:
        def __init__(self, config):
            self.config = config

        def get(self, name, default=None):
            return self.config.get(name, default)

    handle = ActorClassHere(Storage).options(name="storage#0", scheduling_strategy=None).remote(config={"size": 3})
    assert handle.get.remote("size") == ("reference to", 3)
    assert handle.get.remote("none", default=4) == ("reference to", 4)
    assert not ray.is_initialized()


@pytest.fixture
def queue(monkeypatch):
    """TransferQueue as a run on one rank has it; only Ray's store of objects is a list of this process."""
    monkeypatch.setattr(local_queue.ray, "put", lambda value: value)
    monkeypatch.setattr(ray, "get", lambda value, timeout=None: value)
    monkeypatch.setattr(ray, "kill", lambda _actor: None)
    monkeypatch.setattr(interface, "_init_from_existing", lambda: False)
    monkeypatch.setattr(simple_storage_bootstrap, "get_node_round_robin_scheduling_strategies", strategies)
    with queue_in_this_process(interface, simple_storage_bootstrap, StorageManagerFactory, ActorClassHere, StorageHere):
        tq.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    yield interface._TQ_CLIENT.storage_manager
    tq.close()


def strategies(number, required_node_resource=None):
    return [type("Strategy", (), {"node_id": "this"})() for _ in range(number)]


def row_of(*lengths):
    tokens = [torch.arange(length) for length in lengths]
    return TensorDict(
        {
            "responses": torch.nested.as_nested_tensor(tokens, layout=torch.jagged),
            "score": torch.tensor([float(length) for length in lengths]),
            "info": NonTensorStack(*({"length": length} for length in lengths)),
        },
        batch_size=len(lengths),
    )


def put(keys, *lengths):
    asyncio.run(
        tq.async_kv_batch_put(
            keys=keys, fields=row_of(*lengths), tags=[{"status": "success"}] * len(keys), partition_id="train"
        )
    )


def test_samples_come_back_as_they_were_put_and_in_the_order_that_is_asked_for(queue):
    assert isinstance(queue, StorageHere)
    put(["a", "b"], 3, 5)
    put(["c"], 4)
    rows = tq.kv_batch_get(keys=["c", "a", "b"], partition_id="train")
    assert [tokens.tolist() for tokens in rows["responses"].unbind()] == [list(range(length)) for length in (4, 3, 5)]
    assert rows["score"].tolist() == [4.0, 3.0, 5.0]
    assert [info["length"] for info in rows["info"]] == [4, 3, 5]


def test_no_sample_goes_over_a_socket(queue, monkeypatch):
    def sent(*_arguments, **_options):
        raise AssertionError("a sample was sent")

    (unit,) = queue.units
    for name in ("_handle_put", "_handle_get", "_handle_clear"):
        monkeypatch.setattr(type(unit), name, sent)
    put(["a"], 3)
    assert tq.kv_batch_get(keys=["a"], partition_id="train")["score"].tolist() == [3.0]
    tq.kv_clear(keys=["a"], partition_id="train")
    assert unit.storage_data.active_key_count == 0


def test_threads_take_turns(queue):
    """A thread that clears reads the columns, of which another adds new ones: an error of Python's without turns."""
    (unit,) = queue.units
    data, failures, is_over = unit.storage_data, [], threading.Event()

    def clear():
        try:
            while not is_over.is_set():
                data.clear(list(range(50)))
        except RuntimeError as error:
            failures.append(error)

    thread = threading.Thread(target=clear)
    thread.start()
    for number in range(3000):
        data.put_data({f"column{number}": [1]}, [number % 50])
    is_over.set()
    thread.join()
    assert not failures


def without_columns(_columns):
    return {}


def test_what_a_parser_makes_of_samples_is_looked_at(queue):
    with pytest.raises(RuntimeError, match="must not change dict keys"):
        asyncio.run(
            tq.async_kv_batch_put(
                keys=["a"],
                fields=row_of(3),
                tags=[{"status": "success"}],
                partition_id="train",
                data_parser=without_columns,
            )
        )
