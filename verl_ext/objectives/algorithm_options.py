"""This package's options of an objective, read once and typed; see ``verl_ext/training/config/trainer.yaml``.

Launcher, estimators and trainer all read them here, so that a wrong value is refused in the same words whoever meets it
first, in a stock ``python -m verl.trainer.main_ppo`` too. Free of torch and verl.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Self

from verl_ext.objectives.noisy_grader import NoisyGrader, read_noisy_grader
from verl_ext.objectives.weight_schedule import END, SCHEDULE, SHAPES, STEPS, WEIGHT, WeightSchedule

Section = Mapping[str, Any]
"""verl's ``algorithm`` section, resolved or not."""

DEFAULT_POSITIVE_WEIGHT = 0.1
"""lambda of W-REINFORCE in the paper's experiments. The paper's released code has 1 in its configuration file."""
DEFAULT_QAE_QUANTILE = 0.4
"""K of QAE: where its authors start."""
DEFAULT_RS_GRPO_BETA = 2.0
"""beta of RS-GRPO that its authors recommend."""
DEFAULT_CW_NSR_FLOOR = 0.05
"""The smallest weight of a wrong response in the code of CW-NSR."""
DEFAULT_LENS_ALPHA = 0.25
"""alpha of LENS in its authors' runs."""
DEFAULT_UNLIKELINESS_BETA = 0.25
"""beta of the unlikeliness reward in its authors' runs."""
LOSS_NORMALIZERS = ("kept", "all")
MINI_BATCHES = ("equal", "paper")
PKPO_BASELINES = ("loo_minus_one", "none")


