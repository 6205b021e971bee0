from dataclasses import replace
from math import nan

import numpy as np
import pytest

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import PairedDifference, curve_of, paired_differences, pass_at_k_curve
from verl_ext.metrics.tables import align, curve_table, difference_table, group_table, interval


def test_align():
    rows = [["name", "k", "note"], ["a", "16", "k = n"], ["long name", "8", ""]]
    assert align(rows, num_left=1) == ["name        k  note", "a          16  k = n", "long name   8"]
    assert align(rows) == ["     name   k  note", "        a  16  k = n", "long name   8"]


def test_interval():
    assert interval(0.1, 0.25) == "[10.0, 25.0]"
    assert interval(nan, nan) == "none"


@pytest.mark.parametrize(("p_holm", "verdict"), [(0.01, "decided"), (0.2, "")])
def test_difference_table(p_holm, verdict):
    row = PairedDifference(
        name="nsr",
        base="base",
        k=8,
        difference=-0.05,
        low=-0.1,
        high=-0.0001,
        p_value=0.005,
        p_holm=p_holm,
        num_problems=1200,
        num_different=900,
    )
    header, line = difference_table([row]).splitlines()
    assert line.split() == [
        "nsr",
        "-",
        "base",
        "8",
        "-5.0",
        "[-10.0,",
        "0.0]",
        "0.0050",
        f"{p_holm:.4f}",
        "1,200",
        *verdict.split(),
    ]
    assert header.index("points") + len("points") == line.index("-5.0") + len("-5.0")


def test_groups_that_reach_fewer_k():
    curves = [pass_at_k_curve("easy", [4], [4], [1, 4]), pass_at_k_curve("hard", [2], [0], [1])]
    lines = group_table("level", curves).splitlines()
    assert lines[0].split() == ["by", "level", "problems", "k", "=", "1", "k", "=", "4"]
    assert lines[3].split() == ["hard", "1", "0.0", "-"]


def test_one_problem_has_no_interval_over_problems():
    """But one over its samples: 16 of them, half correct."""
    counts = {"num_samples_P": np.array([16]), "num_correct_P": np.array([8])}
    run = Generations(name="one", path="one", question_ids=["0"], references=[None], **counts)
    line = next(line for line in curve_table(run, curve_of(run, [1])).splitlines() if line.startswith("1  "))
    assert line.split()[:3] == ["1", "50.0", "none"]
    low, high = (float(text.strip("[],")) for text in line.split()[3:5])
    assert 20 < low < 50 < high < 80
    assert line.endswith("1 problem: no interval over others")
    other = replace(run, name="other", num_correct_P=np.array([4]))
    assert " none " in difference_table(paired_differences([(other, run)], [1]))
