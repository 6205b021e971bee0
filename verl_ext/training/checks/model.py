"""The model is one, and its context holds a prompt and a response."""

import json
import re
from pathlib import Path
from typing import Any

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def check_model(config: Any) -> None:
    """The model folder is one, and its context holds a prompt and a response. A hub id is left to the hub."""
    path = config.actor_rollout_ref.model.path
    folder = Path(path).expanduser()
    if not folder.exists():
        if HUB_ID.fullmatch(path):
            return
        raise ValueError(
            f"actor_rollout_ref.model.path={path} does not exist. Give a folder with config.json, or a hub id like "
            "Qwen/Qwen2.5-Math-7B. python scripts/build_small_model.py --out DIR builds a small one."
        )
    if not (folder / "config.json").is_file():
        raise ValueError(f"actor_rollout_ref.model.path={path} has no config.json, so it is not a model.")
    context = json.loads((folder / "config.json").read_text()).get("max_position_embeddings")
    needed = config.data.max_prompt_length + config.data.max_response_length
    if context is not None and needed > context:
        raise ValueError(
            f"data.max_prompt_length + data.max_response_length = {needed} tokens, but the context of {path} is {context}."
        )
    max_model_len = config.actor_rollout_ref.rollout.max_model_len
    if max_model_len is not None and needed > max_model_len:
        raise ValueError(
            f"data.max_prompt_length + data.max_response_length = {needed} tokens, more than "
            f"actor_rollout_ref.rollout.max_model_len={max_model_len}."
        )
