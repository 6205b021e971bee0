"""Why a run ended whose memory did not suffice: in which phase, what its processes had, and what to set.

A process was killed, or was refused what it asked for, as under ``ulimit -v``.

Ray says of a dead worker that it died, with a list of what may have been the cause; its own memory monitor says more, and
neither knows what this run's options have to do with it.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from omegaconf import OmegaConf

from verl_ext.host.free_memory import GIB, read_memory
from verl_ext.training import memory
from verl_ext.training.phase import phase_now, phase_of
from verl_ext.training.run_processes import run_processes

VMSTAT = Path("/proc/vmstat")
SECONDS_BETWEEN_LOOKS = 2.0
OF_RAYS_MONITOR = ("running low on memory", "memory pressure (OOM)")
REFUSED = ("can't allocate memory", "cannot allocate memory")
"""In small letters: of torch's allocator, and of the system (ENOMEM)."""


def kills_of_the_kernel(vmstat: Path = VMSTAT) -> int:
    """How many processes of this machine its kernel has killed for memory since it started; 0 where it does not say."""
    try:
        lines = vmstat.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


class Seen(NamedTuple):
    """What a run was doing when it was last looked at."""

    phase: str
    memory: dict[str, int]
    """Bytes by what the processes are, when there were most."""


class MemoryWatch:
    """Looks every two seconds at the memory of this process and its descendants, so that it is known of those that are killed.

    ``report`` is told each time, in a thread of the watch: for the process that survives if this one is killed.
    """

    def __init__(self, vmstat: Path = VMSTAT, report: Callable[[Seen], None] | None = None) -> None:
        self._vmstat, self._report = vmstat, report
        self.last: dict[str, int] = {}
        """Bytes by what the processes are, when there were most."""
        self._kills = kills_of_the_kernel(vmstat)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def num_kills(self) -> int:
        """Of the kernel's, since this watch was made."""
        return kills_of_the_kernel(self._vmstat) - self._kills

    def _watch(self) -> None:
        while True:
            now = _memory_by_name()
            if sum(now.values()) > sum(self.last.values()):
                self.last = now
            if self._report is not None:
                self._report(Seen(phase_now(), self.last))
            if self._is_over.wait(SECONDS_BETWEEN_LOOKS):
                return


def _memory_by_name() -> dict[str, int]:
    """Bytes that are in memory, those that processes share left out."""
    found: dict[str, int] = {}
    for what, process in run_processes():
        try:
            used = process.memory_info()
        except psutil.Error:
            continue  # it has ended meanwhile
        found[what] = found.get(what, 0) + int(used.rss - used.shared)
    return found


def explanation(failure: BaseException, config: Any, watch: MemoryWatch) -> str | None:
    """What to tell of a run that ended with ``failure``; None where none was killed for memory or refused it."""
    errors = list(errors_in(failure))
    seen = Seen(phase_of(failure.__traceback__), watch.last)
    if "ray" in sys.modules and any(_is_of_memory(error, watch.num_kills > 0) for error in errors):
        return killed_for_memory("a worker", seen, config)
    refusals = [_told_refusal(error) for error in errors if _is_refusal(error)]
    if not refusals:
        return None
    # Ray's error has the whole traceback of its cause
    return _told("memory was refused", f" ({min(refusals, key=len)})", seen, config)


def killed_for_memory(what: str, seen: Seen, config: Any) -> str:
    """What to tell of a run of which ``what`` was killed for memory."""
    return _told(f"{what} was killed for memory", "", seen, config)


def _told(what: str, why: str, seen: Seen, config: Any) -> str:
    had = sorted(seen.memory.items(), key=lambda one: -one[1])
    parts = ", ".join(f"{name} {number / GIB:.1f}" for name, number in had if number >= GIB // 20)
    found = read_memory()
    total = sum(seen.memory.values())
    return (
        f"{what} during the {seen.phase}{why}. At most its processes had {total / GIB:.1f} GiB ({parts}) "
        f"of {found.total / GIB:.1f} GiB ({found.total_bound}). {_advice(seen.phase, config)}"
    )


def errors_in(failure: BaseException) -> Iterator[BaseException]:
    """``failure`` and what it came from, also in another process."""
    seen: list[BaseException] = []
    errors: list[Any] = [failure]
    while errors:
        error = errors.pop()
        if isinstance(error, BaseException) and error not in seen:
            seen.append(error)
            yield error
            errors += [error.__cause__, error.__context__, getattr(error, "cause", None)]


def _is_of_memory(error: BaseException, has_kernel_killed: bool) -> bool:
    """Whether Ray's monitor says so, or something has died and the kernel has killed for memory."""
    from ray import exceptions

    if isinstance(error, exceptions.OutOfMemoryError):
        return True
    has_died = isinstance(error, exceptions.RayActorError | exceptions.WorkerCrashedError | exceptions.NodeDiedError)
    has_died |= "EngineDead" in f"{type(error).__name__} {error}"
    return has_died and (has_kernel_killed or any(words in str(error) for words in OF_RAYS_MONITOR))


def _is_refusal(error: BaseException) -> bool:
    """Whether memory of the host was asked for that there was not."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in REFUSED)


def _told_refusal(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _advice(phase: str, config: Any) -> str:
    if config.trainer.device != "cpu":
        return "This is the host's memory: offload less of the models to it, or use nodes that have more."
    budget = OmegaConf.select(config, memory.BUDGET)
    cache = memory.CACHE if OmegaConf.select(config, memory.CACHE_IN_GIB) is None else memory.CACHE_IN_GIB
    longest = config.data.max_prompt_length + config.data.max_response_length
    lower_cache = f"lower {cache} (now {OmegaConf.select(config, cache)})"
    smaller = f"train an adapter ({memory.MODEL}.lora_rank=16) or take a smaller model"
    if phase in ("start", "loading", "weight push", "saving of a checkpoint"):
        return f"To need less, {smaller}; {lower_cache}."
    if phase in ("rollout", "validation"):
        return f"To need less, {lower_cache}; or {smaller}."
    option = memory.CRITIC_BUDGET if phase.startswith("critic") else memory.BUDGET
    if budget is not None and budget // 2 >= longest:
        return f"To need less, set {option}={budget // 2} (now {budget}); {lower_cache}; or {smaller}."
    return f"To need less, shorten data.max_prompt_length and data.max_response_length; {lower_cache}; or {smaller}."
