"""A study as a page: what training changed, problem by problem."""

from collections.abc import Sequence
from functools import partial

from verl_ext.analysis.breakdown import Breakdown
from verl_ext.analysis.least_squares import LeastSquares
from verl_ext.plots.figures import two_estimates_figure
from verl_ext.plots.study_figures import (
    breakdown_figure,
    distribution_figure,
    least_squares_figure,
    new_ability_figure,
)
from verl_ext.report.drawings import Drawing
from verl_ext.report.findings import label
from verl_ext.report.page_blocks import (
    Block,
    Commands,
    Heading,
    PageContent,
    Said,
)
from verl_ext.report.reproduction import facts_table
from verl_ext.report.sentences import against_the_base, compatible, evidence_of, listed, range_text
from verl_ext.report.study_beyond import abilities_of, beyond_section, fit_section
from verl_ext.report.study_numbers import Missing, Study
from verl_ext.report.study_pieces import study_picture
from verl_ext.report.study_sections import distribution_section, estimates_section, group_section, integers_section


def study_drawings(study: Study) -> dict[str, Drawing]:
    """The pictures of a study by name; none for a section that is missing."""
    heading = "pass@k where the reference is not an integer"
    found = {
        "pass_at_k": partial(two_estimates_figure, study.estimates, heading="pass@k of each run"),
        "accuracy": partial(distribution_figure, study.distributions),
    }
    for name, groups in (("by_level", study.by_level), ("by_subject", study.by_subject)):
        if isinstance(groups, Breakdown):
            found[name] = partial(breakdown_figure, groups)
    if not isinstance(study.not_integers, Missing):
        found["not_integers"] = partial(two_estimates_figure, study.not_integers, heading=heading)
    abilities = abilities_of(study.beyond)
    if abilities:
        found["new_ability"] = partial(new_ability_figure, abilities, study.names)
    fits = [fit for fit in study.fits if isinstance(fit, LeastSquares)]
    if fits:
        found["least_squares"] = partial(least_squares_figure, fits, study.names)
    return {name: Drawing(lambda is_narrow, draw=draw: draw(is_narrow=is_narrow)) for name, draw in found.items()}  # type: ignore[misc]


def study_content(
    study: Study, *, title: str, facts: Sequence[tuple[str, str]], commands: Sequence[str] = ()
) -> PageContent:
    """The page.

    Args:
        study: From ``build_study``.
        title: Heading of the page.
        facts: (name, value) rows of what was run.
        commands: The commands that make these results again.
    """
    base = label(study.base)
    others = [label(name) for name in study.names if name != study.base]
    rest: list[Block] = [
        *estimates_section(study, base),
        *distribution_section(study),
        *group_section("By level", "by_level", study.by_level),
        *group_section("By subject", "by_subject", study.by_subject),
        *integers_section(study),
        *beyond_section(study, base),
        *fit_section(study),
        Heading("How to reproduce it"),
        *([Commands(commands)] if commands else []),
        facts_table(facts),
    ]
    return PageContent(
        title=title,
        subtitle=f"{len(study.names)} run{'s' * (len(study.names) > 1)}, {study.num_problems:,} problems: "
        f"{sum(each.unbiased.num_answers for each in study.estimates):,} graded answers",
        question=f"What did training change between {base} and {listed(others)}, problem by problem?"
        if others
        else f"How does {base} do, problem by problem?",
        answer=_answer(study, base),
        picture=study_picture("pass_at_k"),
        rest=rest,
    )


def _answer(study: Study, base: str) -> list[Said]:
    limits = _limits(study)
    mind = Said("Keep in mind", limits[0], limits[1:], "and what the intervals are about")
    if not study.differences:
        return [Said("Decided", f"Nothing is compared: only {base} was evaluated."), mind]
    labels = {name: label(name) for name in study.names}
    said = against_the_base(study.differences, labels, f"In points against {base}")
    rows = [(row, evidence_of(row, f"{label(row.name)} \N{MINUS SIGN} {base}")) for row in study.differences]
    open_ = [text for row, text in rows if not row.is_decided]
    return [
        Said("Decided", said or "No difference is decided.", [text for row, text in rows if row.is_decided]),
        Said(
            "Not decided",
            compatible(study.differences) or "Every comparison is decided.",
            open_,
            f"all {len(open_)} of them",
        ),
        mind,
    ]


def _limits(study: Study) -> list[str]:
    samples = {each.name: (each.min_samples, each.max_samples) for each in study.distributions}
    limits = [
        "Nothing here says how far another training seed would move a run, which can be further than its interval.",
        "Intervals are about other problems of this kind. With many sections, some difference is large by chance: only the "
        "differences that are tested are corrected for their number.",
    ]
    if len(set(samples.values())) > 1:
        said = ", ".join(f"{label(name)} {range_text(*pair)}" for name, pair in samples.items())
        limits.append(f"The runs have different numbers of samples a problem ({said}): compare them at the same k.")
    return limits
