"""pass@k as published work estimates it, by bootstrap from the largest k, beside the unbiased estimate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.pass_at_k import bootstrap_pass_at_k_table
from verl_ext.metrics.summary import PassAtKCurve, curve_of


@dataclass(frozen=True, kw_only=True)
class TwoEstimates:
    """Both estimates of one run's pass@k from the same samples."""

    unbiased: PassAtKCurve
    bootstrap: tuple[float, ...]
    """Mean over the same problems at each of the curve's k; never above the unbiased one."""

    @property
    def name(self) -> str:
        return self.unbiased.name


def two_estimates(generations: Generations, ks: Sequence[int] | None = None, *, seed: int = 0) -> TwoEstimates:
    """Estimate pass@k of a run twice; ``ks`` are powers of two up to n, and n itself, if None."""
    curve = curve_of(generations, ks, seed=seed)
    table_PK = bootstrap_pass_at_k_table(generations.num_samples_P, generations.num_correct_P, curve.ks)
    return TwoEstimates(unbiased=curve, bootstrap=tuple(float(mean) for mean in np.nanmean(table_PK, axis=0)))
