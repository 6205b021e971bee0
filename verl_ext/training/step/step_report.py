"""What is reported of a step's samples and of its update, and what of it stops the run."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from verl_ext.grading import UNGRADED, Reason
from verl_ext.training.step.samples import Samples

UPDATE_METRICS: tuple[str, ...] = ("loss", "pg_loss", "vf_loss", "entropy_loss", "kl_loss", "grad_norm")
"""Metrics of an update, of actor or critic, that have to be numbers."""


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
    metrics |= reason_shares([samples.infos[row] for row in sessions])
    metrics["train/response_length"] = float(samples.num_tokens_B.float().mean())
    if samples.log_probs_BT is not None:
        # verl's actor/entropy is a mean over the kept samples, so it cannot be compared between objectives. This one is
        # over all of them: the surprise of the sampled tokens, whose mean is the entropy at temperature 1.
        surprise = -(samples.log_probs_BT * samples.mask_BT).sum() / samples.num_tokens_B.sum().clamp(min=1)
        metrics["train/entropy"] = float(surprise)
    return metrics


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


def check_graded(samples: Samples, *, step: int, limit: float | None) -> None:
    """No more than a share ``limit`` of the sessions could not be graded; None is no limit.

    Raises:
        RuntimeError: More could not.
    """
    infos = [samples.infos[row] for row in samples.sessions]
    ratio = 1.0 - float(np.mean([is_graded(info) for info in infos]))
    if limit is None or ratio <= limit:
        return
    shares = reason_shares(infos)
    faults = [f"{shares[f'train/reason/{why}']:.1%} {why}" for why in UNGRADED if f"train/reason/{why}" in shares]
    raise RuntimeError(
        f"The grader failed on {ratio:.1%} of the samples of step {step} ({', '.join(faults)}), "
        f"more than trainer.max_grader_error_ratio={limit}. A sample that could not be graded is neither right nor "
        "wrong; training on it would corrupt the gradient. The log file has the grader's errors; "
        "VERL_EXT_GRADER_SECONDS is the time that a comparison may take."
    )


def check_finite(metrics: Mapping[str, float], model: str, *, step: int, may_overflow: bool) -> None:
    """Loss and gradient of the update are numbers: verl skips such an update with a print, and every later one.

    Args:
        metrics: Of the step.
        model: ``actor`` or ``critic``.
        step: Its number.
        may_overflow: The gradient norm may be infinite: float16 finds its loss scale by overflowing.

    Raises:
        RuntimeError: One is not.
    """
    names = [f"{model}/{name}" for name in UPDATE_METRICS if not (may_overflow and name == "grad_norm")]
    broken = {name: metrics[name] for name in names if not math.isfinite(metrics.get(name, 0.0))}
    if broken:
        values = ", ".join(f"{name}={value}" for name, value in broken.items())
        section = "critic" if model == "critic" else "actor_rollout_ref.actor"
        raise RuntimeError(
            f"Step {step} has {values}: such an update cannot be made, nor any after "
            f"it. Resume from the last checkpoint with a smaller learning rate ({section}.optim.lr) or a "
            f"tighter {section}.grad_clip; other causes are rewards or old weights that are not numbers."
        )


def clip_fractions(metrics: Mapping[str, float]) -> dict[str, float]:
    """``train/clip_fraction/<sign>`` from the token shares of ``verl_ext.training.losses``; 0 for an absent sign."""
    fractions = {}
    for sign in ("positive", "negative"):
        if f"actor/tokens_{sign}" in metrics:
            tokens = metrics[f"actor/tokens_{sign}"]
            fractions[f"train/clip_fraction/{sign}"] = metrics[f"actor/clipped_{sign}"] / tokens if tokens else 0.0
    return fractions
