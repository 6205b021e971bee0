"""What ``python -m verl_ext.report study`` does: read files, write the page, its numbers and its pictures."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from verl_ext.host.command_line import shown
from verl_ext.host.files import write_whole
from verl_ext.host.provenance import git_state, versions
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.label_file import left_aside, read_counts
from verl_ext.report.study_numbers import FIELDS, build_study, study_as_json
from verl_ext.report.study_options import StudyOptions

PICTURES = "pictures"


def run_study(options: StudyOptions, command: str) -> None:
    """Read the runs, and write the page, the numbers and the pictures.

    Raises:
        ValueError: An input that cannot be studied; the message is for the user.
    """
    paths = options.paths()
    again = None if options.base_again is None else options.generations_file(options.base_again)
    if again is not None and any(again.samefile(path) for path in paths.values()):
        raise ValueError(f"--base_again {again} is a file of --runs. It takes other answers of the base.")
    runs = [_read(path, name, options) for name, path in paths.items()]
    base_again = None if again is None else _read(again, "base_again", options)
    study = build_study(runs, base=options.base, base_again=base_again, ks=options.k, seed=options.seed)

    # Drawing is asked for last: loading matplotlib takes longer than all bad input takes to be found.
    from verl_ext.report.drawings import write_pictures
    from verl_ext.report.html_page import render_html
    from verl_ext.report.study_page import study_content, study_drawings

    drawings = study_drawings(study)
    read = runs if base_again is None else [*runs, base_again]
    page = study_content(study, title=options.title, facts=_facts(read, options), commands=[command])
    output = options.output_dir
    for path in (output / PICTURES).glob("*") if (output / PICTURES).is_dir() else ():
        if path.suffix in (".png", ".svg"):  # an earlier study of this folder may have had more sections
            path.unlink()
    pictures = write_pictures(drawings, output / PICTURES)
    write_whole(output / "study.json", json.dumps(study_as_json(study), indent=1) + "\n")
    write_whole(output / "study.html", render_html(page, drawings))
    print(f"{shown(output / 'study.html')}, study.json, and {len(pictures)} files in {shown(output / PICTURES)}")


def _read(path: Path, name: str, options: StudyOptions) -> Generations:
    return read_counts(
        path,
        name=name,
        by_if_constant=FIELDS,
        skip_bad_lines=options.skip_bad_lines,
        verdict=options.verdict,
        on_unusable=lambda reason: print(left_aside(reason), file=sys.stderr),
    )


def _facts(runs: Sequence[Generations], options: StudyOptions) -> list[tuple[str, str]]:
    facts = [(run.name, f"{run.path}: {run.num_answers:,} answers, {run.num_correct:,} correct") for run in runs]
    facts += [(f"{run.name}, lines left out", f"{run.num_bad_lines:,}") for run in runs if run.num_bad_lines]
    return [
        *facts,
        ("seed of the resamples", str(options.seed)),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions().items())),
        ("code", json.dumps(git_state(Path(__file__).parent))),
    ]
