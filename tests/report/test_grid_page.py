"""What a study's page says: tables, and sentences that say no more than the comparisons do."""

from math import nan

import numpy as np
import pytest

from verl_ext.analysis.grid_comparisons import Comparisons, SeedDifference, at_common_levels, comparisons
from verl_ext.analysis.grid_pairs import PrimaryPair
from verl_ext.analysis.grid_scores import CellRuns, grid_scores
from verl_ext.metrics.validations import ValidationCounts
from verl_ext.report.grid_findings import grid_findings
from verl_ext.report.grid_page import GridPage, grid_content, shown_ks
from verl_ext.report.grid_steps import crossing_sentence, step_blocks
from verl_ext.report.markdown import code, picture, render_markdown, table
from verl_ext.report.page_blocks import Paragraph
from verl_ext.report.sentences import listed

LABELS = {"base": "the base", **{name: name.upper() for name in "abcdefg"}}


def row(name, base, difference, *, k=1, is_decided=True, detectable=0.02, at=200, is_primary=True):
    low, high = (difference - 0.01, difference + 0.01) if is_decided else (-0.5, 0.5)
    return SeedDifference(
        name=name,
        base=base,
        k=k,
        difference=difference,
        low=low,
        high=high,
        p_value=0.001 if is_decided else 0.4,
        p_holm=nan if not is_primary else 0.01 if is_decided else 0.9,
        num_problems=10,
        num_different=10,
        at=at,
        num_seeds=3,
        degrees=2.0,
        detectable=detectable if is_primary else nan,
        is_primary=is_primary,
    )


def compared(**families):
    empty = dict.fromkeys(("versus_base", "of_axes", "between_cells", "beside_the_grid", "at_equal_accuracy"), ())
    return Comparisons(**{name: list(rows) for name, rows in (empty | families).items()}, not_reached=[])


def test_findings_by_hand():
    found = grid_findings(
        compared(
            versus_base=[
                row("a", "base", 0.031),
                row("b", "base", 0.052),
                row("c", "base", 0.01, is_decided=False),
                row("b", "base", -0.08, k=64),
            ],
            between_cells=[row("b", "a", 0.021), row("c", "a", -0.004, k=64, is_decided=False, detectable=0.071)],
            at_equal_accuracy=[row("c", "b", 0.1, k=64, at=0.2, is_decided=False, detectable=0.3)],
        ),
        LABELS,
    )
    assert found.decided == [
        "In points against the base at step 200: pass@1 is higher for B (+5.2) and A (+3.1); pass@64 is lower for B (\N{MINUS SIGN}8.0).",
        "Between each other, B has 2.1 points more pass@1 than A.",
    ]
    assert found.undecided == (
        "3 of 7 comparisons are not decided: corrected for their number, one of them misses a true difference of up to 7.1 points "
        "at equal steps and up to 30.0 points at equal pass@1 one time in five."
    )


def test_sentences_are_about_what_the_study_names():
    about = [row("b", "a", 0.2), row("c", "a", 0.0, is_decided=False)]
    others = [row("c", "b", 0.4, is_primary=False), row("d", "b", 0.5, is_primary=False)]
    found = grid_findings(compared(between_cells=[*about, *others], of_axes=others, at_equal_accuracy=others), LABELS)
    assert found.decided == ["Between each other, B has 20.0 points more pass@1 than A."]
    assert found.undecided.startswith("1 of 2 comparisons that the study names are not decided: ")


def test_many_are_summed_up():
    rows = [row(name, "base", 0.02 + number / 100) for number, name in enumerate("abcdefg")]
    found = grid_findings(compared(versus_base=rows, between_cells=[row(name, "g", -0.1) for name in "abc"]), LABELS)
    assert found.decided == [
        "In points against the base at step 200: pass@1 is higher for G (+8.0), F (+7.0), E (+6.0), D (+5.0) and 3 more.",
        "Between each other, 3 of 3 differences are decided, the largest: G has 10.0 points more pass@1 than A.",
    ]
    assert found.undecided == ""


