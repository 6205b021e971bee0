"""Which runs may follow one another on one stack: the same Ray, workers and rollout engines.

Workers build model, optimizer and losses of each run anew, and the trainer is a new one. What a process or an engine was
started with stays, so that has to be equal: every option but those of ``EACH_RUN_ITS_OWN``, and the model but for its
weights, unless the engine has read them itself and gets an adapter alone.
"""

import hashlib
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from verl_ext.objectives.names import OUR_TRAINERS
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.configuration import leaves, resolved
from verl_ext.training.fingerprint import ChangedSetting, differences
from verl_ext.training.metrics_file import VARIABLE as METRICS_VARIABLE
from verl_ext.training.one_process import AGENT_LOOP_MANAGER
from verl_ext.training.paths import is_remote, local_path

EACH_RUN_ITS_OWN = (
    *("algorithm.*", "data.*", "critic.*", "prompt_template"),
    *("actor_rollout_ref.actor.*", "actor_rollout_ref.ref.*", "actor_rollout_ref.model.path"),
    # Said with every request, or to the trainer
    *(f"actor_rollout_ref.rollout.{name}" for name in ("n", "temperature", "top_k", "top_p", "do_sample", "seed")),
    *(f"actor_rollout_ref.rollout.{name}" for name in ("val_kwargs.*", "log_prob_*", "calculate_log_probs")),
    *("reward.custom_reward_function.*", "reward.reward_manager.*", "reward.reward_kwargs.*"),
    # Of a teacher that there is not, and of a trace that nobody writes
    *("distillation.teacher_models.*", "actor_rollout_ref.rollout.trace.*_name"),
    "actor_rollout_ref.rollout.prometheus.served_model_name",  # a label
    "trainer.*",
)
OF_THE_STACK = ("trainer.device", "trainer.n_gpus_per_node", "trainer.nnodes")
"""Exceptions to ``trainer.*``."""
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json", "*.pt", "*.gguf")
OUTPUT_VARIABLES = ("TENSORBOARD_DIR", METRICS_VARIABLE)
"""Where they are set, they win over the folder of a run."""
OUTPUTS = {
    "output_dir": "output_dir='outputs/${algorithm.adv_estimator}'",
    "default_local_dir": "output_dir='outputs/${algorithm.adv_estimator}'",
    "rollout_data_dir": "rollout_data_dir='${trainer.output_dir}/rollouts'",
    "validation_data_dir": "validation_data_dir='${trainer.output_dir}/validation'",
    "rollout_gap_file": "rollout_gap_file='${trainer.output_dir}/gaps.jsonl'",
}
"""Options of ``trainer`` that name what a run writes, and what to set so that each run has its own."""


def architecture_identity(path: str) -> str:
    """A model by everything but its weights: configuration, tokenizer, chat template. A hub id by its name."""
    folder = local_path(path)
    if is_remote(path) or not folder.is_dir():
        return path
    total = hashlib.sha256()
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        if not any(fnmatch(file.name, pattern) for pattern in WEIGHTS):
            total.update(f"{file.name} {file.stat().st_size}\n".encode() + file.read_bytes())
    return f"(content {total.hexdigest()[:16]})"


def stack_settings(config: Any) -> dict[str, Any]:
    """What has to be equal between runs of one stack, by its option's name."""
    settings = {option: value for option, value in leaves(resolved(config)) if _is_of_the_stack(option)}
    settings["the architecture of actor_rollout_ref.model.path"] = architecture_identity(
        config.actor_rollout_ref.model.path
    )
    if _is_base_of_the_engine(config):
        settings["actor_rollout_ref.model.path"] = config.actor_rollout_ref.model.path
    settings["a critic"] = uses_critic(config)
    settings["a reference model"] = bool(
        config.algorithm.use_kl_in_reward or config.actor_rollout_ref.actor.use_kl_loss
    )
    return settings


def _is_base_of_the_engine(config: Any) -> bool:
    """Whether vLLM has read the base itself: verl then pushes nothing but the adapter, which goes with that base alone."""
    model = config.actor_rollout_ref.model
    is_adapter = model.lora_rank > 0 and not model.lora.get("merge", False)
    return is_adapter and "dummy" not in config.actor_rollout_ref.rollout.load_format


def _is_of_the_stack(option: str) -> bool:
    return option in OF_THE_STACK or not any(fnmatch(option, pattern) for pattern in EACH_RUN_ITS_OWN)


def apart_because(config: Any, before: Any) -> str | None:
    """Why a run cannot go on with the stack of the run before it, for a reader; None where it can."""
    if config.trainer.device != "cpu":
        return "on accelerators each run has its own"
    if config.trainer.nnodes > 1:
        return "over several nodes (trainer.nnodes) each run has its own"
    for mode in (config.trainer.v1.trainer_mode, before.trainer.v1.trainer_mode):
        if mode not in OUR_TRAINERS:
            return f"trainer.v1.trainer_mode={mode} has no way to keep one"
    if config.reward.reward_model.enable or config.distillation.enabled:
        return "a reward model or a teacher is not kept"
    if config.reward.num_workers:
        return "reward workers (reward.num_workers) are not kept"
    if config.actor_rollout_ref.rollout.agent.agent_loop_manager_class != AGENT_LOOP_MANAGER:
        return "another agent loop manager (actor_rollout_ref.rollout.agent.agent_loop_manager_class) is not kept"
    if config.actor_rollout_ref.rollout.trace.backend:
        return "what writes a trace (actor_rollout_ref.rollout.trace.backend) is set up once in a process"
    found: list[ChangedSetting] = differences(stack_settings(before), stack_settings(config))
    if not found:
        return None
    first, more = found[0], f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{first.setting} is {first.now} instead of {first.recorded}{more}"


def collisions(configs: list[Any]) -> Iterator[str]:
    """What would make runs of one command write into each other's results."""
    for variable in OUTPUT_VARIABLES:
        if variable in os.environ and len(configs) > 1:
            yield f"{variable}={os.environ[variable]} would be the place of all runs: unset it, or start them one by one."
    places: dict[tuple[str, Path], int] = {}
    for number, config in enumerate(configs, start=1):
        for option, own in OUTPUTS.items():
            if config.trainer.get(option) is None:
                continue
            place = local_path(config.trainer[option]).absolute()
            first = places.setdefault((option, place.resolve()), number)
            if first != number:
                yield (
                    f"runs {first} and {number} both have trainer.{option}={place}. Give each its own, or put what they "
                    f"differ in into the name, like trainer.{own}."
                )
