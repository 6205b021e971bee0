"""The rows, their prompt template and the batches that are made of them."""

from pathlib import Path
from typing import Any

from verl_ext.data.parquet import check_rows, first_template
from verl_ext.tasks.templates import PASS_THROUGH_CHAT_TEMPLATE, RAW_TEMPLATES

GRADERS_PATH = "pkg://verl_ext.rewards.reward"


def _files(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def check_data(config: Any) -> int:
    """Every data file exists and every row has a prompt and a ground truth. Returns the number of training rows."""
    is_graded_here = config.reward.custom_reward_function.path == GRADERS_PATH
    counts = {}
    for option in ("train_files", "val_files"):
        try:
            counts[option] = sum(
                check_rows(Path(file).expanduser(), is_graded_here=is_graded_here)
                for file in _files(config.data[option])
            )
        except FileNotFoundError as error:
            raise ValueError(f"data.{option}: {error}") from error
    return counts["train_files"]


def check_template(config: Any) -> None:
    """The rows were prepared with the prompt template that the preset needs, and a raw one gets no chat template on top."""
    wanted = config.prompt_template
    for option in ("train_files", "val_files"):
        for file in _files(config.data[option]):
            found = first_template(Path(file).expanduser())
            if (
                found in RAW_TEMPLATES
                and config.actor_rollout_ref.model.custom_chat_template != PASS_THROUGH_CHAT_TEMPLATE
            ):
                raise ValueError(
                    f"data.{option}={file} holds raw prompts (template {found}), and verl would put the model's chat "
                    f"template on top. Set actor_rollout_ref.model.custom_chat_template='{PASS_THROUGH_CHAT_TEMPLATE}'."
                )
            if wanted is not None and found != wanted:
                thinking = " Qwen3 would think in these." if wanted == "qwen3_no_thinking" else ""
                raise ValueError(
                    f"data.{option}={file} was prepared with the prompt template {found}, and this preset needs {wanted}."
                    f"{thinking} python scripts/prepare_data.py TASK --template {wanted} --out DIR makes the files, and "
                    "prompt_template=null takes any."
                )


def check_batches(config: Any, num_rows: int) -> int:
    """Batch sizes fit the data, each other and the number of ranks. Returns the number of steps."""
    batch, n = config.data.train_batch_size, config.actor_rollout_ref.rollout.n
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size
    world_size = config.trainer.n_gpus_per_node * config.trainer.nnodes
    if min(batch, n, mini) < 1:
        raise ValueError(
            "data.train_batch_size, actor_rollout_ref.rollout.n and actor_rollout_ref.actor.ppo_mini_batch_size must be "
            f">= 1, got {batch}, {n} and {mini}."
        )
    if batch > num_rows:
        raise ValueError(f"data.train_batch_size={batch} prompts, but the training files have {num_rows} rows.")
    if mini > batch or batch % mini:
        raise ValueError(
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini} prompts must divide data.train_batch_size={batch}."
        )
    if (mini * n) % world_size:
        raise ValueError(
            f"A mini-batch of {mini} prompts x {n} responses (actor_rollout_ref.actor.ppo_mini_batch_size x "
            f"actor_rollout_ref.rollout.n) cannot be split over {world_size} ranks."
        )
    steps = config.trainer.total_training_steps
    return int(num_rows // batch * config.trainer.total_epochs if steps is None else steps)
