"""What the rollout log has of a step's samples: verl's fields, the grader's verdict, and what the update made of each.

A row is a line of ``trainer.rollout_data_dir/<step>.jsonl``. Beside what verl writes (``input``, ``output``, ``gts``, ``score``,
``step``, ``uid``) it has all that the reward function returned and

    num_tokens       response tokens that count
    kept             whether the update saw it
    advantage        mean over those tokens; null where the sample was dropped before it had one
    step_samples     how many samples the step had, of which the file may have a part
    data_source, level, subject

and, with ``trainer.rollout_data_log_probs``, ``tokens`` (their texts), ``rollout_log_probs`` and, of kept samples, ``old_log_probs``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

DIR, MAX_MB, LOG_PROBS = (f"trainer.rollout_data_{name}" for name in ("dir", "max_mb", "log_probs"))
FIELDS = (
    "prompts",
    "responses",
    "response_mask",
    "rm_scores",
    "reward_model",
    "data_source",
    "extra_info",
    "extra_fields",
)
"""What is fetched of every sample; those that verl has not noted are left out."""
LEARNED = ("advantages", "old_log_probs")
"""What only samples have that the update saw."""
_BYTES = 1_000_000
_DIGITS = 4  # of log-probs

Row = dict[str, Any]
Decode = Callable[[list[int]], str]


def rows_of(
    keys: Sequence[str], data: Mapping[str, Any], learned: Mapping[str, Mapping[str, Any]], decode: Decode
) -> list[Row]:
    """A row of each sample.

    Args:
        keys: verl's names of the samples.
        data: ``FIELDS`` of them, as columns.
        learned: Key -> ``LEARNED`` of a sample that the update saw, as far as there are such; tensors over its response tokens.
        decode: Text of tokens, without special ones.
    """
    columns = {name: _values(column) for name, column in data.items()}
    samples = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return [
        _row(key, sample, learned.get(key), decode) | {"step_samples": len(keys)}
        for key, sample in zip(keys, samples, strict=True)
    ]


def _values(column: Any) -> list[Any]:
    import torch  # not above: the launcher's checks import this module, and they load no torch

    return list(column.unbind() if isinstance(column, torch.Tensor) else column.tolist())


def _row(key: str, sample: Mapping[str, Any], learned: Mapping[str, Any] | None, decode: Decode) -> Row:
    mask_T = sample["response_mask"].bool()
    info, truth = sample.get("extra_info") or {}, sample.get("reward_model") or {}
    return {
        **(sample.get("extra_fields") or {}).get("reward_extra_info", {}),
        "input": decode(sample["prompts"].tolist()),
        "output": decode(sample["responses"].tolist()),
        "gts": truth.get("ground_truth"),
        "score": float(sample["rm_scores"].sum()),
        "uid": key,
        **{name: info[name] for name in ("level", "subject") if info.get(name) is not None},
        "data_source": sample.get("data_source"),
        "num_tokens": int(mask_T.sum()),
        "kept": learned is not None,
        "advantage": None if learned is None else _mean_over(mask_T, learned.get("advantages")),
    }


def _mean_over(mask_T: Any, values_T: Any) -> float | None:
    return None if values_T is None or not mask_T.any() else float(values_T[mask_T].mean())


def add_log_probs(
    rows: Sequence[Row],
    responses: Sequence[Sequence[int]],
    log_probs: Sequence[Any],
    learned: Mapping[str, Mapping[str, Any]],
    decode: Decode,
) -> None:
    """Add the tokens of each row, with their log-probs by the rollout and, where the update saw it, by the actor."""
    texts: dict[int, str] = {}
    for row, tokens, rollout_T in zip(rows, responses, log_probs, strict=True):
        for token in tokens:
            if token not in texts:
                texts[token] = decode([token])
        actor_T = learned.get(row["uid"], {}).get("old_log_probs")
        row["tokens"] = [texts[token] for token in tokens]
        row["rollout_log_probs"] = _rounded(rollout_T)
        row["old_log_probs"] = None if actor_T is None else _rounded(actor_T)


def _rounded(values_T: Any) -> list[float]:
    return [round(value, _DIGITS) for value in values_T.tolist()]


def share_of_step(max_mb: float | None, num_steps: int) -> float | None:
    """Bytes that a step may write: its part of what all steps may, so that the last ones are in the log as the first are."""
    return None if max_mb is None else max_mb * _BYTES / num_steps


def within(rows: Sequence[Row], num_bytes: float | None) -> list[Row]:
    """The prompts that fit, all samples of each, in their order; one that is too long does not keep out those after it."""
    if num_bytes is None:
        return list(rows)
    of_prompt: dict[str, list[Row]] = {}
    for row in rows:
        of_prompt.setdefault(row["uid"].rsplit("_", 2)[0], []).append(row)
    kept: list[Row] = []
    left = num_bytes
    for group in of_prompt.values():
        size = sum(map(_num_bytes, group))
        if size <= left:
            left -= size
            kept += group
    return kept


def _num_bytes(row: Row) -> int:
    """Of its line, as verl writes it: with the step."""
    text = json.dumps(row, ensure_ascii=False, default=lambda value: value.tolist())
    return len(text.encode(errors="replace")) + len(', "step": 1000000\n')


def as_columns(rows: Sequence[Row]) -> dict[str, Any]:
    """The arguments of verl's ``_dump_generations``."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    own = {
        verls: columns.pop(name, [])
        for verls, name in (("inputs", "input"), ("outputs", "output"), ("gts", "gts"), ("scores", "score"))
    }
    return own | {"reward_extra_infos_dict": columns}
