"""The processes of a run by what they are, as seen from the one that trains."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

NAMES = {
    "WorkerDict": "learner",
    "EngineCore": "vLLM's engine",
    "vLLMHttpServer": "rollout server",
    "HeldServer": "rollout server",
    "python": "trainer",
}
"""Parts of processes' names, and what they are."""
LOCAL_LEARNER = "verl_ext.cpu.local_workers"
"""Where it has been imported, the learner has no process of its own."""
OTHERS = "others"


def run_processes() -> Iterator[tuple[str, psutil.Process]]:
    """This process and its descendants, each with what it is; one that ends meanwhile is left out."""
    root = psutil.Process()
    own = "trainer with the learner" if LOCAL_LEARNER in sys.modules else "trainer"
    for process in [root, *root.children(recursive=True)]:
        try:
            name = (process.cmdline() or [process.name()])[0]
        except psutil.Error:
            continue
        found = next((what for part, what in NAMES.items() if part in Path(name).name), OTHERS)
        yield (own if process == root else found), process
