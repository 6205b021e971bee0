"""A seed for every sample of a run, made from what the sample is."""

import hashlib

LARGEST_SEED = 2**31
"""Exclusive; verl and vLLM take signed numbers of 32 bits everywhere."""


def seed_of_sample(run_seed: int, step: int, prompt: int, sample: int, *, is_validation: bool) -> int:
    """A seed in [0, 2^31) that another run with ``run_seed`` gives the same sample.

    Args:
        run_seed: ``actor_rollout_ref.rollout.seed``.
        step: Of the trainer.
        prompt: Its place in the step's data.
        sample: Which of the prompt's samples.
        is_validation: Validation has seeds of its own.
    """
    text = f"{run_seed} {step} {prompt} {sample} {is_validation}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") % LARGEST_SEED
