"""pass@k of a generations file in the metadata of a model card: the ``model-index`` that the hub shows as results."""

import sys
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

from verl_ext.export.exported_answers import ExportedAnswers, Lacks
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.label_file import left_aside, read_counts
from verl_ext.metrics.pass_at_k import powers_of_two_up_to
from verl_ext.metrics.summary import PassAtKCurve, curve_of
from verl_ext.pretrained.hub import dataset_name


def write_model_card(
    source: ExportedAnswers, target: Path, place: Path, verdict: str | None
) -> tuple[Generations, Lacks]:
    """Write the card ``target`` with the results into ``place``.

    A card that is there keeps its text, its other metadata and its other results.

    Raises:
        ValueError: The file cannot be counted, or the card's metadata cannot be read.
    """
    generations = read_counts(
        source.path, verdict=verdict, on_unusable=lambda reason: print(left_aside(reason), file=sys.stderr)
    )
    curve = curve_of(generations, powers_of_two_up_to(int(generations.num_samples_P.min())))
    results = _results(source, curve)
    card = _card(target, source, curve)
    data: Any = card.data
    data.eval_results = [*_others(data.eval_results or [], results), *results]
    data.model_name = data.model_name or Path(source.model).name
    place.write_text(str(card), encoding="utf-8")
    return generations, Lacks()


def _card(target: Path, source: ExportedAnswers, curve: PassAtKCurve) -> Any:
    """The ``ModelCard`` that is there, or a new one.

    Raises:
        ValueError: The metadata of the one that is there cannot be read.
    """
    from huggingface_hub import ModelCard, ModelCardData
    from yaml import YAMLError

    if not target.exists():
        head = ModelCardData(library_name="transformers", pipeline_tag="text-generation")
        return ModelCard(f"---\n{head.to_yaml()}\n---\n\n{_text(source, curve)}")
    try:
        return ModelCard(target.read_text(encoding="utf-8"))
    except (YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"--out {target}: the metadata between its lines of --- cannot be read ({said}). Correct them, or name a new file."
        ) from error


def _results(source: ExportedAnswers, curve: PassAtKCurve) -> list[Any]:
    """An ``EvalResult`` of each k; the interval is of other problems of the same kind.

    A generations file does not say which rows of which split its problems were, so the results do not either.
    """
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=dataset_name(source.task),
            dataset_name=source.task,
            metric_type=f"pass@{k}",
            metric_name=f"pass@{k}",
            metric_value=value,
            metric_args={"k": k, "n": curve.max_samples, "problems": problems}
            | ({} if isnan(low) else {"low": low, "high": high}),
        )
        for k, value, problems, low, high in zip(
            curve.ks, curve.pass_at_k, curve.num_problems, curve.low, curve.high, strict=True
        )
    ]


def _others(old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    """The results that are not of a data set and metric of ``new``."""
    taken = {(result.dataset_type, result.dataset_name, result.metric_type) for result in new}
    return [result for result in old if (result.dataset_type, result.dataset_name, result.metric_type) not in taken]


def _text(source: ExportedAnswers, curve: PassAtKCurve) -> str:
    rows = "\n".join(
        f"| {k} | {100 * value:.1f} | {'none' if isnan(low) else f'{100 * low:.1f} to {100 * high:.1f}'} |"
        for k, value, low, high in zip(curve.ks, curve.pass_at_k, curve.low, curve.high, strict=True)
    )
    sampling = ", ".join(
        f"{name} {source.sampling[name]}" for name in ("temperature", "top_p", "max_tokens") if name in source.sampling
    )
    return (
        f"# {Path(source.model).name}\n\n## Scores\n\n"
        f"Unbiased pass@k on {source.task}, in %, with 95 % intervals over problems: {curve.num_answers:,} answers"
        f"{f' at {sampling}' if sampling else ''}.\n\n| k | pass@k | interval |\n| --- | --- | --- |\n{rows}\n"
    )
