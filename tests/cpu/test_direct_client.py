"""The clients that pick a server themselves, and what becomes of an answer that an update of the weights interrupts."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from verl.workers.rollout import llm_server
from verl.workers.rollout.replica import TokenOutput

from verl_ext.cpu.agent_loop import LocalAgentLoopManager
from verl_ext.cpu.direct_client import DirectAsyncClient, DirectClient, direct_client

CONFIG = OmegaConf.create({"actor_rollout_ref": {"rollout": {"name": "vllm", "response_length": 8}}})
OmegaConf.set_struct(CONFIG, True)


class Server:
    """Answers with one piece after the other."""

    def __init__(self, *pieces: TokenOutput) -> None:
        self.pieces, self.asked = list(pieces), []
        self.generate = SimpleNamespace(remote=self._generate)

    async def _generate(self, **request):
        self.asked.append(request)
        return self.pieces.pop(0)


def piece(tokens, stop_reason, step):
    return TokenOutput(
        token_ids=tokens,
        log_probs=[-float(token) for token in tokens],
        stop_reason=stop_reason,
        extra_fields={"global_steps": step},
    )


def client_for(kind, server):
    return direct_client(kind)(CONFIG, {"one": server})


def test_an_interrupted_answer_goes_on_under_the_new_weights(monkeypatch):
    async def at_once(_seconds):
        pass

    monkeypatch.setattr(llm_server.asyncio, "sleep", at_once)
    server = Server(piece([5], "aborted", 3), piece([6, 7], "completed", 4))
    client = client_for(llm_server.FullyAsyncLLMServerClient, server)
    assert type(client) is DirectAsyncClient
    answer = asyncio.run(client.generate("id", prompt_ids=[1, 2], sampling_params={}))
    assert (answer.token_ids, answer.log_probs) == ([5, 6, 7], [-5.0, -6.0, -7.0])
    assert (answer.extra_fields["min_global_steps"], answer.extra_fields["max_global_steps"]) == (3, 4)
    assert [request["prompt_ids"] for request in server.asked] == [[1, 2], [1, 2, 5]]
    assert client._num_in_flight == {"one": 0}


@pytest.mark.parametrize("kind", [None, llm_server.LLMServerClient])
def test_a_synchronous_run_has_the_plain_client(kind):
    server = Server(piece([5], "aborted", 3))
    client = client_for(kind, server)
    assert type(client) is DirectClient
    assert asyncio.run(client.generate("id", prompt_ids=[1], sampling_params={})).token_ids == [5]


def test_a_run_that_ends_lets_go_of_the_answers_it_does_not_wait_for():
    """Else their requests would go on in the rollout engine, which the next run on the stack uses."""
    manager = object.__new__(LocalAgentLoopManager)
    manager._loop = asyncio.new_event_loop()
    manager._thread = threading.Thread(target=manager._loop.run_forever, daemon=True)
    manager._thread.start()
    waiting = asyncio.run_coroutine_threadsafe(asyncio.sleep(600), manager._loop)
    manager.stop()
    assert waiting.cancelled()
    assert manager._loop.is_closed()
