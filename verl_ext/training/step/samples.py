"""The graded outputs of a step, as report and filter look at them.

Shapes: B = outputs of the step, T = response tokens, right-padded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from verl_ext.objectives.groups import last_of_session
from verl_ext.objectives.outcome import CORRECT_ABOVE, outcome_scores


@dataclass(frozen=True)
class Samples:
    keys: Sequence[str]
    """verl's names of the outputs, see ``verl_ext.training.step.arrivals``."""
    prompts: Sequence[str]
    """Prompt id of each."""
    infos: Sequence[Mapping[str, float]]
    """What the reward function returned beside the score."""
    scores_BT: torch.Tensor
    mask_BT: torch.Tensor
    log_probs_BT: torch.Tensor | None
    """The rollout's; None where it does not calculate them."""
    ages: Sequence[int]
    """See ``verl_ext.training.step.staleness``."""

    @cached_property
    def num_tokens_B(self) -> torch.Tensor:
        return self.mask_BT.sum(dim=-1)

    @cached_property
    def is_correct(self) -> list[bool]:
        flags: list[bool] = (outcome_scores(self.scores_BT) > CORRECT_ABOVE).tolist()
        return flags

    @cached_property
    def last_of_session(self) -> list[int]:
        """For each output the row that stands for its session, where an agent loop gives several outputs in one."""
        return last_of_session(self.keys)

    @property
    def sessions(self) -> list[int]:
        """The rows that stand for one session each."""
        return sorted(set(self.last_of_session))
