"""What a step's samples were like before the sign filter: plain numbers from plain sequences."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from verl_ext.grading import UNGRADED, Reason


def is_graded(info: Mapping[str, float]) -> bool:
    """Whether the reward function came to a verdict; one that reports no reasons always does."""
    return not any(info.get(reason, 0.0) for reason in UNGRADED)


def group_shares(uids: Sequence[str], is_correct: Sequence[bool]) -> dict[str, float]:
    """Shares in [0, 1] of correct samples, and of prompts whose samples are all correct or all wrong."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for uid, correct in zip(uids, is_correct, strict=True):
        groups[uid].append(bool(correct))
    return {
        "train/correct_ratio": float(np.mean(is_correct)),
        "train/fully_solved_ratio": float(np.mean([all(group) for group in groups.values()])),
        "train/fully_unsolved_ratio": float(np.mean([not any(group) for group in groups.values()])),
    }


def reason_shares(infos: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Share of samples per verdict reason, for the reasons that the reward function reports."""
    counts: Counter[str] = Counter()
    for info in infos:
        counts.update({reason: float(info[reason]) for reason in Reason if reason in info})
    return {f"train/reason/{reason}": count / len(infos) for reason, count in counts.items()}


def clip_fractions(metrics: Mapping[str, float]) -> dict[str, float]:
    """``train/clip_fraction/<sign>`` from the token shares of ``verl_ext.training.losses``; 0 for an absent sign."""
    fractions = {}
    for sign in ("positive", "negative"):
        if f"actor/tokens_{sign}" in metrics:
            tokens = metrics[f"actor/tokens_{sign}"]
            fractions[f"train/clip_fraction/{sign}"] = metrics[f"actor/clipped_{sign}"] / tokens if tokens else 0.0
    return fractions
