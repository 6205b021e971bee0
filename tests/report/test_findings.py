import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import PairedDifference, pass_at_k_curve
from verl_ext.report.findings import findings, points
from verl_ext.report.results import Results, build_results, results_as_json
from verl_ext.report.sentences import compatible


def row(name, k, low, high, *, base="base", p_holm=0.001, difference=None, num_different=9):
    middle = (low + high) / 2 if difference is None else difference
    return PairedDifference(
        name=name,
        base=base,
        k=k,
        difference=middle,
        low=low,
        high=high,
        p_value=p_holm / 2,
        p_holm=p_holm,
        num_problems=200,
        num_different=num_different,
    )


def results(*versus_base, between=(), curves=None):
    names = dict.fromkeys(each.name for each in versus_base)
    made = [pass_at_k_curve(name, [256] * 10, range(10), [1, 256]) for name in ["base", *names]]
    return Results(
        base="base",
        ks=(1, 256),
        curves=made if curves is None else curves,
        differences=[],
        versus_base=list(versus_base),
        between_methods=list(between),
        diversity=[],
        reasons={},
    )


UP, DOWN, OPEN = (0.03, 0.07), (-0.09, -0.05), (-0.02, 0.03)


def test_up_and_down():
    said = findings(results(row("psr", 1, *UP), row("psr", 256, *DOWN)))
    assert said.shown == [
        "PSR against Base: pass@1 is higher by 5.0 points (95 % interval +3.0 to +7.0, corrected p = 0.001); "
        "pass@256 is lower by 7.0 points (95 % interval −9.0 to −5.0, corrected p = 0.001). "
        "Up at pass@1 and down at pass@256: one answer is right more often, and fewer problems have any right answer "
        "among 256."
    ]
    assert said.undecided == []


def test_up_and_open():
    said = findings(results(row("nsr", 1, *UP), row("nsr", 256, *OPEN, p_holm=0.7)))
    assert said.shown[0].endswith("Whether pass@256 moved, and which way, is not decided.")
    assert said.undecided == [
        "Whether NSR and Base differ at pass@256: the difference seen is +0.5 points "
        "(95 % interval −2.0 to +3.0, corrected p = 0.700)."
    ]


@pytest.mark.parametrize(
    ("first", "last", "reading"),
    [
        (UP, UP, "Up at both ends of the curve."),
        (DOWN, DOWN, "Down at both ends of the curve."),
        (DOWN, UP, "Down at pass@1 and up at pass@256"),
        (OPEN, UP, "Whether pass@1 moved, and which way, is not decided."),
        (OPEN, DOWN, "Whether pass@1 moved, and which way, is not decided."),
        (DOWN, OPEN, "Whether pass@256 moved, and which way, is not decided."),
        (UP, (*DOWN, 0.2), "Whether pass@256 moved, and which way, is not decided."),
        ((*UP, 0.2), DOWN, "Whether pass@1 moved, and which way, is not decided."),
    ],
)
def test_what_both_ends_say_together(first, last, reading):
    """A third number is a corrected p that does not agree with the interval."""
    rows = [
        row("nsr", k, low, high, p_holm=p)
        for k, (low, high, *rest) in ((1, first), (256, last))
        for p in [*rest, 0.001][:1]
    ]
    (sentence,) = findings(results(*rows)).shown
    assert reading in sentence


def test_nothing_decided():
    said = findings(results(row("nsr", 1, *OPEN), row("nsr", 256, *OPEN)))
    assert said.shown == ["No difference from Base is decided at k = 1 or at k = 256."]
    assert len(said.undecided) == 2


def test_an_interval_without_zero_is_not_enough():
    """It excludes 0, but not after the correction for two comparisons."""
    said = findings(results(row("nsr", 1, 0.001, 0.07, p_holm=0.06), row("nsr", 256, *OPEN)))
    assert "higher" not in " ".join(said.shown)
    assert said.undecided[0].endswith("The interval alone excludes 0; corrected for 2 comparisons it is not enough.")


def test_a_small_p_is_not_enough():
    said = findings(results(row("nsr", 1, -0.001, 0.07, p_holm=0.01), row("nsr", 256, *OPEN)))
    assert "higher" not in " ".join(said.shown)
    assert "alone" not in said.undecided[0]


def test_the_same_score_everywhere():
    said = findings(results(row("nsr", 1, *UP), row("nsr", 256, -0.018, 0.018, p_holm=1.0, num_different=0)))
    assert said.undecided == [
        "Whether NSR and Base differ at pass@256: they score the same on each of the 200 problems "
        "(95 % interval −1.8 to +1.8)."
    ]


def test_no_room_for_0_points():
    """Files that agree on every problem leave room, the less the more problems there are."""
    same = generations("base", [1, 2, 3] * 10), generations("nsr", [1, 2, 3] * 10)
    said = compatible(build_results(same).versus_base)
    assert said.startswith("2 of 2 comparisons are not decided: what was seen leaves room for differences of up to ")
    assert "0.0 points" not in said
    assert "of less than 0.1 points" in compatible([row("nsr", 1, -0.0004, 0.0004, num_different=0)])


