"""Two stacks of one machine push weights at once by verl's own ends of a push; prints what each has received.

A process of its own, as the platform is chosen when verl is imported.
"""

import asyncio
import os
from threading import Thread
from types import SimpleNamespace
from uuid import uuid4

import torch
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver, BucketedWeightSender
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from verl.workers.rollout.vllm_rollout.vllm_rollout import ServerAdapter

from verl_ext.patches import STACK_VARIABLE, bind_own_socket

SECONDS = 60.0
JOB = uuid4().hex[:8]


class Adapter:
    """Its name for the socket is ``ServerAdapter``'s, which takes a Ray to be made."""

    def __init__(self) -> None:
        self.zmq_handle = f"ipc:///tmp/rl-colocate-zmq-{JOB}-replica-0-rank-0.sock"


def handles() -> tuple[str, str]:
    """Of the side that sends and of the one that receives."""
    worker = SimpleNamespace(local_rank=0, model_runner=SimpleNamespace(vllm_config=None))
    return Adapter().zmq_handle, vLLMColocateWorkerExtension._get_zmq_handle(worker)


def main() -> None:
    assert ServerAdapter.__init__.__module__ == bind_own_socket.__module__
    bind_own_socket(Adapter)
    os.environ["VERL_RAY_JOB_ID"] = JOB
    os.environ.pop(STACK_VARIABLE, None)
    bound, connected = handles()
    of_verl = "the same" if bound == connected else "different"

    received: dict[float, list[float]] = {}
    threads = []
    for weight in (1.0, 2.0):
        os.environ[STACK_VARIABLE] = uuid4().hex
        bound, connected = handles()
        sender = BucketedWeightSender(bound, bucket_size_mb=1, use_shm=True)
        receiver = BucketedWeightReceiver(connected, torch.device("cpu"), use_shm=True)
        weights = [("weight", torch.full((2,), weight))]
        threads.append(Thread(target=lambda s=sender, w=weights: asyncio.run(s.async_send_weights(w)), daemon=True))
        threads.append(Thread(target=receive, args=(receiver, weight, received), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    print(f"without the launcher {of_verl}, with it {dict(sorted(received.items()))}", flush=True)
    os._exit(0)  # a thread that still waits for its other side has been told of above


def receive(receiver: BucketedWeightReceiver, stack: float, received: dict[float, list[float]]) -> None:
    def keep(weights: list[tuple[str, torch.Tensor]], _is_last: bool) -> None:
        received[stack] = weights[0][1].tolist()

    receiver.receive_weights(keep)


if __name__ == "__main__":
    main()
