#!/usr/bin/env python
"""Draw what every objective weighs correct and wrong responses by: the picture of docs/objectives.md.

    python scripts/plot_objectives.py [--num_samples 16] [--out docs/objective_weights.png]

It has every row of verl_ext/objectives/catalog.py, and verl's GRPO. Reports of runs draw theirs in the same way.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import ROWS
from verl_ext.objectives.objective import AnotherName
from verl_ext.objectives.run_curves import curve_name
from verl_ext.objectives.weight_curve import GRPO, WeightCurve, weight_curve
from verl_ext.plots.figures import png
from verl_ext.plots.objective_weights import objective_weights_figure

PAGE = Path(__file__).resolve().parents[1] / "docs/objective_weights.png"
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "pass_at_k_training": {"pass_at_k": 4},
    "pkpo": {"pass_at_k": 4},
    "asymre": {"asymre_baseline": 0.3},
}
"""Options of the objectives that have no default for them."""


def curves(num_samples: int) -> list[WeightCurve]:
    """GRPO and every objective that is no other name of one."""
    names = [GRPO, *(row.name for row in ROWS if not isinstance(row.formula, AnotherName))]
    options = [AlgorithmOptions.read(NEEDED.get(name, {}), adv_estimator=name) for name in names]
    return [weight_curve(each, num_samples, name=curve_name(each)) for each in options]


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
