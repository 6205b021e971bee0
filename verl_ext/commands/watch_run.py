"""What ``python -m verl_ext.report watch`` does: a page about a run that is made again whenever the run has logged more."""

import time
from collections.abc import Callable
from pathlib import Path

from verl_ext.commands.report_options import WatchOptions
from verl_ext.host.command_line import shown
from verl_ext.host.files import write_whole
from verl_ext.metrics.validations import NAME as VALIDATIONS
from verl_ext.plots.training_curves import METRICS_NAME
from verl_ext.report.html_page import render_html
from verl_ext.report.page import ReportInputs, compose_report
from verl_ext.report.run_logs import CHECKPOINTS, RunLog, read_run_log
from verl_ext.training.ending import ENDED
from verl_ext.training.kept_checkpoints import BEST
from verl_ext.training.run_record import NAME as RECORD

_LOOKED_AT = (METRICS_NAME, VALIDATIONS, RECORD, f"{CHECKPOINTS}/{BEST}", f"{CHECKPOINTS}/{ENDED}")


def watch(
    options: WatchOptions,
    command: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    told: Callable[[str], None] = print,
) -> None:
    """Write the page now and whenever the run's files change, until the run is over or Ctrl-C is pressed.

    Args:
        options: Which run and where.
        command: As it was typed, for the page.
        sleep: Waits so many seconds.
        told: Gets a line for each page.
    """
    seen = None
    log = read_run_log(options.run, _name(options))
    try:
        while True:
            state = _state(options.run)
            if state != seen:
                seen, log = state, read_run_log(options.run, _name(options))
                _write(options, log, command, is_live=not log.is_over)
                told(f"{_place(log)}: {shown(options.page)}")
            if log.is_over:
                return
            sleep(options.every)
    except KeyboardInterrupt:
        # An open page stops to load itself again, and the next call goes on.
        _write(options, read_run_log(options.run, _name(options)), command, is_live=False)
        told(f"stopped at {_place(log)}: {shown(options.page)}")


def _name(options: WatchOptions) -> str:
    return options.run.resolve().name


def _place(log: RunLog) -> str:
    return f"step {log.last_step:,}" + (f" of {log.total_steps:,}" if log.total_steps else "")


def _state(folder: Path) -> list[tuple[int, int] | None]:
    """What changes when a file does."""
    return [
        (status.st_size, status.st_mtime_ns) if (path := folder / name).is_file() and (status := path.stat()) else None
        for name in _LOOKED_AT
    ]


def _write(options: WatchOptions, log: RunLog, command: str, *, is_live: bool) -> None:
    page, drawings = compose_report(ReportInputs(logs=[log]), title=f"{log.name}, {_place(log)}", commands=[command])
    write_whole(options.page, render_html(page, drawings, reload_seconds=options.every if is_live else None))