@dataclass(frozen=True, kw_only=True)
class AlgorithmOptions:
    """The options under verl's ``algorithm`` section that this package reads, by the names they have there.

    Each value has its type and lies in its range. Whether it fits the objective is for ``verl_ext.objectives.catalog`` to say.
    """

    adv_estimator: str
    advantage: str | None
    """psr_nsr only: the paper's word for the objective."""
    positive_advantage_weight: float
    """lambda, >= 0."""
    positive_advantage_weight_schedule: WeightSchedule | None
    """With ``_end`` and ``_steps``; None: lambda stays."""
    pass_at_k: int | None
    """k >= 1 of the objectives that train pass@k."""
    pkpo_baseline: str
    qae_quantile: float
    """K, 0 < K < 1."""
    rs_grpo_beta: float
    """beta > 0."""
    asymre_baseline: float | None
    """V, 0 <= V <= 1, which asymre needs and no other reads."""
    cw_nsr_floor: float
    """0 <= floor <= 1."""
    lens_alpha: float
    """0 <= alpha <= 1."""
    unlikeliness_beta: float
    """0 <= beta <= 1."""
    norm_adv_by_std_in_grpo: bool
    """verl's own, as is ``use_kl_in_reward``."""
    use_kl_in_reward: bool
    drop_zero_advantage: bool | None
    """None: as the objective's row in the table says."""
    loss_normalizer: str
    """One of ``LOSS_NORMALIZERS``."""
    mask_truncated: bool
    mini_batches: str
    """One of ``MINI_BATCHES``."""
    one_pass: bool | None
    """None: where it is exact."""
    noisy_grader: NoisyGrader
    max_staleness_negative: int | None
    """N >= 0: samples with a negative advantage from weights of more than N updates ago leave; None: none for its age."""
    group_normalize: bool
    """Of signed objectives: (r - mean) / std in the group before the weights of the signs."""

    @classmethod
    def read(cls, section: Section, *, adv_estimator: str | None = None) -> Self:
        """Read verl's ``algorithm`` section; an option that it lacks has the default of this package's configuration.

        Args:
            section: The section, of this package's launcher or of verl's own.
            adv_estimator: The objective to read them for, where the caller knows it better than the section.

        Raises:
            ValueError: A value has the wrong type or is out of range.
        """
        return cls(
            adv_estimator=str(section["adv_estimator"] if adv_estimator is None else adv_estimator),
            advantage=None if section.get("advantage") is None else str(section["advantage"]),
            positive_advantage_weight=_positive_weight(section),
            positive_advantage_weight_schedule=_weight_schedule(section),
            pass_at_k=_pass_at_k(section),
            pkpo_baseline=_one_of(section, "pkpo_baseline", PKPO_BASELINES),
            qae_quantile=_qae_quantile(section),
            rs_grpo_beta=_rs_grpo_beta(section),
            asymre_baseline=_asymre_baseline(section),
            cw_nsr_floor=_share(section, "cw_nsr_floor", DEFAULT_CW_NSR_FLOOR),
            lens_alpha=_share(section, "lens_alpha", DEFAULT_LENS_ALPHA),
            unlikeliness_beta=_share(section, "unlikeliness_beta", DEFAULT_UNLIKELINESS_BETA),
            norm_adv_by_std_in_grpo=bool(section.get("norm_adv_by_std_in_grpo", True)),
            use_kl_in_reward=bool(section.get("use_kl_in_reward", False)),
            drop_zero_advantage=_flag_or_null(section, "drop_zero_advantage"),
            loss_normalizer=_one_of(section, "loss_normalizer", LOSS_NORMALIZERS),
            mask_truncated=bool(_flag_or_null(section, "mask_truncated")),
            mini_batches=_one_of(section, "mini_batches", MINI_BATCHES),
            one_pass=_flag_or_null(section, "one_pass"),
            noisy_grader=read_noisy_grader(section),
            max_staleness_negative=_max_staleness_negative(section),
            group_normalize=bool(_flag_or_null(section, "group_normalize")),
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _positive_weight(section: Section) -> float:
    weight = section.get(WEIGHT)
    weight = DEFAULT_POSITIVE_WEIGHT if weight is None else weight
    if not _is_number(weight) or not weight >= 0.0:
        raise ValueError(
            f"algorithm.{WEIGHT} must be a number >= 0, got {weight}. The paper uses {DEFAULT_POSITIVE_WEIGHT}."
        )
    return float(weight)


def _weight_schedule(section: Section) -> WeightSchedule | None:
    shape, end, num_steps = section.get(SCHEDULE), section.get(END), section.get(STEPS)
    if shape is None:
        for option, value in ((END, end), (STEPS, num_steps)):
            if value is not None:
                raise ValueError(f"algorithm.{option}={value} needs algorithm.{SCHEDULE}: one of {', '.join(SHAPES)}.")
        return None
    if shape not in SHAPES:
        raise ValueError(f"algorithm.{SCHEDULE} must be null or one of {', '.join(SHAPES)}, got {shape}.")
    if end is None or not _is_number(end) or not end >= 0.0:
        raise ValueError(f"algorithm.{SCHEDULE}={shape} needs algorithm.{END}, a number >= 0, got {end}.")
    if num_steps is not None and (not _is_whole(num_steps) or num_steps < 2):
        raise ValueError(f"algorithm.{STEPS} must be null (the whole run) or a whole number >= 2, got {num_steps}.")
    return WeightSchedule(str(shape), _positive_weight(section), float(end), num_steps)


def _pass_at_k(section: Section) -> int | None:
    k = section.get("pass_at_k")
    if k is not None and (not _is_whole(k) or k < 1):
        raise ValueError(f"algorithm.pass_at_k must be a whole number >= 1, got {k}.")
    return k


def _max_staleness_negative(section: Section) -> int | None:
    most = section.get("max_staleness_negative")
    if most is not None and (not _is_whole(most) or most < 0):
        raise ValueError(f"algorithm.max_staleness_negative must be null or a whole number >= 0, got {most}.")
    return most


def _qae_quantile(section: Section) -> float:
    quantile = section.get("qae_quantile", DEFAULT_QAE_QUANTILE)
    if not _is_number(quantile) or not 0.0 < quantile < 1.0:
        raise ValueError(
            f"algorithm.qae_quantile must be a number above 0 and below 1, got {quantile}. "
            f"Its authors start with {DEFAULT_QAE_QUANTILE}."
        )
    return float(quantile)


def _rs_grpo_beta(section: Section) -> float:
    beta = section.get("rs_grpo_beta", DEFAULT_RS_GRPO_BETA)
    if not _is_number(beta) or not 0.0 < beta < inf:
        raise ValueError(
            f"algorithm.rs_grpo_beta must be a number > 0, got {beta}. Its authors recommend {DEFAULT_RS_GRPO_BETA:g}."
        )
    return float(beta)


def _asymre_baseline(section: Section) -> float | None:
    baseline = section.get("asymre_baseline")
    if baseline is None:
        return None
    if not _is_number(baseline) or not 0.0 <= baseline <= 1.0:
        raise ValueError(f"algorithm.asymre_baseline must be null or a number from 0 (psr) to 1 (nsr), got {baseline}.")
    return float(baseline)


def _share(section: Section, option: str, default: float) -> float:
    share = section.get(option, default)
    if not _is_number(share) or not 0.0 <= share <= 1.0:
        raise ValueError(f"algorithm.{option} must be a number from 0 to 1, got {share}. Its authors use {default:g}.")
    return float(share)


def _one_of(section: Section, option: str, choices: tuple[str, ...]) -> str:
    """The value of an option whose default is the first of its choices."""
    choice = section.get(option, choices[0])
    if choice not in choices:
        raise ValueError(f"algorithm.{option} must be one of {', '.join(choices)}, got {choice}.")
    return str(choice)


def _flag_or_null(section: Section, option: str) -> bool | None:
    value = section.get(option)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"algorithm.{option} must be True or False or null, got {value}.")
    return value
