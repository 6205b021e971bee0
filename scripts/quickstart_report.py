"""What the quickstart shows at its end: plots, numbers and one page."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from quickstart_settings import ANSWERS, Settings

from verl_ext.metrics.generations import Generations, read_generations
from verl_ext.plots.figures import pass_at_k_figure, png, training_figure
from verl_ext.report.answer_sources import source_of
from verl_ext.report.drawings import write_pictures
from verl_ext.report.html_page import render_html
from verl_ext.report.page import ReportInputs, compose_report
from verl_ext.report.results import build_results, results_as_json
from verl_ext.report.run_logs import read_run_log


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
    """What a reader needs to judge the numbers and the runs do not tell, from the base model's folder and one ``run.json``."""
    actor = record["config"]["actor_rollout_ref"]["actor"]
    return [
        ("task", settings.task_text),
        ("base model", base_text(base, settings)),
        (
            "optimizer",
            f"AdamW, learning rate {actor['optim']['lr']}, mini-batch {actor['ppo_mini_batch_size']} prompts",
        ),
        ("evaluation", f"{num_samples} answers a problem at temperature 1"),
        ("trainer", "verl's V1 trainer: Ray, FSDP2, vLLM"),
    ]


def write_report(output: Path, settings: Settings, names: Sequence[str], runs: Mapping[str, Path]) -> None:
    """Write pass_at_k.png, training.png, metrics.json, report.html and its pictures into ``output``.

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
    logs = [read_run_log(folder, name) for name, folder in runs.items()]
    curves = [curve for log in logs if (curve := log.curve) is not None]
    (output / "metrics.json").write_text(json.dumps(results_as_json(results), indent=2) + "\n", encoding="utf-8")
    (output / "pass_at_k.png").write_bytes(
        png(pass_at_k_figure(results.curves, heading=f"pass@k on held-out problems: {settings.name}"))
    )
    if curves:
        (output / "training.png").write_bytes(png(training_figure(curves)))
    page, drawings = compose_report(
        ReportInputs(results=results, sources=[source_of(each, logs) for each in generations], logs=logs),
        title=f"Learning from right and from wrong answers: {settings.name}",
        answers_page=ANSWERS,
        question=f"Does learning from wrong answers alone keep what the base model can do? {settings.task_text}",
        facts=facts_of(output / "base", settings, logs[0].record, results.largest_k) if logs and logs[0].record else [],
    )
    write_pictures(drawings, output / "pictures")
    (output / "report.html").write_text(render_html(page, drawings), encoding="utf-8")
