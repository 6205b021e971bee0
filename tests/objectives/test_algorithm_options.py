"""The options of the algorithm section: defaults, types and ranges, in words that launcher and estimators share."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from omegaconf import OmegaConf

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.noisy_grader import ErrorRates, NoisyGrader
from verl_ext.training.configuration import compose_config


def test_what_a_stock_launch_lacks_has_the_launchers_defaults():
    """verl's own section knows none of this package's keys."""
    of_launcher = AlgorithmOptions.read(compose_config([], device="cpu").algorithm)
    assert AlgorithmOptions.read({"adv_estimator": "nsr", "norm_adv_by_std_in_grpo": True}) == of_launcher


def test_every_option_is_read():
    section = {
        "adv_estimator": "pkpo",
        "advantage": "weighted",
        "positive_advantage_weight": 1,
        "positive_advantage_weight_schedule": "cosine",
        "positive_advantage_weight_end": 2,
        "positive_advantage_weight_steps": 5,
        "pass_at_k": 3,
        "pkpo_baseline": "none",
        "qae_quantile": 0.6,
        "rs_grpo_beta": 3,
        "asymre_baseline": 0,
        "cw_nsr_floor": 0,
        "lens_alpha": 1,
        "unlikeliness_beta": 0.5,
        "norm_adv_by_std_in_grpo": False,
        "use_kl_in_reward": True,
        "drop_zero_advantage": False,
        "loss_normalizer": "all",
        "mask_truncated": True,
        "mini_batches": "paper",
        "one_pass": False,
        "noisy_grader": {"false_negative_rate": 0.25, "correction": "forward", "assumed_false_positive_rate": 0.5},
        "group_normalize": True,
        "max_staleness_negative": 2,
    }
    for given in (section, OmegaConf.create(section)):
        options = AlgorithmOptions.read(given)
        expected = {name: value for name, value in section.items() if not name.endswith(("_end", "_steps"))}
        assert vars(options) == expected | {
            "positive_advantage_weight_schedule": ("cosine", 1.0, 2.0, 5),
            "noisy_grader": NoisyGrader(ErrorRates(0.25, 0.0), "forward", ErrorRates(0.0, 0.5)),
        }
        assert isinstance(options.positive_advantage_weight, float)
    with pytest.raises(FrozenInstanceError):
        options.pass_at_k = 4  # type: ignore[misc]


WRONG = {
    (
        "positive_advantage_weight",
        "0.1",
    ): "positive_advantage_weight must be a number >= 0, got 0.1. The paper uses 0.1",
    ("positive_advantage_weight", True): "positive_advantage_weight must be a number >= 0, got True",
    ("pass_at_k", True): "algorithm.pass_at_k must be a whole number >= 1, got True",
    ("pass_at_k", 0): "algorithm.pass_at_k must be a whole number >= 1, got 0",
    ("pkpo_baseline", None): "algorithm.pkpo_baseline must be one of loo_minus_one, none, got None",
    (
        "qae_quantile",
        0.0,
    ): "algorithm.qae_quantile must be a number above 0 and below 1, got 0.0. Its authors start with 0.4",
    ("qae_quantile", 1): "algorithm.qae_quantile must be a number above 0 and below 1, got 1.",
    ("qae_quantile", None): "algorithm.qae_quantile must be a number above 0 and below 1, got None.",
    ("rs_grpo_beta", 0): "algorithm.rs_grpo_beta must be a number > 0, got 0. Its authors recommend 2.",
    ("rs_grpo_beta", float("inf")): "algorithm.rs_grpo_beta must be a number > 0, got inf.",
    ("rs_grpo_beta", float("nan")): "algorithm.rs_grpo_beta must be a number > 0, got nan.",
    ("asymre_baseline", 1.5): "algorithm.asymre_baseline must be null or a number from 0 .psr. to 1 .nsr., got 1.5",
    ("asymre_baseline", True): "algorithm.asymre_baseline must be null or a number from 0 .psr. to 1 .nsr., got True",
    ("loss_normalizer", "most"): "algorithm.loss_normalizer must be one of kept, all, got most",
    ("mini_batches", "small"): "algorithm.mini_batches must be one of equal, paper, got small",
    ("drop_zero_advantage", "False"): "algorithm.drop_zero_advantage must be True or False or null, got False",
    ("mask_truncated", 1): "algorithm.mask_truncated must be True or False or null, got 1",
}


@pytest.mark.parametrize(("option", "value"), WRONG)
def test_a_value_of_the_wrong_kind_is_refused_by_whoever_reads_it(option, value):
    message = WRONG[option, value]
    with pytest.raises(ValueError, match=message):
        AlgorithmOptions.read({"adv_estimator": "nsr", option: value})
    with pytest.raises(ValueError, match=message):
        ESTIMATORS["psr"](torch.ones(1, 2), torch.ones(1, 2), config={option: value})
