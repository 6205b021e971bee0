"""vLLM servers for machines with few cores: started while the actor loads, and chosen among without a balancer process.

verl starts its processes one after the other: Ray, the actor, then the vLLM server, which starts vLLM's engine. Each
spends seconds importing on one core while the other is idle. A server needs nothing of the actor but the name of its
node and device, which on one machine with logical devices are known beforehand.
"""

import asyncio
import threading
from collections.abc import Awaitable, Sequence
from typing import Any

import ray
from verl.workers.rollout.llm_server import LLMServerClient, LLMServerManager
from verl.workers.rollout.replica import RolloutMode
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMReplica

from verl_ext.cpu.direct_client import direct_client
from verl_ext.cpu.engine_fork import EngineFork
from verl_ext.cpu.held_server import HeldServer
from verl_ext.cpu.local_server import LocalServerClass
from verl_ext.cpu.local_workers import LocalWorkerGroup
from verl_ext.cpu.loop_thread import ToCome
from verl_ext.cpu.platform import note_cache


class HeldReplica(vLLMReplica):
    """verl's replica with our server."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.server_class = ray.remote(HeldServer)


class _LogicalDevice:
    """Stands for an actor worker that does not exist yet and answers the one question a replica asks its workers."""

    def __init__(self, node_id: str, device: str) -> None:
        self._answer = node_id, device

    @property
    def __ray_call__(self) -> "_LogicalDevice":
        return self

    def remote(self, _function: Any) -> Awaitable[tuple[str, str]]:
        async def answer() -> tuple[str, str]:
            return self._answer

        return answer()


class EarlyServers:
    """Starts every vLLM replica of a run at once, in a thread; ``wait`` returns them when they serve."""

    def __init__(self, config: Any, *, is_one_process: bool) -> None:
        rollout = config.actor_rollout_ref.rollout
        num_ranks = config.trainer.n_gpus_per_node
        size = rollout.tensor_model_parallel_size * rollout.data_parallel_size * rollout.pipeline_model_parallel_size
        node_id = ray.get_runtime_context().get_node_id()
        self._replicas = []
        for replica_rank in range(num_ranks // size):
            replica = HeldReplica(replica_rank, rollout, config.actor_rollout_ref.model, rollout.n_gpus_per_node)
            replica.rollout_mode = RolloutMode.HYBRID
            first = replica_rank * size
            replica.workers = [_LogicalDevice(node_id, str(device)) for device in range(first, first + size)]
            self._replicas.append(replica)
        self.fork = EngineFork() if is_one_process else None
        """Where the one server is a thread of this process."""
        if self.fork is not None:
            self._replicas[0].server_class = LocalServerClass()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._launch, name="vllm-servers", daemon=True)
        self._thread.start()

    def _launch(self) -> None:
        async def launch() -> None:
            await asyncio.gather(*(replica.launch_servers() for replica in self._replicas))

        try:
            asyncio.run(launch())
        except BaseException as error:  # noqa: BLE001  raised again in wait
            self._failure = error
        finally:
            if self.fork is not None:
                self.fork.is_over()

    def wait(self) -> list[vLLMReplica]:
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._replicas


class DirectLLMServerManager(LLMServerManager):
    """verl's manager of rollout servers without a load balancer's process."""

    rollout_replica_class = HeldReplica

    async def _init_global_load_balancer(self) -> None:
        self.global_load_balancer = None

    def get_client(self, client_cls: Any = None, **_kwargs: Any) -> LLMServerClient:
        servers = dict(zip(self.server_addresses, self.server_handles, strict=True))
        return direct_client(client_cls)(self.config, servers)


class LocalLLMServerManager(DirectLLMServerManager):
    """The same, given servers that are already starting."""

    early: EarlyServers

    async def _initialize_llm_servers(self, start_rank: int | None = None) -> None:
        self.rollout_replicas = await asyncio.to_thread(self.early.wait)
        for replica in self.rollout_replicas:
            first = replica.replica_rank * replica.world_size
            replica.workers = self.worker_group.workers[first : first + replica.world_size]
        self.server_handles = [replica.server_handle for replica in self.rollout_replicas]
        if isinstance(self.worker_group, LocalWorkerGroup):
            self.worker_group.use_server(self.server_handles[0])
        self.server_addresses = [replica.server_address for replica in self.rollout_replicas]


def start_servers(config: Any, *, is_one_process: bool) -> type[LLMServerManager]:
    """Start the servers of a run where it can be known beforehand, and return the class of a manager that has them.

    With ``is_one_process`` there is one, in a thread of this process, and its engine is forked when this returns. Over several
    nodes the manager starts them once there are actor workers, each on the node of its own: weights reach it through that node's
    memory.
    """
    note_cache(config.actor_rollout_ref.rollout)
    if config.trainer.nnodes > 1:
        return DirectLLMServerManager
    early = EarlyServers(config, is_one_process=is_one_process)
    if early.fork is not None:
        early.fork.wait()
    return type("EarlyLLMServerManager", (LocalLLMServerManager,), {"early": early})


def seed_sampling(servers: Sequence[Any], rollout: Any) -> None:
    """Seed each rollout engine as at its first start, so that a run samples alike on a new engine and on a used one.

    Args:
        servers: Handles, one a replica, in the order of the replicas.
        rollout: ``actor_rollout_ref.rollout``.
    """
    for replica, server in enumerate(servers):
        seeded = server.collective_rpc.remote("seed_sampling", args=(rollout.seed + replica,))
        if isinstance(seeded, ToCome):
            seeded.result()
        else:
            ray.get(seeded)
