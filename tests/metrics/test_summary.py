import json
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.pass_at_k import pass_at_k
from verl_ext.metrics.summary import (
    as_json,
    curve_of,
    curves_by_group,
    majority_curve,
    paired_differences,
    pass_at_k_curve,
    why_not_paired,
)


def run_of(name, num_correct, num_samples=8, ids=None, **more):
    num_problems = len(num_correct)
    samples = [num_samples] * num_problems if isinstance(num_samples, int) else num_samples
    return Generations(
        name=name,
        path=f"{name}.jsonl",
        question_ids=list(range(num_problems)) if ids is None else ids,
        num_samples_P=np.array(samples),
        num_correct_P=np.array(num_correct),
        **({"references": [None] * num_problems} | more),
    )


def test_curve_of_unequal_n():
    """A problem with fewer than k samples is left out of that k and counted, not scored 1 or 0."""
    curve = pass_at_k_curve("psr", [4, 6, 4], [1, 3, 4])
    assert curve.ks == (1, 2, 4, 6)
    assert curve.num_problems == (3, 3, 3, 1)
    assert curve.num_left_out == (0, 0, 0, 2)
    assert curve.is_every_sample == (False, False, True, True)
    expected = [np.mean([pass_at_k(4, 1, k), pass_at_k(6, 3, k), 1.0]) for k in (1, 2, 4)]
    assert curve.pass_at_k == pytest.approx([*expected, 1.0])
    assert curve.pass_hat_k[1] == pytest.approx(np.mean([0, 3 / 15, 1]))
    assert [isnan(low) for low in curve.noise_low] == [False, False, True, True]
    assert (curve.min_samples, curve.max_samples, curve.num_answers, curve.num_correct) == (4, 6, 14, 8)
    assert curve.mean_correct == pytest.approx(curve.pass_at_k[0])
    for low, value, high in zip(curve.low, curve.pass_at_k, curve.high, strict=True):
        assert low <= value <= high


def test_a_curve_at_its_ceiling_has_a_width():
    curve = pass_at_k_curve("nsr", [4] * 50, [2] * 50)
    assert curve.pass_at_k[-1] == curve.high[-1] == 1.0
    assert curve.low[-1] == pytest.approx(0.025 ** (1 / 50))


def test_curve_refuses():
    with pytest.raises(
        ValueError, match=r"pass@16 needs at least 16 samples per problem, got 8 \(psr\)\. Choose k up to 8"
    ):
        curve_of(run_of("psr", [1, 2]), [1, 16])
    with pytest.raises(ValueError, match="psr: pass@k needs at least 1 problem"):
        pass_at_k_curve("psr", [], [])
    with pytest.raises(ValueError, match="at least 1 sample of each"):
        pass_at_k_curve("psr", [4, 0], [1, 0])


def test_difference_against_itself_is_nothing():
    run = run_of("nsr", [0, 3, 8, 5])
    for row in paired_differences([(run, run)], [1, 2, 8]):
        assert (row.difference, row.p_value, row.p_holm, row.num_different) == (0.0, 1.0, 1.0, 0)
        assert (row.low, row.high) == pytest.approx((-0.6024, 0.6024), abs=1e-4), "1 - 0.025^(1/4)"
        assert not row.excludes_zero
        assert not row.is_decided


def test_differences_are_paired_by_question_id():
    """Shared problems only, matched by id and not by place."""
    base = run_of("base", [4, 2, 6, 0], ids=["a", "b", "c", "d"])
    run = run_of("nsr", [8, 4, 2], ids=["z", "b", "a"])
    (row,) = paired_differences([(run, base)], [1])
    assert (row.name, row.base, row.k, row.num_problems) == ("nsr", "base", 1, 2)
    assert row.difference == pytest.approx(((2 - 4) / 8 + (4 - 2) / 8) / 2)


