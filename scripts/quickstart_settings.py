"""What the quickstart does for each model: where it comes from, on which problems, and how much of everything."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from verl_ext.grading.arithmetic import canonical_answer


def as_written(answer: str) -> str:
    return answer


ANSWERS = "answers.html"
"""The page of the answers, beside the report."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One quickstart; every objective gets the same prompts, samples, steps and learning rate."""

    name: str
    """Of model and task, for titles."""
    model_command: tuple[str, ...]
    """The script that makes the base model's folder, with its arguments but the folder."""
    model_text: str
    task: str
    """As ``prepare_data.py`` spells it."""
    task_options: tuple[str, ...]
    task_text: str
    num_train: int
    num_test: int
    num_steps: int
    steps_between_checkpoints: int
    prompts_per_step: int
    samples_per_prompt: int
    learning_rate: str
    max_prompt_tokens: int
    max_response_tokens: int
    saved: str
    """Of a checkpoint; what is more than hf_model lets an interrupted run go on."""
    evaluations_at_once: int
    """Models that are sampled side by side, each with one thread; with 1, eval.py shares the cores out."""
    num_samples: int = 256
    """Answers to each held-out problem."""
    is_unseen_by_base: bool = False
    """Without the problems that the base was taught, which only one of ``build_small_model.py`` knows."""
    canonical: Callable[[str], str] = field(default=as_written)
    """What makes two spellings of an answer one."""

    @property
    def data_name(self) -> str:
        """What the files of the problems begin with."""
        return self.task.replace("/", "_")

    @property
    def written(self) -> dict[str, Any]:
        """As JSON gives it back."""
        values = asdict(self) | {"canonical": self.canonical.__name__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @property
    def step_text(self) -> str:
        return f"{self.num_steps} steps of {self.prompts_per_step} prompts x {self.samples_per_prompt} samples"


SMALL, SMOLLM2 = "small", "smollm2"
SETTINGS = {
    SMALL: Settings(
        name="a small model on Countdown",
        model_command=("build_small_model.py", "--partial"),
        model_text="supervised on demonstrations, some of them wrong",
        task="countdown",
        task_options=("--short", "--low", "11", "--high", "20", "--max_target", "1000"),
        task_text="Countdown: reach a target of up to 1,000 with three numbers of 11 to 20, each used once; the base was taught "
        "targets of up to 100, and none of the problems; test problems are held out",
        is_unseen_by_base=True,
        num_train=4000,
        num_test=200,
        num_steps=100,
        steps_between_checkpoints=50,
        prompts_per_step=16,
        samples_per_prompt=8,
        learning_rate="5e-5",  # at 1e-4 NSR comes apart on these problems: docs/studies.md
        max_prompt_tokens=32,
        max_response_tokens=16,
        saved="[model,optimizer,extra,hf_model]",
        evaluations_at_once=2,  # an engine on so small a model fills one core
        canonical=canonical_answer,
    ),
    SMOLLM2: Settings(
        name="SmolLM2-135M-Instruct on number filtering",
        model_command=("get_model.py", "smollm2-135m"),
        model_text="SmolLM2-135M-Instruct, pretrained",
        task="reasoning_gym/number_filtering",
        task_options=(
            *(f"--option={name}" for name in ("min_numbers=3", "max_numbers=4", "max_decimals=0")),
            *("--option=min_value=0", "--option=max_value=99", "--bare", "--num_examples", "2"),
        ),
        task_text="number filtering of reasoning-gym: which of three or four numbers are larger, or smaller, than another; "
        "two solved examples; test problems are held out",
        num_train=400,
        num_test=30,
        num_steps=20,
        steps_between_checkpoints=20,  # 2 GB each with what resuming needs
        prompts_per_step=8,
        samples_per_prompt=8,
        learning_rate="1e-5",
        max_prompt_tokens=176,
        max_response_tokens=24,
        saved="[hf_model]",
        evaluations_at_once=1,
    ),
}
