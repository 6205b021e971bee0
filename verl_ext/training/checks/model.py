"""The model is one, and its context holds a prompt and a response."""

import os
from pathlib import Path
from typing import Any

from verl_ext.host.files import read_object
from verl_ext.host.tensor_files import check_tensors
from verl_ext.pretrained.hub import HUB_ID
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.model_file import model_folder
from verl_ext.training.paths import is_remote, local_path

VERL_DEFAULT = "~/models/deepseek-llm-7b-chat"
"""What verl's configuration holds when nobody names a model: a folder of its authors'."""
HUB_SECONDS = 10
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def check_model(config: Any) -> None:
    """The models can be read, and the context of the one that is trained holds a prompt and a response."""
    if uses_critic(config):
        _model_config("critic.model.path", config.critic.model.path)
    path = config.actor_rollout_ref.model.path
    found = _model_config("actor_rollout_ref.model.path", path)
    given = config.actor_rollout_ref.model.override_config.get("max_position_embeddings")
    context = (found or {}).get("max_position_embeddings") if given is None else given
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


def check_weights(config: Any) -> None:
    """The models' files are whole, and those of a model that is read in a moment hold numbers only.

    What a larger one holds the guard ``not_finite`` finds, at the first step.
    """
    paths = {"actor_rollout_ref.model.path": config.actor_rollout_ref.model.path}
    if uses_critic(config):
        paths["critic.model.path"] = config.critic.model.path
    for option, path in paths.items():
        folder = model_folder(path)
        try:
            check_tensors([] if folder is None else sorted(folder.glob("*.safetensors")))
        except ValueError as error:
            raise ValueError(f"{option}={path}: {error}") from None


def _model_config(option: str, path: str) -> dict[str, Any] | None:
    """The content of a model's config.json; None where that is out of reach."""
    if path == VERL_DEFAULT:
        follow = " It may be the trained model: critic.model.path=MODEL." if option.startswith("critic") else ""
        raise ValueError(f"{option} is not given. Set it to a folder with config.json, or a hub id.{follow}")
    if is_remote(path):
        return None
    folder = local_path(path)
    if not folder.exists():
        if HUB_ID.fullmatch(path):
            return _read(option, path, _from_hub(option, path))
        raise ValueError(
            f"{option}={path} does not exist. Give a folder with config.json, or a hub id like "
            "Qwen/Qwen2.5-Math-7B. python scripts/build_small_model.py --out DIR builds a small one."
        )
    if not (folder / "config.json").is_file():
        raise ValueError(f"{option}={path} has no config.json, so it is not a model.")
    return _read(option, path, folder / "config.json")


def _read(option: str, path: str, file: Path) -> dict[str, Any]:
    try:
        return read_object(file, "Copy the model again.")
    except ValueError as error:
        raise ValueError(f"{option}={path}: {error}") from None


def _from_hub(option: str, hub_id: str) -> Path:
    """config.json of a model on the hub, from the cache or fetched: the smallest file of it that shows it is there."""
    import httpx
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    cached = try_to_load_from_cache(hub_id, "config.json")
    if isinstance(cached, str):
        return Path(cached)
    neither = f"{option}={hub_id} is neither a folder here nor a model in the Hugging Face cache"
    for variable in OFFLINE_VARIABLES:
        if os.environ.get(variable, "").strip().upper() in ("1", "TRUE", "YES", "ON"):
            raise ValueError(f"{neither}, and {variable}={os.environ[variable]} keeps it from being fetched.")
    try:
        HfApi().model_info(hub_id, timeout=HUB_SECONDS)  # downloads try again and again where there is no network
        return Path(hf_hub_download(hub_id, "config.json", etag_timeout=HUB_SECONDS))
    except GatedRepoError:
        raise ValueError(
            f"{option}={hub_id} is a gated model: request access on its page, then log in with hf auth login or HF_TOKEN."
        ) from None
    except RepositoryNotFoundError:
        raise ValueError(f"{neither}, and the hub has no such model (or none that this account may see).") from None
    except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{neither}, and it cannot be fetched: {reason}") from None