def test_a_clear_difference_is_decided_and_a_faint_one_is_not():
    rng = np.random.default_rng(0)
    base_counts = rng.integers(1, 6, size=60)
    base = run_of("base", base_counts)
    up = run_of("up", base_counts + 2)
    same = run_of("same", np.clip(base_counts + rng.choice([-1, 1], size=60), 0, 8))
    decided = {(row.name, row.k): row for row in paired_differences([(up, base), (same, base)], [1, 8])}
    assert decided["up", 1].is_decided
    assert decided["up", 1].low > 0
    assert not decided["same", 1].is_decided
    assert not decided["up", 8].is_decided  # every problem is solved by both


def test_holm_is_over_all_pairs_and_ks():
    """Four tests at p = 1/1024 each: corrected by 4."""
    base = run_of("base", [1] * 11)
    pairs = [(run_of("x", [3] * 11), base), (run_of("y", [3] * 11), base)]
    rows = paired_differences(pairs, [1, 2])
    assert [row.p_value for row in rows] == [2 / 2048] * 4
    assert [row.p_holm for row in rows] == [8 / 2048] * 4


def test_k_that_no_shared_problem_reaches_is_left_out():
    base, run = run_of("base", [1, 1], num_samples=[8, 4]), run_of("nsr", [1, 1], num_samples=[4, 8])
    assert [row.k for row in paired_differences([(run, base)], [4, 8])] == [4]


def test_other_problems_are_not_compared():
    base = run_of("base", [1, 1], references=["4", "5"])
    assert why_not_paired(run_of("nsr", [1, 1], references=["4", "5"]), base) is None
    assert why_not_paired(run_of("nsr", [1, 1]), base) is None
    assert "share no question_id" in why_not_paired(run_of("nsr", [1], ids=["0"]), base)
    other = run_of("nsr", [1, 1], references=["4", "6"])
    assert "question_id 1 has gold_answer '6' in one and '5' in the other" in why_not_paired(other, base)
    with pytest.raises(ValueError, match="are about other problems"):
        paired_differences([(other, base)], [1])


def test_groups_in_reading_order():
    levels = ["Level 10", "Level 2", "Level 10", "easy"]
    run = run_of("nsr", [8, 0, 4, 2], num_samples=[8, 8, 8, 2], groups={"level": levels})
    curves = curves_by_group(run, "level", [1, 8])
    assert [curve.name for curve in curves] == ["Level 2", "Level 10", "easy"]
    assert [curve.pass_at_k[0] for curve in curves] == [0.0, 0.75, 1.0]
    assert [curve.ks for curve in curves] == [(1, 8), (1, 8), (1,)]


def test_majority():
    answers = [{"a": 5, "b": 3}, {"c": 4}]
    run = run_of("nsr", [5, 0], num_samples=[8, 4], answers=answers, correct_answers=[{"a": 5}, {}])
    curve = majority_curve(run, [1, 8])
    assert curve.maj_at_k == pytest.approx((5 / 16, 1.0))
    with pytest.raises(ValueError, match="read the file with_answers"):
        majority_curve(run_of("nsr", [5]), [1])
    with pytest.raises(ValueError, match="needs the field pred_answer, and no line has it"):
        majority_curve(run_of("nsr", [5], answers=[{}], correct_answers=[{}]), [1])


def test_json_has_no_nan():
    curve = curve_of(run_of("nsr", [1, 2]))
    text = json.dumps(as_json({"curves": [curve], "path": 1, "x": (nan, 1.5)}), allow_nan=False)
    assert json.loads(text)["x"] == [None, 1.5]
    assert json.loads(text)["curves"][0]["noise_low"][-1] is None


def test_imports_stay_light():
    """No torch, verl or ray on a laptop that measures: the sources do not name them. What takes long to load waits for its use."""
    package = Path(__file__).parents[2] / "verl_ext"
    for folder in ("metrics", "plots", "report"):
        for source in (package / folder).glob("*.py"):
            for line in source.read_text().splitlines():
                if line.lstrip().startswith(("import ", "from ")):
                    loaded = line.split()[1].split(".")[0]
                    assert loaded not in {"torch", "verl", "ray", "vllm", "pandas"}, source
                    assert line != line.lstrip() or loaded not in {"scipy", "statsmodels"}, source
