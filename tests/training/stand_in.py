"""The trainer without Ray: real configuration and real methods, verl's queue and workers replaced by stand-ins.

B responses of a step, at most T tokens each. A response is one row, with the key ``{prompt}_{session}_{output}``.
"""

import copy
from types import SimpleNamespace

import numpy as np
import torch
from tensordict import TensorDict

from verl_ext.training.checks.trainer_options import check_trainer_options
from verl_ext.training.configuration import compose_config

NUM_TOKENS = 3
OWN = {"old_log_probs": -2.0, "entropy": 1.5}
"""What the workers' forward pass gives each token."""


def trainer_with(*overrides: str, num_ranks: int = 1):
    """This package's trainer under the launcher's configuration of a CPU, with 4 responses a prompt unless said otherwise."""
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

    import verl_ext.training.async_trainer  # registers both  # noqa: F401

    config = compose_config(["actor_rollout_ref.rollout.n=4", *overrides], device="cpu")
    trainer = object.__new__(get_trainer_cls(config.trainer.v1.trainer_mode))
    trainer.config = config
    trainer._set_up_filter(check_trainer_options(trainer.config))
    trainer.use_critic = trainer.config.algorithm.adv_estimator == "gae"
    trainer.use_reference_policy = False
    trainer.processor = None
    trainer.global_steps = 1
    trainer.total_training_steps = 3
    trainer.tokenizer = SimpleNamespace(eos_token_id=0, pad_token_id=0)
    trainer.replay_buffer = SimpleNamespace(failure_keys={}, prompt_global_steps={"train": {}})
    trainer.logger = Log()
    trainer.actor_rollout_wg = Workers(num_ranks)
    return trainer


def put_log_probs(keys: list[str]) -> None:
    """What a forward pass leaves in the trainer's queue."""
    from verl_ext.training import trainer as module

    fields = {name: [torch.full((NUM_TOKENS,), value) for _ in keys] for name, value in OWN.items()}
    module.tq.kv_batch_put(keys=keys, partition_id="train", fields=fields)


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def log(self, data, step):
        self.rows.append(data | {"step": step})


class Workers:
    """Records the updates that it is asked for."""

    def __init__(self, num_ranks: int) -> None:
        self._dispatch_info = {"actor": list(range(num_ranks))}
        self.updates: list[SimpleNamespace] = []
        self.metrics: dict[str, list[float]] = {}
        self.rollout_gap: float | None = 0.0
        """What the workers find where they are asked for the update's own log-probs; None: the rollout noted none."""

    def update_actor(self, batch):
        self.updates.append(SimpleNamespace(keys=list(batch.keys), **copy.deepcopy(batch.extra_info)))
        metrics = {"mfu": [0.0], "grad_norm": [1.0]} | copy.deepcopy(self.metrics)
        if not batch.extra_info.get("own_log_probs", False):
            return {"metrics": metrics}
        put_log_probs(batch.keys)
        if self.rollout_gap is not None:
            metrics["rollout_gap"] = [self.rollout_gap]
        return SimpleNamespace(extra_info={"metrics": [metrics]})


class Queue:
    """What the trainer asks of TransferQueue, for the rows of one step."""

    def __init__(self, rows: dict[str, dict]) -> None:
        self.rows = rows

    def kv_batch_get(self, keys, partition_id, select_fields=None):
        assert partition_id == "train"
        if select_fields is None:
            return [copy.deepcopy(self.rows[key]) for key in keys]
        present = [name for name in select_fields if all(name in self.rows[key] for key in keys)]
        return Fields({name: _column([self.rows[key][name] for key in keys]) for name in present})

    def kv_batch_put(self, keys, partition_id, fields, tags=None):
        for position, key in enumerate(keys):
            self.rows.setdefault(key, {}).update(_row(fields, position))

    def kv_clear(self, keys, partition_id): ...


def _row(fields, position: int) -> dict:
    return {name: value[position] for name, value in fields.items()}


def _column(values: list):
    if not isinstance(values[0], torch.Tensor):
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    return torch.nn.utils.rnn.pad_sequence(values, batch_first=True)


class Fields(dict):
    def to_padded_tensor(self):
        tensors = {name: value for name, value in self.items() if isinstance(value, torch.Tensor)}
        return TensorDict(tensors, batch_size=len(next(iter(tensors.values()))))


def step_of(monkeypatch, rows: list[dict]):
    """A batch of the step, in the order of ``rows``, stored in the trainer's queue.

    Args:
        rows: For each response ``key``, and, where it matters, ``score`` (None: the grader failed), ``info`` (more of what
            the reward function returned), ``length`` (tokens of prompt and response, for the balance), ``log_prob`` (of each
            token in the rollout; without it the rollout reports none), ``began`` (after which step's update it began).
    """
    from transfer_queue import KVBatchMeta
    from verl.trainer.ppo import padding_utils

    from verl_ext.training import async_trainer
    from verl_ext.training import trainer as module

    stored, tags = {}, []
    for row in rows:
        score = row.get("score", 0.0)
        info = {"grader_error": float(score is None), "truncated": 0.0} | row.get("info", {})
        rewards_T = torch.zeros(NUM_TOKENS)
        rewards_T[-1] = 0.0 if score is None else score
        stored[row["key"]] = {
            "uid": row["key"].rsplit("_", 2)[0],
            "extra_fields": {"reward_extra_info": info},
            "rm_scores": rewards_T,
            "response_mask": torch.full((NUM_TOKENS,), row.get("mask", 1)),
            "prompts": torch.arange(2),
            "responses": torch.arange(NUM_TOKENS),
            "position_ids": torch.arange(NUM_TOKENS),
        }
        if "log_prob" in row:
            stored[row["key"]]["rollout_log_probs"] = torch.full((NUM_TOKENS,), row["log_prob"])
        tags.append({"seq_len": row.get("length", NUM_TOKENS), "min_global_steps": row.get("began")})
    queue = Queue(stored)
    for trainer_module in (module, async_trainer):
        monkeypatch.setattr(trainer_module, "tq", queue)
    monkeypatch.setattr(padding_utils, "tq", queue)
    monkeypatch.setattr(padding_utils, "list_of_dict_to_tensordict", _as_columns)
    return KVBatchMeta(keys=[row["key"] for row in rows], tags=tags, partition_id="train")


def _as_columns(samples: list[dict]) -> dict:
    return {name: [sample[name] for sample in samples] for name in samples[0]}


def rows_of(groups: list[list[float | None]]) -> list[dict]:
    """Rows for the outcomes of the responses to each prompt: prompts p0, p1, ...; sessions counted through."""
    rows = []
    for number, group in enumerate(groups):
        rows += [{"key": f"p{number}_{len(rows) + index}_0", "score": score} for index, score in enumerate(group)]
    return rows
