"""The runs of one model on both sides, taking turns; shared work, checked step by step."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from matmul_speed import Speeds, thread_counts
from model_flops import Sizes, StepShape, rollout_flops, update_flops
from runs import Run, median_of, ours, prepare, shared_options
from step_work import our_work, require_same, trl_work
from trl_environment import environment
from trl_runs import Search, Trial, TRLWork, Variant, micro_batches

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.tasks.countdown import generate_problems, long_prompt, short_prompt

OBJECTIVES = ("grpo", "nsr", "psr")
LONGEST_PROMPT = {"byte": 32, "smollm2": 192}
"""In tokens, the chat template included."""
WORDS = {"fp32": "float32", "float32": "float32", "bf16": "bfloat16", "bfloat16": "bfloat16"}
"""verl's and vLLM's words for a precision."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run."""

    prompts: int
    samples: int
    answer_tokens: int
    steps: int
    warm_up: int
    """First steps of a run, which are not counted."""
    rounds: int


PLANS = {
    ("byte", False): Plan(prompts=8, samples=8, answer_tokens=16, steps=20, warm_up=2, rounds=3),
    ("byte", True): Plan(prompts=4, samples=4, answer_tokens=8, steps=4, warm_up=1, rounds=1),
    ("smollm2", False): Plan(prompts=8, samples=8, answer_tokens=64, steps=4, warm_up=1, rounds=1),
    ("smollm2", True): Plan(prompts=2, samples=8, answer_tokens=16, steps=2, warm_up=1, rounds=1),
}


@dataclass(kw_only=True)
class Row:
    """The runs of one side with one objective."""

    name: str
    settings: dict[str, Any]
    rollout_precision: str = "float32"
    learner_precision: str = "float32"
    threads: int = 1
    """That it may use."""
    runs: list[Run] = field(default_factory=list)

    def step_seconds(self, warm_up: int) -> float:
        return median(median_of(run.steps, "step", skip=warm_up) for run in self.runs)

    def wall_seconds(self, warm_up: int) -> float:
        """Mean seconds of the steps after the warm-up, by the arrival of their lines."""
        return median(
            (run.arrivals[-1] - run.arrivals[warm_up - 1]) / (len(run.arrivals) - warm_up) for run in self.runs
        )

    def kept(self, warm_up: int) -> float:
        """Share of the answers' tokens that reach the update."""
        steps = [step for run in self.runs for step in run.steps[warm_up:]]
        return mean(step.get("train/kept_token_ratio", 1.0) for step in steps)  # TRL keeps all

    def limit_seconds(self, sizes: Sizes, shape: StepShape, speeds: Speeds, *, kept: float) -> float:
        """Seconds of the products alone, with as many of its threads as are fastest."""
        rollout, learner = (
            max(speed for threads, speed in speeds[precision].items() if threads <= self.threads)
            for precision in (self.rollout_precision, self.learner_precision)
        )
        return rollout_flops(sizes, shape) / rollout + kept * update_flops(sizes, shape) / learner