def test_nothing_is_decided():
    found = grid_findings(compared(versus_base=[row("a", "base", 0.0, is_decided=False, detectable=nan)]), LABELS)
    assert found.decided == ["Nothing is decided."]
    assert found.undecided.startswith("1 of 1 comparisons are not decided, and nothing in them varies")
    assert grid_findings(compared(), LABELS) == (["Nothing is decided."], "")


@pytest.mark.parametrize("is_decided", [True, False])
def test_never_more_than_five_sentences(is_decided):
    rows = [row(name, "g", 0.1, k=k, is_decided=is_decided) for name in "abcdef" for k in (1, 64)]
    found = grid_findings(
        compared(
            versus_base=[*rows, row("a", "base", 0.0, is_decided=False)],
            of_axes=rows,
            between_cells=rows,
            beside_the_grid=rows,
            at_equal_accuracy=rows,
        ),
        LABELS,
    )
    assert len(found.decided) + bool(found.undecided) <= 5


def test_pieces():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert shown_ks([1, 2, 4, 8, 16, 32, 64]) == [1, 4, 16, 64]
    assert shown_ks([1, 2]) == [1, 2]
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| :--- | ---: |\n| 1 | 2 |"
    assert picture("p.png", "what it shows") == "![what it shows](p.png)"
    assert picture("p.png", 'a "b"', "n.png") == (
        '<picture><source media="(max-width: 640px)" srcset="n.png"><img src="p.png" alt="a &quot;b&quot;"></picture>'
    )
    assert code(["one", "two"]) == "```bash\none\ntwo\n```"


def scores_of(**runs):
    cells = [
        CellRuns(
            name=name,
            objective=name,
            place={"objective": name},
            options={},
            model="m",
            runs={
                f"seed{number}": {
                    step: ValidationCounts(np.full(len(correct), 4), np.array(correct))
                    for step, correct in steps.items()
                }
                for number, steps in enumerate(of_seeds)
            },
        )
        for name, of_seeds in runs.items()
    ]
    return grid_scores(cells)


def content_of(scores, pictures=(), left_out=(), primary=()):
    page = GridPage(
        title="Study x",
        subtitle="4 runs",
        question="What?",
        background=[Paragraph("Made so.")],
        facts=[("runs", "2")],
        commands=["run it"],
        left_out=left_out,
        in_no_curve=[],
    )
    return grid_content(page, scores, comparisons(scores, primary), at_common_levels(scores), pictures)


def test_the_page_has_the_numbers_and_each_picture_with_words():
    scores = scores_of(
        psr=[{0: [0, 2], 5: [4, 4], 10: [2, 4]}, {0: [0, 2], 5: [1, 2], 10: [1, 4]}],
        nsr=[{0: [0, 2], 5: [0, 1], 10: [0, 2]}, {0: [0, 2], 5: [0, 1], 10: [0, 1]}],
    )
    names = ["pass_at_k", "over_steps", "plane", "versus_base", "between_cells", "coverage", "dose_1", "training_1"]
    content = content_of(scores, names, ["psr-seed9: not begun"])
    assert (content.question, content.picture.name) == ("What?", "pass_at_k")
    decided, undecided, steps = content.answer
    assert len(decided.evidence) + len(undecided.evidence) == len(
        [row for family in comparisons(scores).families for row in family]
    )
    assert all("four times in five" in text for text in undecided.evidence if "the same on each" not in text)
    assert steps.text == (
        "Every number is of step 10, the last that all runs validated; no run's best step is picked. Picking each run's best of 2 "
        "validations by pass@1 would add 0.0 to 12.5 points, for its luck too."
    )
    text = render_markdown(content, narrow=names)
    lines = text.splitlines()
    assert lines[:3] == ["# Study x", "", "What?"]
    assert "| in % | seeds | pass@1 | pass@4 |" in lines
    assert any(line.startswith("| base | \N{EN DASH} | 25.0 [") for line in lines)
    assert any(line.startswith("| PSR | 2 | 68.8 [") for line in lines)
    assert "| PSR | 68.8 | 81.2 | +12.5 | 5, 10 |" in lines
    assert any(line.startswith("| PSR \N{MINUS SIGN} Base | 1 | +43.") for line in lines)
    for name in names:
        (shown,) = [line for line in lines if f'src="{name}.png"' in line]
        assert f'srcset="{name}_narrow.png"' in shown
        assert len(shown.partition('alt="')[2]) > 20
    assert "- PSR and NSR: pass@1 of nsr-seed1 is never above 25.0 %, and nsr starts at 25.0 %." not in lines
    assert "- NSR and PSR: pass@1 of nsr-seed0 is never above 25.0 %, and nsr starts at 25.0 %." in lines
    assert "- In no number: psr-seed9: not begun" in lines
    assert lines.index("## Training") < lines.index("## Scores at step 10"), "the curve is near the top"
    assert "Made so." in lines


