"""The guards of a run: asked at their moments, and what their options say is done about what they find."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.host.files import read_object, write_whole
from verl_ext.training.events import emit
from verl_ext.training.guards import rollout_gap
from verl_ext.training.guards.guard import OPTIONS, Guard, Moment, Trip
from verl_ext.training.guards.guard_table import ADVICE, END, GUARDS, ROLL_BACK, STOP, GuardRow

STATE, EVENTS = "guardrails.json", "guardrails.jsonl"
QUIET_STEPS = 10
"""After so many steps without a finding a guard's trouble is over, and the next one is told again."""
WITHOUT_OPTIONS = {"not_finite": {"action": STOP}}
"""Of a configuration that is verl's own."""


class Alarm(NamedTuple):
    """What a guard has found, and what its options want done about it."""

    guardrail: str
    action: str
    step: int
    trip: Trip

    def __str__(self) -> str:
        return f"step {self.step}, guardrail {self.guardrail}: {self.trip.said}"


@dataclass
class Watched:
    """A guard at work."""

    row: GuardRow
    action: str
    guard: Guard
    num_steps: int = 0
    """With a finding, over the whole run."""
    since: int = 0
    """When the present, or last, trouble began."""
    last: int | None = None
    """The last step of it; None before the first."""

    def is_troubled(self, step: int) -> bool:
        """Whether there was a finding a short while ago."""
        return self.last is not None and step - self.last <= QUIET_STEPS

    def note(self, step: int, since: int) -> bool:
        """Count a finding; whether it begins a new trouble."""
        is_new = not self.is_troubled(step)
        if is_new:
            self.since = since
        self.num_steps += self.last != step
        self.last = step
        return is_new

    def state(self) -> dict[str, Any]:
        return {"num_steps": self.num_steps, "since": self.since, "last": self.last, "guard": self.guard.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.num_steps, self.since, self.last = state["num_steps"], state["since"], state["last"]
        self.guard.restore(state["guard"])


class Guardrails:
    """All guards of a run that are not switched off.

    Args:
        section: ``trainer.guardrails``, plain.
        config: The whole configuration.
        events: A file that gets a line for every trouble and for every time that the run goes back; None for no file.
    """

    def __init__(self, section: Mapping[str, Any], config: Any, events: Path | None = None) -> None:
        self._watched = {}
        for name, row in GUARDS.items():
            options = dict(section.get(name) or {})
            action = options.pop("action", None)
            if action is not None:
                self._watched[name] = Watched(row, action, row.make(**options, **row.from_config(config)))
        self._events = events
        self.learning_rate_factor = 1.0
        """What the configured learning rate has been multiplied by."""
        self.num_rollbacks = 0
        self.end_reason: str | None = None
        """Why the run should end well after this step, of a guard whose action is that."""

    @classmethod
    def of(cls, config: Any) -> "Guardrails":
        """Those of a run's configuration; where it is verl's own, only updates that are no numbers are looked for."""
        section = config.trainer.get("guardrails")
        folder = config.trainer.get("output_dir")
        return cls(
            WITHOUT_OPTIONS if section is None else section, config, None if folder is None else Path(folder) / EVENTS
        )

    def look(self, moment: Moment, step: int, metrics: Mapping[str, float]) -> Alarm | None:
        """Ask the guards of this moment; what they find is told and counted.

        Returns:
            What the run has to stop for, or to go back for; None where it may go on.
        """
        found = []
        for name, watched in self._watched.items():
            trip = watched.guard.see(step, metrics) if moment in watched.row.moments else None
            if trip is not None:
                found.append(Alarm(name, watched.action, step, trip))
                if watched.note(step, trip.since):
                    self._tell(found[-1])
        for action in (STOP, ROLL_BACK):
            for finding in found:
                if finding.action == action:
                    return finding
        for finding in found:
            if finding.action == END:
                self.end_reason = f"{finding.guardrail}: {finding.trip.said}"
        return None

    def trouble_since(self, finding: Alarm) -> int:
        """The first step of all troubles that go on at a finding: a checkpoint from before is good."""
        open_now = [
            watched.since
            for name, watched in self._watched.items()
            if name not in ADVICE and watched.is_troubled(finding.step)
        ]
        return min([finding.trip.since, *open_now])

    @property
    def largest_gap(self) -> float | None:
        """The gap between rollout and actor beyond which no update may be made; None for any."""
        watched = self._watched.get(rollout_gap.NAME)
        if watched is None or watched.action not in (STOP, ROLL_BACK):
            return None
        assert isinstance(watched.guard, rollout_gap.RolloutGap)
        return watched.guard.bound

    @property
    def counters(self) -> dict[str, int]:
        """Metrics of a step: how many steps had a finding, of any guard and of those that had one; how often the run went back."""
        counts = {name: watched.num_steps for name, watched in self._watched.items() if watched.num_steps}
        counters = {"guardrails/findings": sum(counts.values())}
        counters |= {f"guardrails/{name}": count for name, count in counts.items()}
        return counters | ({"guardrails/rollbacks": self.num_rollbacks} if self.num_rollbacks else {})

    def _tell(self, finding: Alarm) -> None:
        text = f"{finding} ({OPTIONS}.{finding.guardrail}.action={finding.action})"
        print(text, flush=True)  # the log file
        emit("guardrail", text=text)
        self.write_event(
            step=finding.step,
            guardrail=finding.guardrail,
            action=finding.action,
            said=finding.trip.said,
            numbers={
                name: value if math.isfinite(value) else str(value) for name, value in finding.trip.numbers.items()
            },
        )

    def write_event(self, **fields: Any) -> None:
        """Append a line to the file of events."""
        if self._events is not None:
            self._events.parent.mkdir(parents=True, exist_ok=True)
            line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z")} | fields)
            with self._events.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def save(self, folder: Path) -> None:
        """Keep in a checkpoint what a resumed run has to know."""
        state = {
            "learning_rate_factor": self.learning_rate_factor,
            "guards": {name: watched.state() for name, watched in self._watched.items()},
        }
        write_whole(folder / STATE, json.dumps(state) + "\n")

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint; one without the file leaves everything as it is, as does a guard that it does not know."""
        if not (folder / STATE).is_file():
            return
        state = read_object(folder / STATE)
        self.learning_rate_factor = float(state["learning_rate_factor"])
        for name, watched in self._watched.items():
            if name in state["guards"]:
                watched.restore(state["guards"][name])
