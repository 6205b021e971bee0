"""Two runs join one Ray, and the second looks into its TransferQueue for a sample of the first; prints what it finds.

Each run is a process of its own, as a job of Ray's is.
"""

import os
import subprocess
import sys
from uuid import uuid4

import ray
import transfer_queue as tq
import verl  # noqa: F401  loads the plugin, as in all of the launcher's processes
from omegaconf import OmegaConf

from verl_ext.patches import STACK_VARIABLE

SIZES = {"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}


def join() -> None:
    # As the launcher does: what a run of its own has to know is in the environment of its actors too.
    stack = {name: os.environ[name] for name in (STACK_VARIABLE,) if name in os.environ}
    ray.init(address=os.environ["ADDRESS"], runtime_env={"env_vars": stack}, log_to_driver=False)
    tq.init(OmegaConf.create(SIZES))


def put_and_wait() -> None:
    join()
    tq.kv_put(key="sample", partition_id="train", tag={"of": "the first"})
    print("put", flush=True)
    sys.stdin.readline()  # a controller ends with the job that made it
    tq.close()


def look() -> None:
    join()
    print("found" if "sample" in tq.kv_list(partition_id="train").get("train", {}) else "nothing", flush=True)


def second_finds(*, with_launcher: bool) -> str:
    def started(role: str) -> subprocess.Popen[str]:
        own = {STACK_VARIABLE: uuid4().hex} if with_launcher else {}
        return subprocess.Popen(
            [sys.executable, __file__, role],
            env=os.environ | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    first = started("put_and_wait")
    assert first.stdout is not None
    while "put" not in first.stdout.readline().split():
        assert first.poll() is None
    answer, _ = started("look").communicate()
    first.communicate("\n")
    return answer.split()[-1]


def main() -> None:
    os.environ.pop(STACK_VARIABLE, None)
    os.environ["ADDRESS"] = ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False).address_info["address"]
    says = {"found": "the second reads what the first put", "nothing": "the second finds nothing of the first"}
    print(f"without the launcher: {says[second_finds(with_launcher=False)]}", flush=True)
    print(f"with it: {says[second_finds(with_launcher=True)]}", flush=True)


if __name__ == "__main__":
    {"put_and_wait": put_and_wait, "look": look}.get("".join(sys.argv[1:]), main)()