def test_what_the_study_does_not_name_is_exploratory():
    scores = scores_of(
        psr=[{0: [0, 2], 10: [2, 4]}, {0: [0, 2], 10: [1, 4]}],
        nsr=[{0: [0, 2], 10: [0, 2]}, {0: [0, 2], 10: [0, 1]}],
        grpo=[{0: [0, 2], 10: [1, 2]}, {0: [0, 2], 10: [2, 1]}],
    )
    content = content_of(scores, primary=[PrimaryPair("nsr", "psr", None)])
    lines = render_markdown(content).splitlines()
    (named,) = [line for line in lines if line.startswith("| NSR \N{MINUS SIGN} PSR | 1 |")]
    assert not named.endswith("exploratory |")
    (other,) = [line for line in lines if line.startswith("| GRPO \N{MINUS SIGN} NSR | 1 |")]
    assert other.endswith("| \N{EN DASH} | \N{EN DASH} | exploratory |"), "neither a corrected p nor what is detectable"
    assert any("All others between cells are **exploratory**" in line for line in lines)
    assert not any("GRPO" in text and "NSR" in text for said in content.answer for text in said.evidence)
    assert "exploratory" not in render_markdown(content_of(scores))


def test_of_one_validation_no_peak_is_shown_and_what_lies_before_it_is_said_to_be_a_line():
    start, low, high = {0: [0, 2]}, [1, 2], [2, 4]
    once = scores_of(psr=[start | {10: high}] * 2, nsr=[start | {10: low}] * 2)
    lines = render_markdown(content_of(once)).splitlines()
    assert not any("each run's peak" in line for line in lines)
    section = lines[lines.index("## Which step, and how it was chosen") + 1 :]
    assert section[1] == "Every number is of step 10, the last that all runs validated; no run's best step is picked."
    assert section[3] == "## Differences at equal steps"
    (said,) = [line for line in lines if "first crosses a value" in line]
    assert said.endswith(
        " The crossing is interpolated by one straight line from step 0 to step 10: nothing was measured in between."
    )


@pytest.mark.parametrize(
    ("psr", "nsr", "sentence"),
    [
        ((0, 5, 10), (0, 5, 10), "between the 3 validations of each run, from step 0 to step 10."),
        ((0, 10), (0, 5, 10), "between the 2 to 3 validations of each run, from step 0 to step 10."),
        ((0, 10), (0, 10, 20), "between the 2 to 3 validations of each run, from step 0 to step 20."),
    ],
)
def test_between_how_many_validations_is_interpolated(psr, nsr, sentence):
    scores = scores_of(
        **{name: [{step: [step % 4, 2] for step in steps}] for name, steps in {"psr": psr, "nsr": nsr}.items()}
    )
    assert crossing_sentence(scores) == f"The crossing is interpolated {sentence}"
    assert len(step_blocks(scores)) == 2, "a run has several steps to pick from"


def test_lines_of_different_lengths_and_none():
    counts = [1, 2]
    without_a_base = scores_of(psr=[{5: counts, 10: counts}], nsr=[{10: counts, 20: counts}])
    assert crossing_sentence(without_a_base) == (
        "The crossing is interpolated by one straight line from each run's first validation to its second: nothing was measured "
        "in between."
    )
    assert crossing_sentence(scores_of(psr=[{10: counts}])) == ""


def test_a_page_without_a_base_says_what_makes_one():
    text = render_markdown(content_of(scores_of(psr=[{10: [2, 4]}])))
    assert "there is no base: trainer.val_before_train=True." in text
    assert "From the base" not in text
    assert "equal pass@1" not in text
    assert "would add" not in text, "of one validation none is picked"
