"""A run over several nodes ends when one of them is gone, and says which.

What a run waits for on another node fails with words that name none, or does not fail for many minutes: gloo between the ranks,
a queue with samples there, Ray itself where a machine has lost its current and closes no connection. So this asks the nodes.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psutil

from verl_ext.host.own_address import reach
from verl_ext.training.events import STOPPING, TRAINING
from verl_ext.training.launch import end_processes

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_OF_SILENCE = 15.0
"""After which a node is gone."""
SECONDS_TO_END = 30.0
"""Of the run once a node is gone, of which TransferQueue takes up to 20; then its process is ended."""
SIGNAL = signal.SIGUSR2
"""With which the watch wakes the trainer; one that neither Ray nor vLLM takes for something else."""
ALIVE = "ALIVE"


class Node(NamedTuple):
    """Of a Ray cluster."""

    name: str
    address: str
    port: int
    """At which its Ray listens."""

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


class Silence:
    """Since when which nodes have not answered."""

    def __init__(self, seconds: float = SECONDS_OF_SILENCE) -> None:
        self._seconds = seconds
        self._since: dict[Node, float] = {}

    def look(self, now: float, faults: Mapping[Node, str]) -> Node | None:
        """The first node that has not answered for so long; None where there is none.

        Args:
            now: The time in seconds.
            faults: The nodes that do not answer now, and how.
        """
        self._since = {node: self._since.get(node, now) for node in faults}
        return next((node for node, since in self._since.items() if now - since >= self._seconds), None)


class NodeWatch:
    """Looks every two seconds whether the nodes of a run are there, while the main thread, which enters this, trains.

    Its ``hear`` has to get the run's events. For a run on one node there is nothing to watch.

    Args:
        num_nodes: Of the run.
        say: Takes a line for the terminal.
        remedy: Says what to do after a node is gone.
    """

    def __init__(
        self,
        num_nodes: int,
        say: Callable[[str], None],
        remedy: Callable[[], str],
        *,
        silence: float = SECONDS_OF_SILENCE,
        between_looks: float = SECONDS_BETWEEN_LOOKS,
    ) -> None:
        self._num_nodes, self._say, self._remedy = num_nodes, say, remedy
        self._silence, self._between_looks = silence, between_looks
        self._nodes: set[Node] = set()
        self._lost: str | None = None
        self._is_stopping, self._is_over = threading.Event(), threading.Event()
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="node-watch", daemon=True)

    def __enter__(self) -> "NodeWatch":
        if self._num_nodes > 1:
            self._before = signal.signal(SIGNAL, self._interrupt)
            self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._is_over.set()
        if self._num_nodes > 1:
            self._thread.join()
            signal.signal(SIGNAL, self._before)

    def hear(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Note that all of the run is there, or that it ends as it is: a node that is gone would only keep it from doing so."""
        if kind == STOPPING:
            self._is_stopping.set()
        elif kind == "phase" and fields["text"] == TRAINING:
            self._has_begun.set()

    def cause_of(self, failure: BaseException) -> str | None:
        """What to tell of a run that ended with ``failure`` when a node was gone, or is gone now; None where all are there."""
        if self._lost is None and isinstance(failure, Exception):  # no interrupt
            for node, fault in faults_of(self._nodes).items():
                self._lost = self._told(node, fault)
        return self._lost

    def _watch(self) -> None:
        silence, are_known = Silence(self._silence), False
        while not self._is_over.wait(self._between_looks):
            faults = faults_of(self._nodes)
            node = silence.look(time.monotonic(), faults)
            if node is not None:
                self._lost = self._told(node, f"{faults[node]} for {self._silence:.0f} s")
                self._end()
                return
            if not faults and not are_known:
                # Not asked for longer than needed: where Ray's head is gone, the answer takes minutes. As many nodes as the run has
                # need not be its own while it starts: TransferQueue is on any of the cluster, and before the learners.
                has_begun = self._has_begun.is_set()
                self._nodes |= nodes_of_this_run()
                are_known = has_begun and len(self._nodes) >= self._num_nodes

    def _told(self, node: Node, fault: str) -> str:
        return f"node {node} is gone: {fault}, at port {node.port} of its Ray. {self._remedy()}"

    def _end(self) -> None:
        """Wake the trainer, wherever it waits, and do not wait long for its end."""
        if not self._is_stopping.is_set():
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, SIGNAL)
        if not self._is_over.wait(SECONDS_TO_END):
            self._say(f"error: {self._lost}")
            end_processes(psutil.Process().children(recursive=True))
            os._exit(1)

    def _interrupt(self, *_of_the_signal: object) -> None:
        """In the main thread; Ray, which it mostly waits for, hands on no other exception."""
        if not self._is_over.is_set():
            raise KeyboardInterrupt


def faults_of(nodes: set[Node]) -> dict[Node, str]:
    """Those of ``nodes`` that cannot be reached, and why not."""
    faults = {}
    for node in sorted(nodes):
        try:
            reach(node.address, node.port)
        except OSError as error:
            faults[node] = (error.strerror or str(error)).lower()
    return faults


def nodes_of_this_run() -> set[Node]:
    """The nodes on which this process has actors of Ray; none before Ray has started, or where it does not say."""
    ray = sys.modules.get("ray")
    # While another thread imports it, it has not all of its names.
    if ray is None or not hasattr(ray, "is_initialized") or not ray.is_initialized():
        return set()
    from ray._private.state import actors  # ray.util.state asks the dashboard, which a run may not have

    try:
        job = ray.get_runtime_context().get_job_id()
        ours = [one for one in actors().values() if one["JobID"] == job and one["State"] == ALIVE]
        nodes = ray.nodes()
    except Exception:  # noqa: BLE001  Ray may be what has died: the nodes known so far tell
        return set()
    used = {one["Address"]["NodeID"] for one in ours}
    return {
        Node(node["NodeManagerHostname"], node["NodeManagerAddress"], node["NodeManagerPort"])
        for node in nodes
        if node["NodeID"] in used
    }
