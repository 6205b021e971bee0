"""What is derived from the table of objectives."""

import subprocess
import sys
from pathlib import Path

import pytest

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import (
    OBJECTIVES,
    ROWS,
    check_weight_schedule,
    drops_zero_advantage,
    names_with_k,
    objective_under,
)
from verl_ext.objectives.objective import GroupRule, SignWeights

ROOT = Path(__file__).resolve().parents[2]


def test_a_name_has_one_row():
    assert len(OBJECTIVES) == len(ROWS)


@pytest.mark.parametrize(
    ("section", "drops"),
    [
        ({"adv_estimator": "psr"}, True),
        ({"adv_estimator": "nsr"}, True),
        ({"adv_estimator": "nsr", "drop_zero_advantage": False}, False),
        ({"adv_estimator": "reinforce"}, False),
        ({"adv_estimator": "w_reinforce"}, False),
        ({"adv_estimator": "w_reinforce", "positive_advantage_weight": 0.0}, False),
        ({"adv_estimator": "w_reinforce", "drop_zero_advantage": True}, True),
        ({"adv_estimator": "psr_nsr", "advantage": "positive"}, True),
        ({"adv_estimator": "psr_nsr", "advantage": "negative"}, True),
        ({"adv_estimator": "psr_nsr", "advantage": "weighted"}, False),
        ({"adv_estimator": "pkpo", "pass_at_k": 2}, False),
        ({"adv_estimator": "cw_nsr"}, True),
        ({"adv_estimator": "lens"}, False),
        ({"adv_estimator": "unlikeliness", "drop_zero_advantage": True}, True),
        ({"adv_estimator": "grpo"}, False),
        ({"adv_estimator": "grpo", "drop_zero_advantage": True}, True),
    ],
)
def test_who_drops(section, drops):
    assert drops_zero_advantage(AlgorithmOptions.read(section)) is drops


def test_lambda_is_the_weight_of_one_row():
    options = AlgorithmOptions.read({"positive_advantage_weight": 0.3}, adv_estimator="any")
    expected = {"psr": (1, 0), "nsr": (0, 1), "w_reinforce": (0.3, 1), "reinforce": (1, 1)}
    assert {name: OBJECTIVES[name].weights_under(options) for name in expected} == expected


def test_the_papers_name_is_never_a_formula():
    for advantage in ("positive", "negative", "weighted"):
        row = objective_under(AlgorithmOptions.read({"adv_estimator": "psr_nsr", "advantage": advantage}))
        assert row is not None
        assert isinstance(row.formula, SignWeights)


def test_a_schedule_names_the_rows_that_have_a_lambda():
    section = {"positive_advantage_weight_schedule": "linear", "positive_advantage_weight_end": 1}
    message = "adv_estimator=pkpo does not have. Choose w_reinforce or psr_nsr with algorithm.advantage=weighted."
    with pytest.raises(ValueError, match=message):
        check_weight_schedule(AlgorithmOptions.read(section, adv_estimator="pkpo"))


def test_k_belongs_to_rows_over_groups():
    assert {"pass_at_k_training", "pkpo"} <= set(names_with_k())
    assert all(isinstance(OBJECTIVES[name].formula, GroupRule) for name in names_with_k())


def test_the_table_loads_neither_torch_nor_verl():
    """The launcher asks it before anything else loads."""
    code = "import sys, verl_ext.objectives.names; print(sorted({'torch', 'verl', 'ray', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
