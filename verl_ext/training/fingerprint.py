"""What makes a run the run that it is, kept beside its checkpoints, so that no other run goes on from them.

Everything under ``IS_THE_RUN`` counts except ``MAY_CHANGE``: model and data by their content, not by their names.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.grading.workers.settings import read_settings
from verl_ext.host.files import write_whole
from verl_ext.host.tensor_files import pieces_of
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.configuration import leaves, resolved
from verl_ext.training.paths import is_remote, local_files, local_path

NAME = "fingerprint.json"
NOT_SET = "not set"

IS_THE_RUN = (
    *("algorithm.*", "data.*", "reward.*"),
    *("actor_rollout_ref.actor.*", "actor_rollout_ref.model.*", "critic.*"),
    *(f"actor_rollout_ref.rollout.{name}" for name in ("n", "temperature", "top_k", "top_p", "do_sample", "seed")),
    *(f"actor_rollout_ref.rollout.{name}" for name in ("ignore_eos", "multi_turn.*", "agent.default_agent_loop")),
    *("precision", "trainer.critic_warmup", "trainer.v1.trainer_mode", "trainer.v1.sampler.*", "trainer.v1.*_async.*"),
)

MAY_CHANGE = (
    # How the data is read, and what is validated on
    *(
        "data.val_*",
        "data.validation_shuffle",
        "data.*num_workers",
        "data.*_workers",
        "*.use_shm",
        "*trust_remote_code",
    ),
    # Where memory goes and how fast it is
    *("*micro_batch_size*", "*max_token_len_per_gpu", "*use_dynamic_bsz", "*offload*", "*gradient_checkpointing"),
    *("*use_remove_padding", "*use_torch_compile", "*ulysses_sequence_parallel_size", "*attn_implementation"),
    *("*use_liger", "*use_fused_kernels", "*fused_kernel_options.*", "*tiled_mlp.*", "*turbo_config.*", "*chunk*"),
    *("*entropy_checkpointing", "*pad_to_length*", "*forward_prefetch", "*reshard_after_forward"),
    "algorithm.one_pass",  # the same update
    # What is saved and what is measured beside it
    *("*.checkpoint.*", "*profiler*", "*.total_training_steps", "*calculate_entropy", "*calculate_sum_pi_squared"),
    *("reward.num_workers", "reward.reward_model.n*", "*poll_interval", "*_target_"),
    "*.rollout_n",  # follows rollout.n
)


class ChangedSetting(NamedTuple):
    setting: str
    recorded: Any
    now: Any


def _digest(pieces: Iterator[bytes]) -> str:
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()[:16]


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _named(path: str, digest: str) -> str:
    """What a reader recognizes, and what is compared."""
    return f"{path} (content {digest})"


def file_identity(path: str) -> str:
    """A file by its content; by its name where that is not on this machine."""
    file = local_path(path)
    return _named(path, _digest(_content(file))) if not is_remote(path) and file.is_file() else path


def model_identity(path: str) -> str:
    """A model folder by its configuration and its weights; a hub id by its name."""
    folder = local_path(path)
    if is_remote(path) or not folder.is_dir():
        return path
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), folder / "config.json"])
    return _named(path, _digest(piece for file in weights if file.is_file() for piece in pieces_of(file)))


def fingerprint(config: Any) -> dict[str, Any]:
    """Every setting that must not change while a run goes on from its checkpoints, by its option's name."""
    settings = {}
    for option, value in leaves(resolved(config)):
        counts = any(fnmatch(option, pattern) for pattern in IS_THE_RUN)
        if counts and not any(fnmatch(option, pattern) for pattern in MAY_CHANGE):
            settings[option] = value
    if not uses_critic(config):
        settings = {option: value for option, value in settings.items() if not option.startswith("critic.")}
    for option in [option for option in settings if option.endswith("model.path")]:
        settings[option] = model_identity(settings[option])
    settings.pop("data.train_files", None)
    for index, file in enumerate(local_files(config.data.train_files)):
        settings[f"data.train_files[{index}]"] = file_identity(file)
    if config.reward.custom_reward_function.path:
        settings["reward.custom_reward_function.path"] = file_identity(config.reward.custom_reward_function.path)
    # A checkpoint of FSDP is a shard for each rank.
    settings["trainer.n_gpus_per_node x trainer.nnodes"] = config.trainer.n_gpus_per_node * config.trainer.nnodes
    settings["grader"] = str(read_settings())
    return settings


def _compared(value: Any) -> Any:
    """Content where it is known, so that a folder may move."""
    text = str(value)
    return text.rpartition(" (content ")[2] if " (content " in text else value


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[ChangedSetting]:
    """The settings in which two fingerprints differ, in the order of the second."""
    found = []
    for setting in [*now, *(setting for setting in recorded if setting not in now)]:
        before, after = recorded.get(setting), now.get(setting)
        if _compared(before) != _compared(after):
            found.append(ChangedSetting(setting, before, after))
    return found


def table(found: Sequence[ChangedSetting]) -> str:
    """The differences for a reader, one a line."""
    width = max(len(difference.setting) for difference in found)
    return "\n".join(
        f"  {one.setting:<{width}}  {NOT_SET if one.recorded is None else one.recorded} -> "
        f"{NOT_SET if one.now is None else one.now}"
        for one in found
    )


def read(folder: Path) -> dict[str, Any] | None:
    """The fingerprint that the checkpoints in ``folder`` carry; None when they carry none.

    Raises:
        ValueError: The file is not what ``write`` writes.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}. Delete it to continue without this check.") from None
    if not isinstance(settings, dict):
        raise ValueError(f"{path} does not hold settings. Delete it to continue without this check.")
    return settings


def write(folder: Path, settings: Mapping[str, Any]) -> None:
    """Put a fingerprint beside the checkpoints: whole, or not at all."""
    write_whole(folder / NAME, json.dumps(settings, indent=2, default=str) + "\n")
