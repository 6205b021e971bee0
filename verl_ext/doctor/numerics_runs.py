"""The runs of the numerics contract: a few steps at learning rate 0, of full weights, an adapter and a merged adapter."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import VerlRow, make_row
from verl_ext.tasks.countdown import CountdownProblem
from verl_ext.tasks.templates import PASS_THROUGH_CHAT_TEMPLATE
from verl_ext.training.model_file import model_config
from verl_ext.training.prompt_length import length_function, may_lack_template

FULL, ADAPTER, MERGED = "full", "LoRA", "LoRA merged"
WEIGHTS = {"full": FULL, "lora": ADAPTER, "merged": MERGED}
"""As the command spells what a run trains, and what a reader calls it."""
RANK, ALPHA = 8, 16
PROMPTS, SAMPLES = 4, 4
"""Of a step."""
ROUND = 16
"""Lengths in tokens are multiples of this."""
GAP_FILE = "rollout_gap.jsonl"
FILES = ("train.parquet", "test.parquet")
AT_RATE_0: Mapping[str, Any] = {
    # Two updates from two mini-batches, both on log-probs of a pass before them: their ratio is what is looked at
    "algorithm.adv_estimator": "reinforce",
    "algorithm.one_pass": False,
    "actor_rollout_ref.actor.optim.lr": 0.0,
    "actor_rollout_ref.actor.entropy_coeff": 0.0,
    "data.train_batch_size": PROMPTS,
    "actor_rollout_ref.rollout.n": SAMPLES,
    "actor_rollout_ref.actor.ppo_mini_batch_size": PROMPTS // 2,
    # This command says itself what is too much
    "trainer.guardrails.rollout_gap.action": "null",
    "trainer.guardrails.grader_errors.action": "null",
    "trainer.save_freq": -1,
    "trainer.test_freq": -1,
    "trainer.val_before_train": False,
    "trainer.logger": "[file]",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the table: a model, and what of it is trained."""

    model: str
    """For a reader."""
    path: str
    weights: str
    adapter: Path | None = None
    """A random one, where an adapter is trained: a new one changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How much of everything."""

    folder: Path
    """For data, adapters and the runs' folders."""
    steps: int = 3
    tokens: int = 64
    """Of a response at most."""
    dtype: str | None = None
    """float32, bfloat16, ...; None: what a run would have."""
    options: Sequence[str] = field(default_factory=tuple)
    """The launcher's, which win."""

    def run_folder(self, case: Case) -> Path:
        return self.folder / "runs" / f"{case.model} {case.weights}".replace(" ", "_").replace("/", "_")


def write_data(folder: Path, steps: int) -> None:
    """Sums of two numbers, as many as the steps ask for. Countdown's grader needs no process; its verdicts do not matter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        write_rows([_row(index) for index in range(steps * PROMPTS)], folder / name)


def _row(index: int) -> VerlRow:
    left, right = 17 + 29 * index, 83 + 7 * index
    return make_row(
        data_source="countdown",
        prompt=f"What is {left} + {right}? Explain each step.",
        ground_truth=CountdownProblem((left, right), left + right).reference,
        split="train",
        index=index,
    )


def overrides_of(case: Case, measure: Measure) -> list[str]:
    """The launcher's options for a case.

    Raises:
        ValueError: Its tokenizer cannot be used.
    """
    given = dict(AT_RATE_0) | {
        "actor_rollout_ref.model.path": case.path,
        "data.train_files": measure.folder / FILES[0],
        "data.val_files": measure.folder / FILES[1],
        "data.max_response_length": measure.tokens,
        "trainer.total_training_steps": measure.steps,
        "trainer.output_dir": measure.run_folder(case),
        "trainer.rollout_gap_file": measure.run_folder(case) / GAP_FILE,
    }
    given |= _prompts(case, measure.steps)
    if case.adapter is not None:
        given |= {"actor_rollout_ref.model.lora_rank": RANK, "actor_rollout_ref.model.lora_alpha": ALPHA}
        given["actor_rollout_ref.model.lora_adapter_path"] = case.adapter
        given["actor_rollout_ref.model.lora.merge"] = case.weights == MERGED
    return [*(f"{name}={value}" for name, value in given.items()), *_precision(measure.dtype), *measure.options]


def _prompts(case: Case, steps: int) -> Iterator[tuple[str, Any]]:
    """Their length, under the model's chat template or, where it has none, as they are."""
    template = PASS_THROUGH_CHAT_TEMPLATE if may_lack_template(case.path) else None
    length = length_function(case.path, template, {})
    longest = max(length(_row(index)["prompt"]) for index in range(steps * PROMPTS))
    yield "data.max_prompt_length", -(-longest // ROUND) * ROUND
    if template is not None:
        yield "actor_rollout_ref.model.custom_chat_template", f"'{template}'"


def _precision(dtype: str | None) -> list[str]:
    """Of learner and rollout, on any device."""
    if dtype is None:
        return []
    sections = ("actor_rollout_ref.actor.fsdp_config", "actor_rollout_ref.rollout")
    return [f"{section}.dtype={dtype}" for section in sections]


def type_of(path: str) -> str:
    """What a model's configuration calls it, and whether its embeddings are tied."""
    config = model_config(path) or {}
    tied = "tied" if config.get("tie_word_embeddings") else "untied"
    return f"{config.get('model_type', 'unknown')}, {tied}"
