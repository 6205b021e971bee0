#!/usr/bin/env python
"""Draw what every objective weighs correct and wrong responses by: the picture of docs/objectives.md.

    python scripts/plot_objectives.py [--num_samples 16] [--out docs/objective_weights.png]

It has every row of verl_ext/objectives/catalog.py, and GRPO, which is pass_at_k_training with k = 1.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import ROWS
from verl_ext.objectives.objective import AnotherName
from verl_ext.objectives.weight_curve import WeightCurve, weight_curve
from verl_ext.plots.figures import png
from verl_ext.plots.objective_weights import objective_weights_figure

PAGE = Path(__file__).resolve().parents[1] / "docs/objective_weights.png"
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "pass_at_k_training": {"pass_at_k": 4},
    "pkpo": {"pass_at_k": 4},
    "asymre": {"asymre_baseline": 0.3},
}
"""Options of the objectives that have no default for them."""
SETTINGS = {
    "w_reinforce": "λ = {0.positive_advantage_weight:g}",
    "pass_at_k_training": "k = {0.pass_at_k}",
    "pkpo": "k = {0.pass_at_k}",
    "qae": "K = {0.qae_quantile:g}",
    "rs_grpo": "β = {0.rs_grpo_beta:g}",
    "asymre": "V = {0.asymre_baseline:g}",
    "cw_nsr": "floor = {0.cw_nsr_floor:g}",
    "lens": "α = {0.lens_alpha:g}",
    "unlikeliness": "β = {0.unlikeliness_beta:g}",
}
"""What a panel says beside the name."""


def curves(num_samples: int) -> list[WeightCurve]:
    """GRPO and every objective that is no other name of one."""
    grpo = AlgorithmOptions.read({"adv_estimator": "pass_at_k_training", "pass_at_k": 1})
    found = [weight_curve(grpo, num_samples, name="GRPO")]
    for row in ROWS:
        if not isinstance(row.formula, AnotherName):
            options = AlgorithmOptions.read(NEEDED.get(row.name, {}), adv_estimator=row.name)
            setting = SETTINGS.get(row.name, "").format(options)
            found.append(weight_curve(options, num_samples, name=", ".join(filter(None, (row.name, setting)))))
    return found


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--num_samples", type=int, default=16, help="responses to a prompt (default: 16)")
    parser.add_argument("--out", type=Path, default=PAGE, help="a PNG file (default: the page's)")
    arguments = parser.parse_args()
    heading = f"What each response weighs, {arguments.num_samples} to a prompt"
    arguments.out.write_bytes(png(objective_weights_figure(curves(arguments.num_samples), heading=heading)))


if __name__ == "__main__":
    main()
