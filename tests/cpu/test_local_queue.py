"""TransferQueue's classes without Ray's processes."""

import ray

from verl_ext.cpu import local_queue
from verl_ext.cpu.local_queue import ActorClassHere


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
