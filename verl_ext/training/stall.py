"""A line a minute on the terminal while nothing moves: which phase, what it waits for, and which processes are at work.

It is no error: a long answer or a large model takes its time. What moves is an event of the trainer, another phase, or a
prompt that has come back from the rollout.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psutil

from verl_ext.host.finding import first_of
from verl_ext.training.phase import phase_now
from verl_ext.training.run_processes import run_processes

SECONDS = 60.0
"""Without a movement, and between two lines."""
SECONDS_BETWEEN_LOOKS = 2.0
LOOKS_AT_PROMPTS = 3
AT_WORK = 0.05
"""Share of a core from which a process is at work."""
SAMPLING = "sampling"
"""The event with which a trainer says how to ask for its ``Prompts``."""
STARTS = {
    "_start_ray": "Ray starts",
    "_start_services": "TransferQueue starts",
    "EarlyServers._launch": "vLLM's server starts",
}
"""Functions of threads beside the trainer's, and what happens while they run."""
DEVICES = ("CPU", "GPU", "NPU")
"""Of which Ray gives to actors."""
ALIVE, DEAD = "ALIVE", "DEAD"
"""Of Ray's states of an actor: those in which nothing waits for it."""
CREATED, REMOVED = "CREATED", "REMOVED"
"""The same of a placement group."""
ON_ONE_NODE = "STRICT_PACK"
"""The strategy of verl's placement groups."""


class Prompts(NamedTuple):
    """Of the present step or validation."""

    done: int
    all: int


def prompts_of(replay_buffer: Any) -> Prompts:
    """How many prompts have come back, by verl's buffer, which its own thread reads anew meanwhile: then they seem fewer."""
    return max(_prompts_now(replay_buffer) for _ in range(LOOKS_AT_PROMPTS))


def _prompts_now(buffer: Any) -> Prompts:
    done, to_come = (
        sum(len(keys) for buffered in sets for keys in list(buffered.values()))
        for sets in ((buffer.finished_keys, buffer.failure_keys), (buffer.pending_keys, buffer.running_keys))
    )
    return Prompts(done, done + to_come)