@dataclass(kw_only=True)
class Comparison:
    """One model's runs, side by side."""

    kind: str
    """byte or smollm2."""
    is_quick: bool
    tries_all: bool
    """Whether every combination of TRL's options is tried."""
    environment: Path
    """Of TRL."""
    model_path: Path
    """SmolLM2's folder."""
    folder: Path
    """For what is written on the way."""
    known: Sequence[Variant] = ()
    """TRL's fastest options from an earlier run, which are not searched for; empty for a search."""
    rows: list[Row] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Processes that wanted a core in the minute before."""

    def __post_init__(self) -> None:
        self.plan = PLANS[self.kind, self.is_quick]
        self.problems = generate_problems(512, seed=1, split="train")
        to_prompt = short_prompt if self.kind == "byte" else long_prompt
        self.prompts = [to_prompt(problem) for problem in self.problems]
        if self.kind == "byte":
            prepare(self.folder)
            self.model = self.folder / "model"
        else:
            self.model = self.model_path

    def write_prompts(self) -> None:
        rows = [
            make_row(data_source="countdown", prompt=prompt, ground_truth=each.reference, split="train", index=index)
            for index, (prompt, each) in enumerate(zip(self.prompts, self.problems, strict=True))
        ]
        write_rows(rows, self.folder / "train.parquet")

    def shape(self, prompt_tokens: float = 0.0) -> StepShape:
        plan = self.plan
        return StepShape(
            prompts=plan.prompts, samples=plan.samples, prompt_tokens=prompt_tokens, answer_tokens=plan.answer_tokens
        )

    def trl_rows(self, work: TRLWork) -> list[Row]:
        """TRL's best, and its best without float32 weights where that is faster."""
        chosen = list(self.known) or self._searched(work)
        return [
            Row(
                name=f"TRL, {variant}",
                settings=work.options(variant, self.plan.steps) | asdict(variant),
                rollout_precision=variant.precision.split()[0],
                learner_precision=variant.precision.split()[0],
                threads=variant.threads,
            )
            for variant in chosen
        ]

    def _searched(self, work: TRLWork) -> list[Variant]:
        quarter = work.shape.num_sequences // 4
        search = Search(
            work,
            steps=3 if self.kind == "byte" and not self.is_quick else 2,  # a minute each with SmolLM2
            sizes=[quarter] if self.is_quick else micro_batches(work.shape.num_sequences),
            threads=[1] if self.is_quick else thread_counts(),
        )
        start = Variant(precision="float32", threads=search.threads[-1], micro_batch=quarter)
        best = search.best(start, every=self.tries_all or (self.kind, self.is_quick) == ("byte", False))
        if search.trials[best].failure:
            raise SystemExit("error: TRL failed with every one of its options; see above.")
        chosen = [best]
        low = search.fastest(Variant(**asdict(best) | {"precision": name}) for name in ("bfloat16 weights",))
        if search.seconds(low) < search.seconds(best):
            chosen.append(low)
        self.trials = list(search.trials.values())
        return chosen

    def measure(self) -> None:
        """Fill ``rows``: all runs of a round, one after the other, as often as there are rounds."""
        self.write_prompts()
        python = environment(self.environment)
        chats = [[{"role": "user", "content": prompt}] for prompt in self.prompts]
        work = TRLWork(python=python, model=self.model, prompts=chats, shape=self.shape(), folder=self.folder)
        theirs = self.trl_rows(work)
        mine = [Row(name=f"ours, {name}", settings={}) for name in OBJECTIVES]
        self.rows = [*theirs, *mine]
        for number in range(self.plan.rounds):
            for index, row in enumerate(theirs):
                variant = Variant(**{name: row.settings[name] for name in ("precision", "threads", "micro_batch")})
                row.runs.append(work.run(f"trl_{index}_{number}", variant, self.plan.steps))
            for objective, row in zip(OBJECTIVES, mine, strict=True):
                self.run_ours(objective, row, number)
            self.require_same_work(theirs, mine)

    def run_ours(self, objective: str, row: Row, number: int) -> None:
        options = self.our_options(objective)
        name = f"{objective}_{number}"
        row.runs.append(ours(self.folder, name, options))
        whole = json.loads((self.folder / name / "run.json").read_text())["config"]
        config = whole["actor_rollout_ref"]
        row.threads = int(whole["ray_kwargs"]["ray_init"]["runtime_env"]["env_vars"]["OMP_NUM_THREADS"])
        row.settings = {"options": options, "actor": config["actor"]["fsdp_config"], "rollout": config["rollout"]}
        row.rollout_precision = WORDS[config["rollout"]["dtype"]]
        row.learner_precision = WORDS[config["actor"]["fsdp_config"]["mixed_precision"]["param_dtype"]]

    def our_options(self, objective: str) -> list[str]:
        plan = self.plan
        work = shared_options(
            self.folder,
            prompts=plan.prompts,
            samples=plan.samples,
            tokens=plan.answer_tokens,
            steps=plan.steps,
            objective=objective,
            model=self.model,
            prompt_tokens=LONGEST_PROMPT[self.kind],
        )
        return [*work, "data.shuffle=False"]

    def require_same_work(self, theirs: list[Row], mine: list[Row]) -> None:
        for our_row in mine:
            for their_row in theirs:
                try:
                    require_same(our_work(our_row.runs[-1].steps), trl_work(their_row.runs[-1].steps))
                except ValueError as error:
                    raise SystemExit(f"error: {our_row.name} against {their_row.name}: {error}") from error
