"""verl's clients of rollout servers that choose among the servers themselves instead of asking a load balancer's process."""

from typing import Any

from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient, LLMServerClient

from verl_ext.cpu.sample_order import server_for


class DirectClient(LLMServerClient):
    """Takes the least busy server; for a sample that has a number (``verl_ext.cpu.sample_order``), whichever it was last time."""

    def __init__(self, config: Any, servers: dict[str, Any]) -> None:
        super().__init__(config, load_balancer_handle=None)
        self.servers = servers
        """Handles by address."""
        self._num_in_flight = dict.fromkeys(servers, 0)

    async def _acquire_server(self, request_id: str, *, priority: int = 0, **_extra: Any) -> tuple[str, Any]:
        if priority:
            server_id = server_for(priority, list(self.servers))
        else:
            server_id = min(self._num_in_flight, key=lambda name: self._num_in_flight[name])
        self._num_in_flight[server_id] += 1
        return server_id, self.servers[server_id]

    def _release_server(self, server_id: str, request_id: str | None = None) -> None:
        self._num_in_flight[server_id] -= 1


class DirectAsyncClient(DirectClient, FullyAsyncLLMServerClient):
    """The same, and goes on with an answer that an update of the weights has interrupted."""


def direct_client(client_cls: type[LLMServerClient] | None) -> type[DirectClient]:
    """The one that does what verl's ``client_cls`` does."""
    return DirectAsyncClient if client_cls is FullyAsyncLLMServerClient else DirectClient
