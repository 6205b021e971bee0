"""An objective of each kind, added to a copy of the package as CONTRIBUTING.md says: a file, a row, a test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import verl_ext

PACKAGE = Path(verl_ext.__path__[0])
END_OF_ROWS = ")\n\nOBJECTIVES = "

HALVES = """
    Objective(name="halves", formula=SignWeights(positive=0.5, negative=0.5), summary="half of reinforce"),
"""

SHARE_FILE = '''
"""A correct response gets the share of wrong ones in its group."""

from verl_ext.objectives.groups import GroupFormula, OutcomeAdvantages
from verl_ext.objectives.options import AlgorithmOptions


def formula_under(options: AlgorithmOptions) -> GroupFormula:
    return lambda n, c: OutcomeAdvantages(correct=(n - c) / n, incorrect=0.0)
'''
SHARE = """
    Objective(name="wrong_share", formula=GroupRule(wrong_share.formula_under), summary="the share of wrong ones"),
"""

CENTERED_FILE = '''
"""The reward less its mean over the batch."""

import torch


def advantages(rewards_BT, mask_BT, prompts, options):
    scores_B = rewards_BT.sum(dim=-1)
    return (scores_B - scores_B.mean()).unsqueeze(-1) * mask_BT
'''
CENTERED = """
    Objective(
        name="centered",
        formula=TensorRule("verl_ext.objectives.centered:advantages"),
        needs_beyond_rewards="normalizes over the batch",
        summary="the reward less its mean",
    ),
"""

TEST = """
import sys

import pytest

from verl_ext.objectives.names import OUR_ESTIMATORS
from verl_ext.training.checks.algorithm import check_estimator
from verl_ext.training.configuration import compose_config

EXPECTED = {"halves": [0.5, -0.5, 0.5, 0.5], "wrong_share": [0.25, 0, 0.25, 0.25], "centered": [0.25, -0.75, 0.25, 0.25]}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_launcher_knows_it(name):
    assert name in OUR_ESTIMATORS
    check_estimator(compose_config([f"algorithm.adv_estimator={name}"], device="cpu"))
    assert "torch" not in sys.modules


def test_the_launcher_knows_what_the_filter_may_drop_by():
    dropping = "algorithm.drop_zero_advantage=True"
    check_estimator(compose_config(["algorithm.adv_estimator=wrong_share", dropping], device="cpu"))
    with pytest.raises(ValueError, match="this one normalizes over the batch"):
        check_estimator(compose_config(["algorithm.adv_estimator=centered", dropping], device="cpu"))


@pytest.mark.parametrize("name", EXPECTED)
def test_verl_gets_its_advantages(name):
    import torch
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    rewards_BT = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    advantages_BT, _ = get_adv_estimator_fn(name)(rewards_BT, torch.ones(4, 2), config={}, index=["p"] * 4)
    assert advantages_BT.tolist() == [[value] * 2 for value in EXPECTED[name]]
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the package with three more objectives, and their test."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(PACKAGE, folder / "verl_ext", ignore=shutil.ignore_patterns("__pycache__"))
    objectives = folder / "verl_ext" / "objectives"
    (objectives / "wrong_share.py").write_text(SHARE_FILE)
    (objectives / "centered.py").write_text(CENTERED_FILE)
    table = (objectives / "table.py").read_text()
    assert table.count(END_OF_ROWS) == 1
    table = table.replace(END_OF_ROWS, f"{HALVES}{SHARE}{CENTERED}{END_OF_ROWS}")
    for before, after in (
        ("Objective, SignWeights\n", "Objective, SignWeights, TensorRule\n"),
        ("pkpo, ", "pkpo, wrong_share, "),
    ):
        assert before in table
        table = table.replace(before, after, 1)
    (objectives / "table.py").write_text(table)
    (folder / "test_new.py").write_text(TEST)
    return folder


def test_a_file_a_row_and_a_test_are_enough(tree):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_new.py"]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout
