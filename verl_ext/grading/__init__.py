"""Response text in, verdict out: the one grader, used by training and by evaluation. Needs neither torch nor verl.

``grade`` is the entrance. It stands above ``verl_ext.tasks``, so it is not imported here.
"""

from verl_ext.grading.verdict import UNGRADED, Reason, Verdict

__all__ = ["UNGRADED", "Reason", "Verdict"]
