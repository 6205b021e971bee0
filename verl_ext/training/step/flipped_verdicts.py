"""The verdicts of a step as a grader with known error rates would give them, ``algorithm.noisy_grader``.

Whether a verdict is flipped is drawn from what the sample is, by its place: the run's seed, the step, the prompt's place in
the step's data and which of the prompt's samples it is. So a run repeats, a resumed one goes on as if it had not stopped, and
a verdict that is flipped at one rate is flipped at every larger one.

Shapes: B = outputs of the step, T = response tokens, right-padded.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from verl_ext.objectives.noisy_grader import ErrorRates
from verl_ext.objectives.outcome import outcome_scores
from verl_ext.training.step.samples import Samples
from verl_ext.training.step.step_report import is_graded

Place = tuple[int, int, int]
"""Of an output in its step: prompt, sample of the prompt, output of the sample."""


def flipped_sessions(
    samples: Samples, rates: ErrorRates, places: Sequence[Place], *, seed: int, step: int
) -> list[int]:
    """The rows of sessions whose verdict is flipped; never one that could not be graded.

    Args:
        samples: All of the step.
        rates: How often correct and wrong ones are.
        places: Of the samples.
        seed: Of the run.
        step: Of the trainer.
    """
    rows = []
    for row in samples.sessions:
        rate = rates.false_negative if samples.is_correct[row] else rates.false_positive
        prompt, sample, _ = places[row]
        if is_graded(samples.infos[row]) and _uniform(seed, step, prompt, sample) < rate:
            rows.append(row)
    return rows


def with_flipped(samples: Samples, sessions: Sequence[int]) -> tuple[Samples, list[int]]:
    """The samples with the verdicts of these sessions flipped, and the rows that this changes: all outputs of each.

    Raises:
        ValueError: A score to flip is neither 0 nor 1.
    """
    chosen = set(sessions)
    rows = [row for row, last in enumerate(samples.last_of_session) if last in chosen]
    scores_BT = samples.scores_BT.clone()
    scores_B = outcome_scores(scores_BT)
    for row in rows:
        score = float(scores_B[row])
        if score not in (0.0, 1.0):
            raise ValueError(
                f"algorithm.noisy_grader flips rewards of 0 and 1, got {score:g} from prompt {samples.prompts[row]}. Let the "
                "reward function return 0 or 1, or set both rates to 0."
            )
        tokens = samples.mask_BT[row].nonzero()
        scores_BT[row] = 0.0
        scores_BT[row, int(tokens[-1]) if len(tokens) else 0] = 1.0 - score  # on the last token, where verl has it
    return replace(samples, scores_BT=scores_BT), rows


def describe_flipped(true: Samples, noisy: Samples, sessions: Sequence[int]) -> dict[str, float]:
    """What the trainer was told beside what is true, which ``train/correct_ratio`` has."""
    of_session = true.sessions
    false_negatives = sum(true.is_correct[row] for row in sessions)
    return {
        "train/noisy_correct_ratio": sum(noisy.is_correct[row] for row in of_session) / len(of_session),
        "train/flipped_samples": len(sessions),
        "train/false_negatives": false_negatives,
        "train/false_positives": len(sessions) - false_negatives,
    }


def _uniform(seed: int, step: int, prompt: int, sample: int) -> float:
    """A number in [0, 1) that belongs to a sample."""
    digest = hashlib.sha256(f"verdict {seed} {step} {prompt} {sample}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