@dataclass
class Movement:
    """When something last moved."""

    seconds: float = SECONDS
    _since: float = 0.0
    _said: int = 0
    _state: object = None
    _most_done: int = 0

    def look(self, now: float, state: object, num_done: int) -> int | None:
        """How many times ``seconds`` nothing has moved, each number once; None in between.

        Args:
            now: The time.
            state: Another one is a movement.
            num_done: More than before in the same state is one, too.
        """
        if state != self._state or num_done > self._most_done:
            self._most_done = num_done
            self._since, self._said, self._state = now, 0, state
            return None
        number = int((now - self._since) // self.seconds)
        if number <= self._said:
            return None
        self._said = number
        return number

    @property
    def since(self) -> float:
        """The time of the last movement."""
        return self._since


@dataclass
class StallWatch:
    """Looks every two seconds whether the run of this process moves, and says each minute that it does not.

    Its ``hear`` has to get the run's events (``verl_ext.training.events``).
    """

    say: Callable[[str], None]
    seconds: float = SECONDS
    between_looks: float = SECONDS_BETWEEN_LOOKS
    _num_events: int = 0
    _prompts: Callable[[], Prompts] | None = None
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "StallWatch":
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        assert self._thread is not None
        self._is_over.set()
        self._thread.join()

    def hear(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Note an event."""
        if kind == SAMPLING:
            self._prompts = fields["prompts"]
        self._num_events += 1

    def _watch(self) -> None:
        movement, work, began = Movement(self.seconds), _Work(), time.monotonic()
        while not self._is_over.wait(self.between_looks):
            phase, now = phase_now(), time.monotonic()
            prompts = self._prompts() if self._prompts is not None else None
            number = movement.look(now, (phase, self._num_events), prompts.done if prompts else 0)
            if movement.since == now:
                work.begin()
            elif number is not None:
                waits = [*starts_now(), *_waiting(phase, prompts), *pending_in_ray()]
                self.say(stalled_line(now - began, now - movement.since, phase, waits, work.shares()))
                work.begin()


def _waiting(phase: str, prompts: Prompts | None) -> Iterator[str]:
    # Without any, they all have been taken out of the buffer: what is left is to grade and to count.
    if prompts is not None and prompts.all and phase in ("rollout", "validation"):
        yield f"{prompts.done} of {prompts.all} prompts have come back"


def stalled_line(elapsed: float, still: float, phase: str, waits: Sequence[str], shares: Mapping[str, float]) -> str:
    """The line for the terminal.

    Args:
        elapsed: Seconds of the run.
        still: Seconds without a movement.
        phase: What the trainer does.
        waits: What is not done yet.
        shares: Of a core, by what the processes are.
    """
    at_work = [
        f"{what} {share:.0%}" for what, share in sorted(shares.items(), key=lambda one: -one[1]) if share >= AT_WORK
    ]
    work = f"at work, in shares of a core: {', '.join(at_work)}" if at_work else "no process of the run is at work"
    return f"[{elapsed:5.1f} s] nothing has moved for {still:.0f} s, phase {phase}: {'; '.join([*waits, work])}"


def starts_now() -> list[str]:
    """What threads beside the trainer's are starting."""
    found: dict[str, None] = {}
    for frame in sys._current_frames().values():
        while frame is not None:
            what = STARTS.get(frame.f_code.co_qualname)
            if what is not None:
                found[what] = None
                break  # the innermost: Ray is one of the services
            frame = frame.f_back  # type: ignore[assignment]
    return list(found)


def pending_in_ray() -> list[str]:
    """What Ray has not placed or started, and what it has left to give; nothing before Ray has started."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return []
    try:
        return _pending(ray)
    except Exception as error:  # noqa: BLE001  Ray may be what has died, and the run will say so
        return [f"Ray does not say what it waits for ({type(error).__name__}: {error})"]


def _pending(ray: Any) -> list[str]:
    from ray._private.state import actors  # ray.util.state asks the dashboard, which a run may not have

    return waits_of(
        actors().values(), ray.util.placement_group_table().values(), ray.cluster_resources(), ray.available_resources()
    )


def waits_of(
    actors: Iterable[Mapping[str, Any]],
    groups: Iterable[Mapping[str, Any]],
    total: Mapping[str, float],
    left: Mapping[str, float],
) -> list[str]:
    """What Ray has not placed or started, and what it has left to give; nothing where all is there.

    Args:
        actors: Of its table of actors.
        groups: Of its table of placement groups.
        total: The cluster's resources.
        left: What of them is free.
    """
    names = [
        f"{one['ActorClassName']} ({one['State'].lower().replace('_', ' ')})"
        for one in actors
        if one["State"] not in (ALIVE, DEAD)
    ]
    asked = [f"{one['name'] or 'one'} ({_asked(one)})" for one in groups if one["state"] not in (CREATED, REMOVED)]
    waits = [f"waiting for Ray's actors {first_of(names)}"] if names else []
    waits += [f"waiting for Ray's placement groups {first_of(asked)}"] if asked else []
    if not waits:
        return []
    free = ", ".join(f"{left.get(name, 0):g} of {total[name]:g} {name}" for name in DEVICES if total.get(name))
    return [*waits, f"Ray has {free or 'no CPU'} free"]


def _asked(group: Mapping[str, Any]) -> str:
    """What a placement group asks for, and how far Ray is."""
    bundles = group["bundles"].values()
    sums = {name: sum(bundle.get(name, 0) for bundle in bundles) for name in DEVICES}
    place = " on one node" if group["strategy"] == ON_ONE_NODE else ""
    return (
        f"{', '.join(f'{number:g} {name}' for name, number in sums.items() if number)}{place}: {group['state'].lower()}"
    )


class _Work:
    """How much of a core each of a run's processes has had since ``begin``."""

    def __init__(self) -> None:
        self._began, self._used = 0.0, dict[psutil.Process, float]()

    def begin(self) -> None:
        """Count from now."""
        self._began = time.monotonic()
        self._used = {process: used for _, process, used in _processor_seconds()}

    def shares(self) -> dict[str, float]:
        """By what the processes are; one that has been started since counts from its start."""
        seconds = time.monotonic() - self._began
        found: dict[str, float] = {}
        for what, process, used in _processor_seconds():
            found[what] = found.get(what, 0.0) + (used - self._used.get(process, 0.0)) / seconds
        return found


def _processor_seconds() -> Iterator[tuple[str, psutil.Process, float]]:
    for what, process in run_processes():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue  # it has ended meanwhile
        yield what, process, times.user + times.system
