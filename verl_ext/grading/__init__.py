"""Response text in, verdict out: the one grader, used by training and by evaluation. Needs neither torch nor verl."""

import importlib
from typing import TYPE_CHECKING, Any

from verl_ext.grading.verdict import UNGRADED, Reason, Verdict

if TYPE_CHECKING:
    from verl_ext.grading.entrance import check_reference, grade, grade_async

__all__ = ["UNGRADED", "Reason", "Verdict", "check_reference", "grade", "grade_async"]


def __getattr__(name: str) -> Any:
    """What the entrance offers, imported when it is asked for: it stands above ``verl_ext.tasks``, which needs this package."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("verl_ext.grading.entrance"), name)
