"""What the trainer is doing: by the innermost function of its stack that has a name here."""

import sys
import threading
from types import TracebackType

PHASES = {
    "_update_actor": "update",
    "_update_critic": "critic's update",
    "_compute_old_log_prob": "old log-probs",
    "_compute_ref_log_prob": "reference's log-probs",
    "_compute_values": "critic's values",
    "update_weights": "weight push",
    "_update_weights": "weight push",
    "_save_checkpoint": "saving of a checkpoint",
    "_validate": "validation",
    "init": "loading",
    "_setup": "loading",
    "prepare_step": "rollout",
    "_step_once": "rollout",
    "fit": "rollout",
}
"""Functions of the trainer, and what a run does in them; the innermost one counts."""
START = "start"
"""What a run does before any of them."""


def phase_of(traceback: TracebackType | None) -> str:
    """What the trainer was doing where an exception was raised."""
    phase = START
    while traceback is not None:
        phase = PHASES.get(traceback.tb_frame.f_code.co_name, phase)
        traceback = traceback.tb_next
    return phase


def phase_now() -> str:
    """What the trainer, which has the main thread, is doing."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_name in PHASES:
            return PHASES[frame.f_code.co_name]
        frame = frame.f_back
    return START
