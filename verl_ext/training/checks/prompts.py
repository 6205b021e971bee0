"""How many rows are left when verl has left out the prompts that are too long, and what it would cut in silence."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from verl_ext.data.parquet import read_rows
from verl_ext.training.paths import is_remote, local_files, local_path
from verl_ext.training.prompt_length import Length, Messages, at_most, length_function, may_lack_template

PlacedRow = tuple[str, int, Mapping[str, Any]]
"""A row with its file and its number there, counted from 0."""

USUAL_ROLES = ("system", "user", "assistant")
MORE = " and more of it" * 4
MEDIA = ("image_key", "video_key", "audio_key")


def has_plain_prompts(config: Any) -> bool:
    """Whether the prompts that verl makes can be made here: files, model and tokenizer are in reach, and nothing of the user's
    makes the rows, or adds the schemas of tools.
    """
    data, model = config.data, config.actor_rollout_ref.model
    files = [*local_files(data.train_files), *local_files(data.val_files)]
    if any(is_remote(file) for file in (*files, model.path, model.tokenizer_path or "")):
        return False
    return not (data.custom_cls.path or data.tool_config_path or data.function_tool_path)


def length_of(config: Any) -> Length:
    """The function that counts the tokens of the run's prompts.

    Raises:
        ValueError: There is no tokenizer that can be loaded, or none with a chat template.
    """
    model = config.actor_rollout_ref.model
    options = OmegaConf.to_container(config.data.apply_chat_template_kwargs)
    assert isinstance(options, dict)
    return length_function(
        model.tokenizer_path or model.path,
        model.custom_chat_template,
        {str(k): v for k, v in options.items()},
        trust_remote_code=model.trust_remote_code,
    )


def check_tokenizer(config: Any) -> None:
    """A tokenizer that seems to lack a chat template has one: in verl every prompt would fail, with Ray and the engine running.

    Raises:
        ValueError: It has not.
    """
    model = config.actor_rollout_ref.model
    if (
        has_plain_prompts(config)
        and model.custom_chat_template is None
        and may_lack_template(model.tokenizer_path or model.path)
    ):
        length_of(config)


def check_prompts(config: Any) -> int | None:
    """Return how many training rows are left; None when it cannot be known here.

    Raises:
        ValueError: Prompts are too long and would be cut, none are left, or the chat template does not take one.
    """
    data = config.data
    if not has_plain_prompts(config):
        return None

    @cache
    def length() -> Length:
        return length_of(config)

    media_keys = [data[key] for key in MEDIA]
    left = {}
    for option, limit in (("train_files", data.train_max_samples), ("val_files", data.val_max_samples)):
        rows = _sampled([*_rows(local_files(data[option]))], limit, data)
        if any(_has_media(row, media_keys, data.prompt_key) for _, _, row in rows):
            return None
        for row in _with_other_roles(rows, data.prompt_key):
            _check_roles(row, data.prompt_key, length())
        longs = [*_too_long(rows, data.prompt_key, data.max_prompt_length, length)]
        if longs and not data.filter_overlong_prompts and data.truncation != "left":
            longest, where = max(longs)
            raise ValueError(
                f"data.{option}: {len(longs):,} of {len(rows):,} prompts are longer than data.max_prompt_length="
                f"{data.max_prompt_length} tokens (the longest, {where}, has {longest:,}). verl's V1 trainer would cut them from "
                f"the left, whatever data.truncation={data.truncation} says. Raise data.max_prompt_length, leave them out with "
                "data.filter_overlong_prompts=True, or let them be cut with data.truncation=left."
            )
        left[option] = len(rows) - (len(longs) if data.filter_overlong_prompts else 0)
        if not left[option]:
            raise ValueError(
                f"data.{option}: all {len(rows):,} prompts are longer than data.max_prompt_length={data.max_prompt_length} "
                "tokens, and data.filter_overlong_prompts=True leaves none. Raise data.max_prompt_length."
            )
    return left["train_files"]


def _rows(files: Sequence[str]) -> Iterator[PlacedRow]:
    """Each row with its file and its number there, counted from 0."""
    for file in files:
        for index, row in enumerate(read_rows(local_path(file))):
            yield file, index, row


def _sampled(rows: list[PlacedRow], limit: int, data: Any) -> list[PlacedRow]:
    """The rows that verl takes of them under ``data.*_max_samples``: before it leaves out any."""
    if not 0 < limit < len(rows):
        return rows
    if not data.shuffle:
        return rows[:limit]
    chosen = np.random.default_rng(data.seed).choice(len(rows), size=limit, replace=False)
    return [rows[index] for index in chosen]


def _has_media(row: Mapping[str, Any], media_keys: Sequence[str], prompt_key: str) -> bool:
    return any(row.get(key) for key in media_keys) or any(
        not isinstance(message.get("content"), str) for message in row[prompt_key]
    )


def _with_other_roles(rows: Sequence[PlacedRow], key: str) -> Iterator[PlacedRow]:
    """The first row of each role that a template may have no place for."""
    seen = {*USUAL_ROLES}
    for row in rows:
        roles = {message["role"] for message in row[2][key]}
        if not roles <= seen:
            seen |= roles
            yield row


def _check_roles(placed: PlacedRow, key: str, tokens_of: Length) -> None:
    """The chat template has a place for every message, which is not so where a longer one makes no longer prompt."""
    file, index, row = placed
    messages = row[key]
    num_tokens = _tokens(placed, messages, tokens_of)
    for number, message in enumerate(messages):
        longer = [*messages[:number], {**message, "content": message["content"] + MORE}, *messages[number + 1 :]]
        if message["role"] not in USUAL_ROLES and _tokens(placed, longer, tokens_of) == num_tokens:
            raise ValueError(
                f"{file}, row {index}: the chat template leaves out a message of the role {message['role']!r}, so that the model "
                f"would not see it. Give it one of {', '.join(USUAL_ROLES)}, or a template that knows it: "
                "actor_rollout_ref.model.custom_chat_template."
            )


def _tokens(placed: PlacedRow, messages: Messages, tokens_of: Length) -> int:
    try:
        return tokens_of(messages)
    except ValueError as error:
        raise ValueError(f"{placed[0]}, row {placed[1]}: {str(error).rstrip('.')}.") from None


def _too_long(rows: Sequence[PlacedRow], key: str, limit: int, length: Any) -> Iterator[tuple[int, str]]:
    """Tokens and place of every prompt over the limit; the tokenizer is loaded for the first one that might be."""
    for placed in rows:
        file, index, row = placed
        if at_most(row[key]) <= limit:
            continue
        tokens = _tokens(placed, row[key], length())
        if tokens > limit:
            yield tokens, f"row {index} of {file}"
