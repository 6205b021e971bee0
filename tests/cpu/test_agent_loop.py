"""A deterministic run's requests: the engines begin when they have all of a batch, or when no more will come."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from verl.utils import tensordict_utils as tu

from verl_ext.cpu import agent_loop
from verl_ext.cpu.sample_order import place_of, server_for

CONFIG = OmegaConf.create(
    {
        "trainer": {"deterministic": True, "device": "cpu"},
        "actor_rollout_ref": {
            "rollout": {
                "n": 3,
                "seed": 42,
                "temperature": 1.0,
                "top_p": 1.0,
                "top_k": -1,
                "calculate_log_probs": True,
                "val_kwargs": {"n": 2, "temperature": 1.0, "top_p": 1.0, "top_k": -1},
                "agent": {"default_agent_loop": "single_turn_agent"},
            }
        },
    }
)


class Server:
    """Takes requests, and answers them once it goes on; called as an actor of Ray's is."""

    def __init__(self):
        self.requests, self.num_at_start = [], None
        self.goes_on = asyncio.Event()
        self.hold, self.num_requests, self.go_on = map(Method, (self._hold, self._num_requests, self._go_on))

    async def _num_requests(self):
        return len(self.requests)

    async def _hold(self):
        self.goes_on.clear()

    async def _go_on(self):
        self.num_at_start = len(self.requests)
        self.goes_on.set()


class Method:
    def __init__(self, called):
        self.remote = called


class Client:
    def __init__(self, *servers):
        self.servers = {f"address {number}": server for number, server in enumerate(servers)}

    async def generate(self, *, prompt_ids, **request):
        server = server_for(request["priority"], list(self.servers.values()))
        if prompt_ids == ["too long"]:
            raise ValueError("it does not fit")
        server.requests.append(request)
        await server.goes_on.wait()


@pytest.fixture
def worker(monkeypatch):
    """verl's worker with a client of this test's, and nowhere to store samples."""
    made = object.__new__(agent_loop.LocalAgentLoopWorker)
    made.config, made.llm_client = CONFIG, Client(Server())
    made.rollout_config = SimpleNamespace(enable_rollout_routing_replay=False)
    made.processor, made.tools, made.distillation_enabled = None, [], False
    made.background_tasks, made._is_deterministic, made._num_to_come = set(), True, 0
    made.told = Counter()

    async def tokens_of(messages):
        return messages

    async def put(keys, tags, *, partition_id):
        made.told.update(tag["status"] for tag in tags)

    async def store(*_samples):
        pass

    made._single_turn = SimpleNamespace(ct_build_initial_tokens=tokens_of)
    made._writer = SimpleNamespace(put=put)
    monkeypatch.setattr(made, "_store_group", store)
    return made


def sample(worker, prompts, agents=None, is_validation=False):
    fields = {"raw_prompt": [[prompt] for prompt in prompts], "uid": [f"uid{place}" for place in range(len(prompts))]}
    if agents is not None:
        fields["agent_name"] = agents
    batch = tu.get_tensordict({"index": torch.arange(len(prompts)), **fields})
    tu.assign_non_tensor_data(batch, "global_steps", 5)
    if is_validation:
        tu.assign_non_tensor_data(batch, "validate", True)

    async def run():
        await worker.generate_sequences(batch)
        await asyncio.gather(*worker.background_tasks)

    asyncio.run(run())
    return next(iter(worker.llm_client.servers.values()))


@pytest.mark.parametrize(("is_validation", "n"), [(False, 3), (True, 2)])
def test_the_engine_begins_when_it_has_all_requests(worker, is_validation, n):
    server = sample(worker, ["a", "b"], is_validation=is_validation)
    assert server.num_at_start == 2 * n
    assert len({request["priority"] for request in server.requests}) == 2 * n
    assert len({request["sampling_params"]["seed"] for request in server.requests}) == 2 * n
    assert worker.told == {"running": 2, "finished": 2}


def test_it_does_not_wait_for_a_prompt_that_fails(worker):
    server = sample(worker, ["a", "too long", "b"])
    assert server.num_at_start == 6
    assert worker.told == {"running": 3, "finished": 2, "failure": 1}


def test_a_prompt_of_another_agent_fails_and_is_not_waited_for(worker):
    server = sample(worker, ["a", "b"], agents=["single_turn_agent", "tool_agent"])
    assert server.num_at_start == 3
    assert worker.told == {"running": 2, "finished": 1, "failure": 1}


def test_each_of_two_engines_has_the_same_prompts_whenever_they_come(worker):
    """Also where the first ones fail."""
    worker.llm_client = Client(Server(), Server())
    sample(worker, ["too long", "b", "c", "d", "e"])
    first, second = worker.llm_client.servers.values()
    assert [{place_of(request["priority"]) for request in server.requests} for server in (first, second)] == [
        {2, 4},
        {1, 3},
    ]
    assert (first.num_at_start, second.num_at_start) == (6, 6)
