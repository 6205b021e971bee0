"""What ``python -m verl_ext.report PATH...`` does: read what is there, write the page and its pictures."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from verl_ext.commands.report_inputs import NamedInputs, find_inputs
from verl_ext.commands.report_options import ReportOptions
from verl_ext.host.command_line import shown
from verl_ext.host.files import read_object, write_whole
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.label_file import left_aside, read_counts
from verl_ext.report.answer_sources import source_of
from verl_ext.report.drawings import Drawing
from verl_ext.report.page import ReportInputs, compose_report
from verl_ext.report.page_blocks import Heading, PageContent, Paragraph, renamed
from verl_ext.report.results import Results, build_results
from verl_ext.report.run_logs import read_run_log
from verl_ext.study.results_command import ResultsOptions, study_content
from verl_ext.study.study_record import NAME as STUDY_RECORD

PAGE, ANSWERS = "report.html", "answers.html"
MOST_COMPARED = 8
"""Methods: of more, only the differences from the base are tested."""
Part = tuple[PageContent, dict[str, Drawing]]


def run_report(options: ReportOptions, command: str) -> None:
    """Read what was named, and write the page and the pictures.

    Raises:
        ValueError: An input that cannot be shown; the message is for the user.
    """
    found = find_inputs(options.paths)
    parts = [_study_part(path, options, command) for path in found.studies.values()]
    if found.runs or found.answers:
        parts.append(_part(found, options, command))
    page, drawings = parts[0] if len(parts) == 1 else joined(options.title, parts)

    from verl_ext.report.drawings import write_pictures
    from verl_ext.report.html_page import render_html

    pictures = write_pictures(drawings, options.output_dir / "pictures")
    write_whole(options.output_dir / PAGE, render_html(page, drawings))
    print(f"{shown(options.output_dir / PAGE)}, and {len(pictures)} files in {shown(options.output_dir / 'pictures')}")


def _part(found: NamedInputs, options: ReportOptions, command: str) -> Part:
    logs = [read_run_log(folder, name) for name, folder in found.runs.items()]
    generations = [_counted(path, name, options) for name, path in found.answers.items()]
    results, num_not_paired = _results(generations, options)
    inputs = ReportInputs(
        results=results,
        sources=[source_of(each, logs) for each in generations],
        logs=logs,
        num_not_paired=num_not_paired,
    )
    return compose_report(
        inputs,
        title=options.title,
        question=options.question,
        commands=[command],
        answers_page=_answers_page(found, options),
    )


def _answers_page(found: NamedInputs, options: ReportOptions) -> str:
    """Write the page of the answers themselves; the name of its file, empty where there is none to write."""
    if not found.answers:
        return ""
    from verl_ext.viewer.viewer_page import write_viewer

    write_viewer(
        list(found.answers.items()), options.output_dir / ANSWERS, title=options.title, verdict=options.verdict
    )
    return ANSWERS


def _counted(path: Path, name: str, options: ReportOptions) -> Generations:
    return read_counts(
        path,
        name=name,
        with_answers=True,
        skip_bad_lines=options.skip_bad_lines,
        verdict=options.verdict,
        on_unusable=lambda reason: print(left_aside(reason), file=sys.stderr),
    )


def _results(generations: Sequence[Generations], options: ReportOptions) -> tuple[Results | None, int]:
    """Compared with the base, and with each other where they are few; and how many pairs that leaves out."""
    if not generations:
        if options.base is not None:
            raise ValueError(f"--base {options.base} is a file of answers, and none was named.")
        return None, 0
    names = [each.name for each in generations]
    base = options.base or ("base" if "base" in names else names[0])
    if base not in names:
        raise ValueError(f"--base {base} is none of the files of answers: {', '.join(names)}.")
    num_pairs = len(list(combinations(names[1:], 2)))
    is_compared = len(names) - 1 <= MOST_COMPARED
    results = build_results(generations, base=base, seed=options.seed, are_compared=is_compared)
    return results, 0 if is_compared else num_pairs


def _study_part(folder: Path, options: ReportOptions, command: str) -> Part:
    named = Path(str(read_object(folder / STUDY_RECORD)["file"]))
    if not named.is_file():
        raise ValueError(
            f"{shown(folder / STUDY_RECORD)} is of {named}, which is not here. Run the command where that file is, or name the "
            "folders of its runs."
        )
    content = study_content(
        ResultsOptions(file=named, study_output=folder, output=options.output_dir, data_source=None, command=command)
    )
    return content.page, content.drawings


def joined(title: str, parts: Sequence[Part]) -> Part:
    """Several pages as one: the first answer and picture at the top, the others behind it."""
    drawings: dict[str, Drawing] = {}
    pages = []
    for number, (page, drawn) in enumerate(parts, start=1):
        prefix = f"part{number}_"
        drawings |= {f"{prefix}{name}": drawing for name, drawing in drawn.items()}
        pages.append((page, [renamed(block, prefix) for block in page.blocks]))
    (first, blocks), *others = pages
    rest = blocks[len(first.blocks) - len(first.rest) :]
    for page, blocks in others:
        rest += [Heading(page.title), Paragraph(page.subtitle, is_quiet=True), *blocks]
    shown_first = PageContent(
        title=title,
        subtitle=f"{first.title}: {first.subtitle}; {len(others)} more part{'s' * (len(others) > 1)} below",
        question=first.question,
        answer=first.answer,
        picture=None if first.picture is None else replace(first.picture, name=f"part1_{first.picture.name}"),
        rest=rest,
    )
    return shown_first, drawings
