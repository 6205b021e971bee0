"""What a study says in numbers, and that a section without its data leaves the others as they are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.runs import run
from verl_ext.analysis.breakdown import Breakdown
from verl_ext.analysis.least_squares import LeastSquares
from verl_ext.metrics.pass_at_k import pass_at_k_table
from verl_ext.report.study_numbers import Missing, build_study, study_as_json

NUM_PROBLEMS = 24
LEVELS = [f"Level {1 + row % 4}" for row in range(NUM_PROBLEMS)]
SUBJECTS = ["Algebra" if row % 3 else "Geometry" for row in range(NUM_PROBLEMS)]
REFERENCES = ["7" if row % 2 else r"\frac{1}{2}" for row in range(NUM_PROBLEMS)]


def studied(name, shift, num_samples=8, **more):
    """Problem p has as many correct answers as p and ``shift`` say, within what there is."""
    correct = [min(max(row // 3 + shift, 0), num_samples) for row in range(NUM_PROBLEMS)]
    fields = {"references": REFERENCES, "groups": {"level": LEVELS, "subject": SUBJECTS}}
    return run(name, map(str, range(NUM_PROBLEMS)), correct, num_samples, **(fields | more))


def test_by_hand():
    """The base has max(p // 3 - 2, 0) correct of 8, so problems 0 to 8 are never solved; step100 two more of each."""
    study = build_study([studied("base", -2), studied("step100", 0), studied("step200", 2, num_samples=4)])
    assert (study.base, study.names, study.num_problems) == ("base", ("base", "step100", "step200"), 24)
    assert [each.unbiased.ks for each in study.estimates] == [(1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4)]
    assert [each.num_never for each in study.distributions] == [9, 3, 0]
    assert [(row.name, row.base, row.k) for row in study.differences] == [
        ("step100", "base", 1),
        ("step100", "base", 4),
        ("step200", "base", 1),
        ("step200", "base", 4),
    ]
    assert study.beyond.num_unsolved == 9
    assert [(each.name, each.num_unsolved, each.num_solved) for each in study.beyond.abilities] == [
        ("step100", 9, 6),
        ("step200", 9, 9),
    ]
    assert [(each.name, each.num_base_samples, each.num_samples) for each in study.beyond.halves] == [
        ("base", 4, 4),
        ("step100", 4, 4),
        ("step200", 4, 4),
    ]
    assert study.beyond.second_file is None
    first = study.beyond.solved[0]
    assert (first.question_id, first.groups) == ("0", {"level": "Level 1", "subject": "Geometry"})
    assert (first.num_correct, first.num_samples, first.reference) == ((0, 0, 2), (8, 8, 4), r"\frac{1}{2}")
    assert study.by_level.values == ("Level 1", "Level 2", "Level 3", "Level 4")
    assert study.by_reference.num_problems == (12, 12)
    rows = np.arange(0, NUM_PROBLEMS, 2)
    expected = pass_at_k_table(np.full(12, 8), np.maximum(rows // 3 - 2, 0), [8]).mean()
    assert study.not_integers[0].unbiased.pass_at_k[-1] == pytest.approx(expected)
    assert [type(fit) for fit in study.fits] == [LeastSquares] * 3
    assert json.loads(json.dumps(study_as_json(study)))["beyond"]["abilities"][0]["num_solved"] == 6


def test_another_base():
    study = build_study([studied("step100", 0), studied("start", -2)], base="start")
    assert study.names == ("start", "step100")
    assert study.differences[0].difference > 0


def test_a_base_alone():
    study = build_study([studied("base", -2)])
    assert study.differences == study.beyond.abilities == study.beyond.solved == ()
    assert [each.name for each in study.beyond.halves] == ["base"]


@pytest.mark.parametrize(
    ("groups", "missing"),
    [
        ({}, {"by_level": "field level", "by_subject": "field subject", "fits": "no field level and no field subject"}),
        ({"level": LEVELS}, {"by_subject": "field subject", "fits": "no field subject"}),
        ({"subject": SUBJECTS}, {"by_level": "field level", "fits": "no field level"}),
    ],
)
def test_a_missing_field_takes_away_its_sections_only(groups, missing):
    study = build_study([studied("base", -2, groups=groups), studied("nsr", 0, groups=groups)])
    found = {
        "by_level": study.by_level,
        "by_subject": study.by_subject,
        "by_reference": study.by_reference,
        "not_integers": study.not_integers,
        "fits": study.fits[0],
        "halves": study.beyond.halves,
    }
    assert {name: part for name, part in found.items() if isinstance(part, Missing)}.keys() == missing.keys()
    for name, why in missing.items():
        assert why in found[name].why
    assert isinstance(study.by_reference, Breakdown)


@pytest.mark.parametrize(
    ("references", "why"),
    [
        ([None] * NUM_PROBLEMS, "No line of base.jsonl, nsr.jsonl has a gold_answer"),
        (["7"] * NUM_PROBLEMS, "Every reference answer is an integer."),
    ],
)
def test_no_subset_of_other_answers(references, why):
    study = build_study([studied(name, shift, references=references) for name, shift in (("base", -2), ("nsr", 0))])
    assert isinstance(study.not_integers, Missing)
    assert why in study.not_integers.why
    assert isinstance(study.by_level, Breakdown)


def test_one_sample_and_no_accuracy_to_fit():
    study = build_study([studied("base", -9, num_samples=1), studied("nsr", 0)])
    assert "1 sample of some problem" in study.beyond.halves.why
    assert "same accuracy on every problem" in study.fits[0].why
    assert isinstance(study.fits[1], LeastSquares)


def test_a_second_file_of_the_base():
    again = studied("other", -1)
    study = build_study([studied("base", -2), studied("nsr", 0)], base_again=again)
    assert study.beyond.second_file.name == "base"
    assert (study.beyond.second_file.num_unsolved, study.beyond.second_file.num_solved) == (9, 3)
    assert study.names == ("base", "nsr")
    with pytest.raises(ValueError, match=r"they are the same answers. .* draw the second file with another --seed"):
        build_study([studied("base", -2)], base_again=studied("other", -2))
    with pytest.raises(ValueError, match="lacks 1 of the 24 problems"):
        build_study([studied("base", -2)], base_again=again.take(range(NUM_PROBLEMS - 1)))


def test_what_is_refused():
    base, other = studied("base", -2), studied("nsr", 0)
    with pytest.raises(ValueError, match="Two runs are called nsr"):
        build_study([base, other, replace(other, path="elsewhere.jsonl")])
    with pytest.raises(ValueError, match=r"No run is called bsae\. Did you mean base\?"):
        build_study([base, other], base="bsae")
    with pytest.raises(ValueError, match=r"No run is called xyz\. The runs are base, nsr\."):
        build_study([base, other], base="xyz")
    with pytest.raises(ValueError, match="lacks 2 of the 24 problems"):
        build_study([base, other.take(range(NUM_PROBLEMS - 2))])
    with pytest.raises(ValueError, match="pass@16 needs at least 16 samples"):
        build_study([base], ks=[16])
    with pytest.raises(ValueError, match="at least 1 run"):
        build_study([])