ends = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)
some_rows = st.lists(st.tuples(ends, st.floats(0, 1)), min_size=2, max_size=2)


@given(psr=some_rows, nsr=some_rows, pair=some_rows)
def test_no_claim_beyond_the_intervals(psr, nsr, pair):
    """Every comparison is said once: as decided with its direction if interval and test agree, else as open."""
    tested = [
        row(name, k, *interval, p_holm=p_holm, base=base)
        for name, base, rows in (("psr", "base", psr), ("nsr", "base", nsr), ("nsr", "psr", pair))
        for k, (interval, p_holm) in zip((1, 256), rows, strict=True)
    ]
    said = findings(results(*tested[:4], between=tested[4:]))
    label = {"base": "Base", "psr": "PSR", "nsr": "NSR"}
    for each in tested:
        ours = [s for s in said.shown if s.startswith(f"{label[each.name]} against {label[each.base]}: ")]
        claims = re.findall(rf"pass@{each.k} is (higher|lower)", " ".join(ours))
        opens = [
            s
            for s in said.undecided
            if s.startswith(f"Whether {label[each.name]} and {label[each.base]} differ at pass@{each.k}:")
        ]
        if (each.low > 0 or each.high < 0) and each.p_holm < 0.05:
            assert claims == ["higher" if each.low > 0 else "lower"]
            assert opens == []
        else:
            assert claims == []
            assert len(opens) == 1


def test_limits():
    said = findings(results(row("nsr", 1, *UP), row("nsr", 256, *OPEN)))
    text = " ".join(said.limits)
    assert "Not decided is not the same as equal" in text
    assert "Each method was trained once." in text
    assert "pass@256 uses all 256 samples" in text
    assert "too easy" not in text
    assert "fewer than k samples" not in text
    assert "trained with 3 seeds" in " ".join(findings(results(), num_training_seeds=3).limits)


def test_limits_of_easy_problems_and_missing_samples():
    easy = [pass_at_k_curve(name, [256] * 10, [9] * 10, [1, 256]) for name in ("base", "nsr")]
    assert "At pass@256 every model is at 100.0 % or more: these problems are too easy" in " ".join(
        findings(results(row("nsr", 1, *UP), curves=easy)).limits
    )
    short = [pass_at_k_curve("base", [256, 8, 8], [1, 1, 1], [1, 256])]
    assert "Base: up to 2 problems have fewer than k samples and are left out" in " ".join(
        findings(results(curves=short)).limits
    )


@pytest.mark.parametrize("samples", [([8] * 29 + [1], [8] * 30), ([8] * 30, [24] * 30)])
def test_k_ends_at_the_fewest_samples(samples):
    """Only where every problem has n samples does pass@n use all of them."""
    curves = [
        pass_at_k_curve(name, counts, [1] * 30, [min(map(min, samples))])
        for name, counts in zip(("base", "nsr"), samples, strict=True)
    ]
    fewest, most = curves[0].ks[0], max(map(max, samples))
    text = " ".join(findings(replace(results(curves=curves), ks=(fewest,))).limits)
    assert f"k ends at {fewest}, the fewest samples that a problem has. Others have up to {most}:" in text
    assert "at once" not in text


def test_points():
    assert [points(share) for share in (0.05, -0.05, 0.0, -0.0001, 0.1234)] == ["+5.0", "−5.0", "0.0", "0.0", "+12.3"]


def generations(name, num_correct, **more):
    num_problems = len(num_correct)
    return Generations(
        name=name,
        path=f"{name}.jsonl",
        question_ids=list(range(num_problems)),
        num_samples_P=np.full(num_problems, 8),
        num_correct_P=np.array(num_correct),
        references=[None] * num_problems,
        **more,
    )


def test_build_results():
    counts = np.arange(20) % 6 + 1
    answers = [{"a": 4, "b": 2}] * 20
    runs = [
        generations("nsr", counts + 2, answers=answers, correct_answers=[{"a": 4}] * 20, reasons={"correct": 3}),
        generations("base", counts),
        generations("psr", counts),
    ]
    built = build_results(runs)
    assert [curve.name for curve in built.curves] == ["base", "nsr", "psr"]
    assert built.ks == (1, 2, 4, 8)
    assert built.largest_k == 8
    assert [(each.name, each.base, each.k) for each in built.versus_base] == [
        ("nsr", "base", 1),
        ("nsr", "base", 8),
        ("psr", "base", 1),
        ("psr", "base", 8),
    ]
    assert [(each.name, each.base, each.k) for each in built.between_methods] == [("psr", "nsr", 1), ("psr", "nsr", 8)]
    assert len(built.differences) == 8
    assert built.versus_base[0].difference == pytest.approx(0.25)
    assert [(each.name, each.distinct, each.distinct_correct) for each in built.diversity] == [("nsr", 2.0, 1.0)]
    assert results_as_json(built)["versus_base"][0]["difference"] == pytest.approx(0.25)


def test_build_results_refuses():
    run = generations("nsr", [1])
    with pytest.raises(ValueError, match=r"No run is called base; the runs are nsr\. Pass base=\."):
        build_results([run])
    with pytest.raises(ValueError, match="needs its own name, got nsr, nsr"):
        build_results([run, run], base="nsr")
