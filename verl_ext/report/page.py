"""Runs and answers as one page: what was asked, the answer, the pictures, the numbers, and how to make them again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from verl_ext.host.command_line import shown
from verl_ext.plots.run_figures import by_seed
from verl_ext.plots.style import style_by_name
from verl_ext.plots.training_curves import TrainingCurve
from verl_ext.report.answer_blocks import answer_lines, main_picture, number_blocks
from verl_ext.report.answer_sources import AnswerSource, source_table
from verl_ext.report.drawings import Drawing
from verl_ext.report.findings import label, on_different_problems
from verl_ext.report.objective_blocks import objective_blocks
from verl_ext.report.page_blocks import (
    Block,
    Commands,
    Fold,
    Heading,
    PageContent,
    PageLink,
    Paragraph,
    PictureShown,
    Said,
)
from verl_ext.report.reproduction import reproduction_blocks
from verl_ext.report.results import Results
from verl_ext.report.run_blocks import (
    choice_blocks,
    choice_sentence,
    curves_by_method,
    ends_of,
    missing_blocks,
    training_blocks,
)
from verl_ext.report.run_logs import RunLog
from verl_ext.report.sentences import listed, range_text

_MOST_NAMED = 4
_MANY_FILES = 8
_TRAINING_ONLY = (
    "Training accuracy is of the problems that a run trains on, before it learns from them. It does not say how the model does on "
    "others: give files of answers to held-out problems too."
)


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """What a page is about; at least one run or one file of answers."""

    results: Results | None = None
    """Of the answers."""
    sources: Sequence[AnswerSource] = ()
    logs: Sequence[RunLog] = ()
    num_not_paired: int = 0
    """Pairs of methods that ``results`` leaves out."""


def compose_report(
    inputs: ReportInputs,
    *,
    title: str,
    question: str = "",
    facts: Sequence[tuple[str, str]] = (),
    commands: Sequence[str] = (),
    caveats: Sequence[str] = (),
    answers_page: str = "",
) -> tuple[PageContent, dict[str, Drawing]]:
    """The page and its pictures.

    Args:
        inputs: Runs and answers.
        title: Its heading.
        question: What was asked; what the inputs can answer if empty.
        facts: (name, value) rows of what was run that the runs do not tell themselves.
        commands: That make the page, or its answers.
        caveats: Sentences for the reader to keep in mind.
        answers_page: A file beside the page that shows the answers themselves.
    """
    results, logs = inputs.results, inputs.logs
    drawings: dict[str, Drawing] = {}
    training = training_blocks(logs, drawings)
    limits = [*(on_different_problems(results) if results else ()), *_choice_limit(inputs), *caveats]
    if results is not None:
        picture: PictureShown | None = main_picture(results, drawings)
        answer = answer_lines(results, limits, num_training_seeds=_seeds(inputs))
    else:
        picture = next((block for block in training if isinstance(block, PictureShown)), None)
        answer = _training_lines(logs, limits)
        training = [block for block in training if block is not picture]
    rest: list[Block] = [
        *training,
        *choice_blocks(logs, drawings),
        *(number_blocks(results, drawings, num_not_paired=inputs.num_not_paired) if results else ()),
        *_answers(inputs, answers_page),
        *objective_blocks([log.settings for log in logs if log.record], drawings),
        *missing_blocks(_missing(inputs)),
        *reproduction_blocks(logs, facts=facts, commands=commands),
    ]
    page = PageContent(
        title=title,
        subtitle=_subtitle(inputs),
        question=question or _question(inputs),
        answer=answer,
        picture=picture,
        rest=rest,
    )
    return page, drawings


def _subtitle(inputs: ReportInputs) -> str:
    parts = [f"{len(inputs.logs)} run{'s' * (len(inputs.logs) != 1)}"] if inputs.logs else []
    if inputs.results is not None:
        curves = inputs.results.curves
        counts = [curve.num_problems[0] for curve in curves]
        parts.append(
            f"{len(curves)} model{'s' * (len(curves) > 1)}, {range_text(min(counts), max(counts))} problems: "
            f"{sum(curve.num_answers for curve in curves):,} graded answers"
        )
    return "; ".join(parts)


def _question(inputs: ReportInputs) -> str:
    if inputs.results is None:
        return (
            "What happened while the runs trained?" if len(inputs.logs) > 1 else "What happened while the run trained?"
        )
    results = inputs.results
    others = [label(curve.name) for curve in results.curves if curve.name != results.base]
    problems = f"{range_text(*results.num_shared)} problems"
    if not others:
        return f"How many of {problems} does {label(results.base)} solve?"
    named = listed(others) if len(others) <= 2 * _MOST_NAMED else f"{len(others)} models"
    verb = "Do" if len(others) > 1 else "Does"
    if on_different_problems(results):
        shared = f"the {problems} that {'each shares' if len(others) > 1 else 'it shares'} with {label(results.base)}"
        return f"{verb} {named} solve more or fewer of {shared}, with one answer to each and with many?"
    return f"{verb} {named} solve more or fewer of {problems} than {label(results.base)}, with one answer to each and with many?"


def _seeds(inputs: ReportInputs) -> int:
    """How many trainings stand behind each method of the answers, as far as their names tell."""
    curves = [] if inputs.results is None else inputs.results.curves[1:]
    return min((len(group) for group in by_seed(curves).values()), default=1)


def _choice_limit(inputs: ReportInputs) -> list[str]:
    """Which steps the answers are of, before all else to keep in mind."""
    steps = [source for source in inputs.sources if source.step is not None]
    if steps:
        ways = dict.fromkeys(source.how_chosen for source in steps)
        named = [f"{way} ({_count(sum(source.how_chosen == way for source in steps), 'model')})" for way in ways]
        return [f"Steps of the answers: {'; '.join(named)}."]
    choices = [log.choice for log in inputs.logs if log.choice is not None]
    return [choice_sentence(choices)] if choices else []


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _training_lines(logs: Sequence[RunLog], limits: Sequence[str]) -> list[Said]:
    """What training alone shows, for a page without answers."""
    curves = curves_by_method([curve for log in logs if (curve := log.curve) is not None])
    if not curves:
        return [Said("Nothing yet", "No run has finished a step, so there is nothing to show of training.")]
    lines = []
    for title, key, form in (
        ("Accuracy", "correct_ratio", lambda value: f"{100 * value:.1f} %"),
        ("Entropy", "entropy", lambda value: f"{value:.2f}"),
    ):
        said = _from_to(curves, key, form)
        if said:
            lines.append(Said(title, said[0], said[1:], f"all {len(said) - 1} of them"))
    mind = [*limits, _TRAINING_ONLY]
    return [*lines, Said("Keep in mind", mind[0], mind[1:], "and what training accuracy is")]


def _from_to(curves: Sequence[TrainingCurve], key: str, form: Callable[[float], str]) -> list[str]:
    """A sentence of the first few methods, then one of each where there are more."""
    styles = style_by_name([curve.name for curve in curves])
    parts = [
        f"{styles[curve.name].label} from {form(ends[0])} to {form(ends[1])}"
        for curve in curves
        if (ends := ends_of(curve, key)) is not None
    ]
    if not parts:
        return []
    shown = "; ".join(parts[:_MOST_NAMED])
    return (
        [f"{shown}; and {len(parts) - _MOST_NAMED} more.", *(f"{part}." for part in parts)]
        if len(parts) > _MOST_NAMED
        else [f"{shown}."]
    )


def _answers(inputs: ReportInputs, answers_page: str) -> list[Block]:
    """Where they are from and where they can be looked at."""
    logged = [log for log in inputs.logs if log.has_rollout_log]
    blocks: list[Block] = []
    if answers_page:
        blocks.append(PageLink("Read the answers, with their verdicts, problem by problem", answers_page))
    if inputs.sources:
        table = source_table(inputs.sources)
        is_long = len(inputs.sources) > _MANY_FILES
        blocks.append(Fold(f"All {len(inputs.sources)} files", [table]) if is_long else table)
    if logged:
        command = f"python -m verl_ext.viewer {' '.join(shown(log.folder) for log in logged)}"
        blocks += [Paragraph("What the runs answered while they trained is shown by"), Commands([command])]
    return [Heading("The answers"), *blocks] if blocks else []


def _missing(inputs: ReportInputs) -> Mapping[str, Sequence[str]]:
    """By run and by file; a run and its answers may have one name."""
    found: dict[str, list[str]] = {}
    for log in inputs.logs:
        found.setdefault(log.name, []).extend(log.missing)
    for source in inputs.sources:
        found.setdefault(f"answers of {source.name}", []).extend(source.missing)
    if inputs.logs and inputs.results is None:
        found.setdefault("this page", []).append("no file of answers, so nothing of pass@k on held-out problems")
    return found
