"""Build the small model into a folder that transformers and vLLM load, unless it is already built.

``build.json`` next to the weights says how it was made and what it can do. Its recipe decides whether a folder is
up to date.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2ForCausalLM

from verl_ext.grading.arithmetic import canonical_answer
from verl_ext.grading.countdown_grader import grade_countdown
from verl_ext.host.files import replacing
from verl_ext.small_model.architecture import TINY, Architecture, random_weights
from verl_ext.small_model.demonstrations import draw_demonstrations, prompt_text, tokenize
from verl_ext.small_model.sampling import sample_responses
from verl_ext.small_model.supervise import Schedule, supervise
from verl_ext.small_model.tokenizer import build_tokenizer
from verl_ext.tasks.countdown import CountdownProblem, generate_problems

MAX_ANSWER_TOKENS = 16
"""Twice the longest answer of three digits, such as ``(1+2)*3`` and its end."""

PASS_AT_1_RANGE = (0.15, 0.40)
MIN_PASS_AT_256 = 0.90
"""Within these a base that was taught wrong answers too has something to learn, and the answers to learn it from."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the weights, apart from the machine, its threads and the version of torch."""

    architecture: Architecture = field(default_factory=Architecture)
    schedule: Schedule = field(default_factory=Schedule)
    num_problems: int = 8000
    """Training problems; of three numbers from 1 to 9 nearly all that there are."""
    high: int = 9
    """Largest number in a problem."""
    wrong_share: float = 0.3
    seed: int = 0


NARROW = Recipe(schedule=Schedule(num_steps=1200, weight_decay=0.1), num_problems=1000, wrong_share=0.0)
"""A base that has seen few problems, learned them by heart and never an answer that is wrong: sure of itself, as pretrained
models are. It leaves some problems unsolved in 256 answers, so that there is something to keep and to lose at a large k."""

