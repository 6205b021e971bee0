"""What the quickstart shows at its end: plots, numbers and one page."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from quickstart_settings import Settings

from verl_ext.metrics.generations import Generations, read_generations
from verl_ext.plots.figures import pass_at_k_figure, png, training_figure
from verl_ext.plots.reason_stack import REASON_KEYS
from verl_ext.plots.training_curves import LOG_KEYS, LOGGED_PANELS, TrainingCurve, read_run
from verl_ext.report.page import render_report
from verl_ext.report.results import build_results, results_as_json


def distinct_answers(generations: Generations, canonical: Callable[[str], str]) -> Generations:
    """The same counts with one answer for all spellings of it: of an expression, 3*5+7 and 7+5*3 are one."""
    canonical = lru_cache(maxsize=100_000)(canonical)

    def merged(problems: Sequence[Mapping[str, int]] | None) -> list[dict[str, int]] | None:
        if problems is None:
            return None
        totals = []
        for counts in problems:
            total = Counter[str]()
            for answer, count in counts.items():
                total[canonical(answer)] += count
            totals.append({answer: count for answer, count in total.items() if answer})
        return totals

    return replace(
        generations, answers=merged(generations.answers), correct_answers=merged(generations.correct_answers)
    )


def base_text(base: Path, settings: Settings) -> str:
    """What the base model is."""
    build = base / "build.json"
    if not build.exists():
        return settings.model_text
    facts = json.loads(build.read_text(encoding="utf-8"))
    return f"Qwen2, {facts['num_parameters']:,} parameters, supervised for {facts['train_seconds']:.0f} s"


def facts_of(base: Path, settings: Settings, record: Mapping[str, Any], num_samples: int) -> list[tuple[str, str]]:
    """What a reader needs to judge the numbers, from the base model's folder and one run's ``run.json``."""
    config = record["config"]
    rollout, actor = config["actor_rollout_ref"]["rollout"], config["actor_rollout_ref"]["actor"]
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    batch = config["data"]["train_batch_size"]
    return [
        ("task", settings.task_text),
        ("base model", base_text(base, settings)),
        ("training", f"{config['trainer']['total_training_steps']} steps of {batch} prompts x {rollout['n']} samples"),
        (
            "optimizer",
            f"AdamW, learning rate {actor['optim']['lr']}, mini-batch {actor['ppo_mini_batch_size']} prompts",
        ),
        ("evaluation", f"{num_samples} answers a problem at temperature 1"),
        ("trainer", "verl's V1 trainer: Ray, FSDP2, vLLM"),
        ("versions", packages),
        ("code", json.dumps(record["git"])),
        ("machine", f"{record['machine']['platform']}, {record['machine']['num_cpus']} cores"),
    ]


def write_report(output: Path, settings: Settings, names: Sequence[str], runs: Mapping[str, Path]) -> None:
    """Write pass_at_k.png, training.png, metrics.json and report.html into ``output``.

    Args:
        output: Folder with ``base`` and ``generations/<name>.jsonl``.
        settings: The quickstart's.
        names: What was evaluated; ``base`` first.
        runs: Output folder of each training run, by name.
    """
    generations = [
        distinct_answers(
            read_generations(output / "generations" / f"{name}.jsonl", name=name, with_answers=True),
            settings.canonical,
        )
        for name in names
    ]
    results = build_results(generations)
    curves: list[TrainingCurve] = [
        read_run(folder, name=name, keys=LOG_KEYS | REASON_KEYS) for name, folder in runs.items()
    ]
    records = {name: json.loads((folder / "run.json").read_text(encoding="utf-8")) for name, folder in runs.items()}
    (output / "metrics.json").write_text(json.dumps(results_as_json(results), indent=2) + "\n", encoding="utf-8")
    (output / "pass_at_k.png").write_bytes(
        png(pass_at_k_figure(results.curves, heading=f"pass@k on held-out problems: {settings.name}"))
    )
    if curves:
        (output / "training.png").write_bytes(png(training_figure(curves)))
    record = next(iter(records.values()), None)
    page = render_report(
        results,
        title=f"Learning from right and from wrong answers: {settings.name}",
        facts=facts_of(output / "base", settings, record, results.largest_k) if record else [],
        commands=[" ".join(record["argv"]) for record in records.values()],
        training=curves,
        panels=LOGGED_PANELS,
    )
    (output / "report.html").write_text(page, encoding="utf-8")
