"""What is reported of a step's samples and of its update."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from verl_ext.grading import UNGRADED, Reason
from verl_ext.objectives.outcome import outcome_scores
from verl_ext.training.step.samples import Samples


class Counts(NamedTuple):
    """How many samples of a step are kept, and how many there are."""

    kept: int
    all: int

    @property
    def share(self) -> float:
        return self.kept / max(self.all, 1)


def is_graded(info: Mapping[str, float]) -> bool:
    """Whether the reward function came to a verdict; one that reports no reasons always does."""
    return not any(info.get(reason, 0.0) for reason in UNGRADED)


def describe(samples: Samples) -> dict[str, float]:
    """All samples of the step, whatever the filter keeps.

    Shares are of sessions: one of an agent loop counts once, however many outputs it has.
    """
    sessions = samples.sessions
    metrics = group_shares([samples.prompts[row] for row in sessions], [samples.is_correct[row] for row in sessions])
    metrics |= reason_shares([samples.infos[row] for row in sessions]) | reward_range(samples)
    metrics["train/response_length"] = float(samples.num_tokens_B.float().mean())
    if samples.log_probs_BT is not None:
        # verl's actor/entropy is a mean over the kept samples, so it cannot be compared between objectives. This one is
        # over all of them: the surprise of the sampled tokens, whose mean is the entropy at temperature 1.
        surprise = -(samples.log_probs_BT * samples.mask_BT).sum() / samples.num_tokens_B.sum().clamp(min=1)
        metrics["train/entropy"] = float(surprise)
    return metrics


def reward_range(samples: Samples) -> dict[str, float]:
    """The largest reward less the smallest, of the sessions that could be graded; nothing where none could."""
    scores = outcome_scores(samples.scores_BT)[[row for row in samples.sessions if is_graded(samples.infos[row])]]
    return {"train/reward_range": float(scores.max() - scores.min())} if len(scores) else {}


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


def kept_shares(samples: Counts, tokens: Counts) -> dict[str, float]:
    """How much of the step's samples, and of their response tokens, reaches the update."""
    return {
        "train/samples": samples.all,
        "train/kept_samples": samples.kept,
        "train/kept_ratio": samples.share,
        "train/kept_token_ratio": tokens.share,
    }


def clip_fractions(metrics: Mapping[str, float]) -> dict[str, float]:
    """``train/clip_fraction/<sign>`` from the token shares of ``verl_ext.training.losses``; 0 for an absent sign."""
    fractions = {}
    for sign in ("positive", "negative"):
        if f"actor/tokens_{sign}" in metrics:
            tokens = metrics[f"actor/tokens_{sign}"]
            fractions[f"train/clip_fraction/{sign}"] = metrics[f"actor/clipped_{sign}"] / tokens if tokens else 0.0
    return fractions