PARTIAL = Recipe(schedule=Schedule(num_steps=1200), num_problems=3000, high=20)
"""A base that was taught a part of many problems. Reinforcement learning from it gets others (``taught_problems``), so that
what it learns is not what the base knew by heart."""


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What the base can do on test problems, sampled at temperature 1."""

    num_problems: int
    num_samples: int
    pass_at_1: float
    pass_at_n: float
    """Share of the problems with a correct answer among their ``num_samples``."""
    distinct_answers: float
    """Mean over the problems: different answers among their samples, order and grouping of the operands aside."""
    distinct_texts: float
    well_formed: float
    """Share of the responses that end and are an expression of exactly the given numbers."""


def build_small_model(
    out_dir: str | Path,
    *,
    seed: int = 0,
    is_tied: bool = True,
    recipe: Recipe | None = None,
    num_test_problems: int = 100,
    num_samples: int = 256,
) -> Path:
    """Train the base model into ``out_dir``, unless it already holds the model of this recipe.

    Equal to the bit on the same machine with the same torch and ``torch.get_num_threads()``; ``build.json`` has both.

    Args:
        out_dir: Appears complete or not at all. May hold an older small model, which is replaced; nothing else.
        seed: Of the weights, the problems and the demonstrations.
        is_tied: Whether one matrix embeds the tokens and scores them.
        recipe: In place of the default, ``seed`` and ``is_tied``.
        num_test_problems: Test problems of the measurement at the end.
        num_samples: Responses to each.

    Raises:
        FileExistsError: ``out_dir`` holds something that is no small model.
    """
    recipe = recipe or Recipe(architecture=Architecture(is_tied=is_tied), seed=seed)
    tokenizer = build_tokenizer(max_length=recipe.architecture.max_length)
    described = _described("supervised", asdict(recipe), tokenizer)
    out_dir = Path(out_dir)
    if _is_built(out_dir, described):
        print(f"{out_dir} has this model already.")
        return out_dir

    began = time.perf_counter()
    schedule = recipe.schedule
    problems = _problems_of(recipe.num_problems, recipe.seed, recipe.high)
    demonstrations = draw_demonstrations(
        problems, schedule.num_steps * schedule.batch_size, wrong_share=recipe.wrong_share, seed=recipe.seed
    )
    token_DT, label_DT = tokenize(demonstrations, tokenizer)
    model = random_weights(recipe.architecture, tokenizer, seed=recipe.seed)
    losses = supervise(model, token_DT, label_DT, schedule)
    trained = time.perf_counter()
    acceptance = measure(
        model,
        tokenizer,
        generate_problems(num_test_problems, seed=recipe.seed, split="test", high=recipe.high),
        num_samples=num_samples,
        seed=recipe.seed,
    )
    record = {
        "loss": fmean(losses[-50:]),
        "acceptance": asdict(acceptance),
        "train_seconds": trained - began,
        "measure_seconds": time.perf_counter() - trained,
    }
    _publish(out_dir, model, tokenizer, described | record)
    print(
        f"{out_dir}: {model.num_parameters() / 1e6:.2f}M parameters, {time.perf_counter() - began:.0f} s, "
        f"pass@1 {acceptance.pass_at_1:.1%}, pass@{num_samples} {acceptance.pass_at_n:.1%} and "
        f"{acceptance.distinct_answers:.0f} distinct answers on {num_test_problems} test problems."
    )
    low, high = PASS_AT_1_RANGE
    is_poor = not low <= acceptance.pass_at_1 <= high or (num_samples >= 256 and acceptance.pass_at_n < MIN_PASS_AT_256)
    if is_poor and recipe.wrong_share:
        print(
            f"Warning: a good base has pass@1 of {low:.0%} to {high:.0%} and pass@256 of at least "
            f"{MIN_PASS_AT_256:.0%}. Reinforcement learning from this one may show little: try another seed."
        )
    return out_dir


def _problems_of(num_problems: int, seed: int, high: int) -> list[CountdownProblem]:
    return generate_problems(num_problems, seed=seed, split="train", high=high)


def taught_problems(folder: str | Path) -> list[CountdownProblem]:
    """The problems that ``build_small_model`` taught the model in ``folder``.

    Raises:
        ValueError: It holds no model that was taught here, or one of an older version.
    """
    record = _read_record(Path(folder)) or {}
    recipe = record.get("recipe", {})
    try:
        return _problems_of(recipe["num_problems"], recipe["seed"], recipe["high"])
    except KeyError:
        raise ValueError(
            f"{folder} has no build.json that says which problems its model was taught. Build one with "
            "scripts/build_small_model.py, without --random."
        ) from None


def random_model(
    out_dir: str | Path, *, is_tied: bool = True, seed: int = 0, architecture: Architecture = TINY
) -> Path:
    """Write a model with random weights into ``out_dir``, in a moment, unless it already exists.

    Args:
        out_dir: As in ``build_small_model``.
        is_tied: Whether one matrix embeds the tokens and scores them, whatever ``architecture`` says.
        seed: Of the weights.
        architecture: Sizes.
    """
    architecture = replace(architecture, is_tied=is_tied)
    tokenizer = build_tokenizer(max_length=architecture.max_length)
    described = _described("random", {"architecture": asdict(architecture), "seed": seed}, tokenizer)
    out_dir = Path(out_dir)
    if not _is_built(out_dir, described):
        _publish(out_dir, random_weights(architecture, tokenizer, seed=seed), tokenizer, described)
    return out_dir


def measure(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[CountdownProblem],
    *,
    num_samples: int,
    seed: int,
) -> Acceptance:
    """Sample responses to ``problems`` and grade them."""
    prompts = [prompt_text(problem, tokenizer) for problem in problems]
    responses = sample_responses(
        model, tokenizer, prompts, num_samples=num_samples, max_new_tokens=MAX_ANSWER_TOKENS, seed=seed
    )
    num_correct, num_well_formed, num_answers, num_texts = [], [], [], []
    for problem, group in zip(problems, responses, strict=True):
        verdicts = {
            response: grade_countdown(response.text, problem.reference, is_truncated=response.is_truncated)
            for response in set(group)
        }
        num_correct.append(sum(verdicts[response].is_correct for response in group))
        num_well_formed.append(sum(verdicts[response].tier == "value" for response in group))
        num_texts.append(len({response.text for response in group}))
        num_answers.append(len({canonical_answer(response.text) for response in verdicts}))
    return Acceptance(
        num_problems=len(problems),
        num_samples=num_samples,
        pass_at_1=fmean(num_correct) / num_samples,
        pass_at_n=fmean(count > 0 for count in num_correct),
        distinct_answers=fmean(num_answers),
        distinct_texts=fmean(num_texts),
        well_formed=fmean(num_well_formed) / num_samples,
    )


def _described(kind: str, recipe: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    # A prompt as the model sees it: a model that was taught another form or other tokens is out of date.
    prompt_ids = tokenizer(prompt_text(CountdownProblem((3, 5, 7), 22), tokenizer))["input_ids"]
    return {"kind": kind, "recipe": recipe, "prompt_ids": prompt_ids}


def _read_record(out_dir: Path) -> dict[str, Any] | None:
    record = out_dir / "build.json"
    return json.loads(record.read_text(encoding="utf-8")) if record.exists() else None


def _is_built(out_dir: Path, described: dict[str, Any]) -> bool:
    """Whether ``out_dir`` holds the described model; raises if it holds something that is not ours to replace."""
    record = _read_record(out_dir)
    if record is None and out_dir.exists() and any(out_dir.iterdir()):
        raise FileExistsError(f"{out_dir} holds something other than a small model. Name another folder, or empty it.")
    return record is not None and described.items() <= record.items()


def _publish(
    out_dir: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, record: dict[str, Any]
) -> None:
    """Write all files beside ``out_dir``, then put the folder in its place."""
    with replacing(out_dir) as beside:
        model.generation_config = GenerationConfig(
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
        )
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        record = record | {
            "num_parameters": model.num_parameters(),
            "num_threads": torch.get_num_threads(),
            "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        }
        (beside / "build.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
