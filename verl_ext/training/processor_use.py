"""Precision and threads of a run on a CPU: what the model's size and the processor make fastest, unless the user says.

``precision=auto`` (the default of ``device=cpu``) is bfloat16 for models from ``BFLOAT16_FROM`` parameters on a processor with
instructions for it. Weights, gradients' sums and the optimizer's moments stay float32; what is multiplied, and vLLM, is
bfloat16. ``OMP_NUM_THREADS=auto`` is every core for models from ``ALL_CORES_FROM`` parameters: learner and rollout engine take
turns, and ``OMP_WAIT_POLICY=PASSIVE`` lets the one that waits sleep. ``python benchmarks/threads_and_precision.py`` measures both.
"""

import os
from typing import Any

from omegaconf import OmegaConf

from verl_ext.cpu.precision import BFLOAT16_FROM, has_fast_bfloat16
from verl_ext.host.cores import usable_cores
from verl_ext.training.checkpoints import checkpoints_folder, saved_steps
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.model_size import num_parameters
from verl_ext.training.precision_words import AUTO, PRECISIONS, precision_of

ALL_CORES_FROM = 2_000_000
"""Parameters. A second thread hardly helps the learner of half a million and clearly that of two; in the rollout of so small a
model threads wait for each other at every layer."""
VARIABLES = "ray_kwargs.ray_init.runtime_env.env_vars"
THREADS = "OMP_NUM_THREADS"


def choose(config: Any) -> None:
    """Replace ``auto`` in ``config`` by a precision and a number of threads. A caller's OMP_NUM_THREADS stays."""
    if config.trainer.device != "cpu":
        return
    size = num_parameters(config.actor_rollout_ref.model.path)
    if config.get("precision") == AUTO:
        fastest = "bfloat16" if _is_from(size, BFLOAT16_FROM) and has_fast_bfloat16() else "float32"
        config.precision = _of_checkpoints(config) or fastest
    if OmegaConf.select(config, f"{VARIABLES}.{THREADS}") == AUTO:
        threads = os.environ.get(THREADS) or str(_threads(config, size))
        OmegaConf.update(config, f"{VARIABLES}.{THREADS}", threads)


def _of_checkpoints(config: Any) -> str | None:
    """What the run's checkpoints were made with: a resumed run goes on so, on another processor too."""
    from verl_ext.training import fingerprint  # it composes configurations

    folder = checkpoints_folder(config)
    if config.trainer.resume_mode != "auto" or not saved_steps(folder):
        return None
    recorded = (fingerprint.read(folder) or {}).get("precision")
    return recorded if recorded in PRECISIONS else None


def _is_from(size: int | None, smallest: int) -> bool:
    """Whether the model has that many parameters; one that is not here yet comes from a hub, where they do."""
    return size is None or size >= smallest


def _threads(config: Any, size: int | None) -> int:
    """Threads of each process; the ranks of a machine share its cores."""
    if not _is_from(size, ALL_CORES_FROM):
        return 1
    return max(1, usable_cores() // max(1, int(config.trainer.n_gpus_per_node)))


def described(config: Any) -> str:
    """Precision and threads of a run on a CPU, for the person who launches; empty on other devices."""
    if config.trainer.device != "cpu":
        return ""
    threads = OmegaConf.select(config, f"{VARIABLES}.{THREADS}")
    return f"{_described_precision(config)}\nthreads: {threads} for each of the learner and vLLM, which take turns ({THREADS})"


def _described_precision(config: Any) -> str:
    of_part = _precisions(config)
    learned, sampled = of_part["the learner"], of_part["vLLM"]
    others = [f", {precision} in {part}" for part, precision in of_part.items() if precision not in (learned, sampled)]
    text = f"precision: {learned} in the learner, {sampled} in vLLM{''.join(others)}"
    if "bfloat16" not in of_part.values():
        return text
    text += "; weights, gradients and log-probs are float32 (precision=float32 for all)"
    if not has_fast_bfloat16():
        text += ". This processor has no instructions for bfloat16 and is many times slower in it than in float32"
    return text


def _precisions(config: Any) -> dict[str, str]:
    """What each part of the run computes in, by one name for each precision."""
    actor, algorithm = config.actor_rollout_ref.actor, config.algorithm
    words = {
        "the learner": actor.fsdp_config.mixed_precision.param_dtype,
        "vLLM": config.actor_rollout_ref.rollout.dtype,
    }
    if algorithm.use_kl_in_reward or actor.use_kl_loss:
        words["the reference"] = config.actor_rollout_ref.ref.fsdp_config.mixed_precision.param_dtype
    if uses_critic(config):
        words["the critic"] = config.critic.fsdp.mixed_precision.param_dtype
    return {part: precision_of(word) for part, word in words.items()}
