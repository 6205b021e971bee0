"""Makes checks one after the other: each leaves a line, also one that breaks, and the rest go on."""

import json
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from verl_ext.host.finding import Finding, Level, fail, warn
from verl_ext.training.checks.resume import NothingLeftError

SUBJECT_WIDTH = 18
Check = Callable[[], Finding | Iterable[Finding]]


class Line(NamedTuple):
    """A finding and how long its check took."""

    finding: Finding
    seconds: float


@dataclass
class Examination:
    """What has been found so far."""

    say: Callable[[str], None]
    """Given each line when it is known."""
    lines: list[Line] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def make(self, subject: str, check: Check) -> bool:
        """Make a check, and note what it finds; returns whether nothing of it fails.

        A ValueError is a fault that names its way out. Any other exception is one of the check, which then says nothing about
        what it should have looked at.
        """
        began = time.monotonic()
        try:
            found = check()
            findings = [found] if isinstance(found, Finding) else list(found)
        except NothingLeftError as error:
            findings = [warn(subject, str(error), "")]
        except ValueError as error:
            findings = [fail(subject, str(error), "")]
        except Exception as error:  # noqa: BLE001  whatever it is, it is said, and the other checks are made
            findings = [_broken(subject, error)]
        seconds = time.monotonic() - began
        for finding in findings:
            self.note(finding, seconds)
        return all(finding.level is not Level.FAIL for finding in findings)

    def note(self, finding: Finding, seconds: float = 0.0) -> None:
        """Add a finding and say it."""
        self.lines.append(Line(finding, seconds))
        self.say(shown(finding))

    @property
    def seconds(self) -> float:
        """Since the examination began."""
        return time.monotonic() - self._began

    @property
    def level(self) -> Level:
        """The worst of all."""
        levels = {line.finding.level for line in self.lines}
        return next((level for level in (Level.FAIL, Level.WARN) if level in levels), Level.OK)

    @property
    def exit_code(self) -> int:
        """1 where something fails."""
        return int(self.level is Level.FAIL)

    def summary(self) -> str:
        """How many lines of each level."""
        counts = {level: sum(line.finding.level is level for line in self.lines) for level in Level}
        return f"{', '.join(f'{count} {level}' for level, count in counts.items())}, in {self.seconds:.1f} s"

    def as_json(self) -> str:
        """All of it, for a program."""
        findings = [
            {
                "subject": line.finding.subject,
                "level": line.finding.level,
                "text": line.finding.text,
                "remedy": line.finding.remedy,
                "seconds": round(line.seconds, 3),
            }
            for line in self.lines
        ]
        return json.dumps({"level": self.level, "seconds": round(self.seconds, 3), "findings": findings}, indent=2)


def shown(finding: Finding) -> str:
    """A finding for the terminal: a line, those of a longer text and the remedy below it."""
    first, *more = finding.text.splitlines() or [""]
    lines = [f"{finding.level:<5} {finding.subject:<{SUBJECT_WIDTH}} {first}"]
    lines += [f"{'':{SUBJECT_WIDTH + 6}} {line.strip()}" for line in more]
    if finding.remedy:
        lines.append(f"{'':{SUBJECT_WIDTH + 3}} -> {finding.remedy}")
    return "\n".join(lines)


def _broken(subject: str, error: Exception) -> Finding:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return fail(
        subject,
        f"the check itself broke: {type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})",
        "Nothing is known of this subject.",
    )
