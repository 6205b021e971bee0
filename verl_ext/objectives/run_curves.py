"""The weights that runs trained with: a curve for each objective with its options, by a name that says them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import objective_under
from verl_ext.objectives.objective import Objective
from verl_ext.objectives.weight_curve import GRPO, WeightCurve, weight_curve

SETTINGS = {
    "pass_at_k_training": "k = {0.pass_at_k}",
    "pkpo": "k = {0.pass_at_k}",
    "qae": "K = {0.qae_quantile:g}",
    "rs_grpo": "β = {0.rs_grpo_beta:g}",
    "asymre": "V = {0.asymre_baseline:g}",
    "cw_nsr": "floor = {0.cw_nsr_floor:g}",
    "lens": "α = {0.lens_alpha:g}",
    "unlikeliness": "β = {0.unlikeliness_beta:g}",
}
"""What a curve's name says behind the objective's."""
DIVIDED_BY_STD = (GRPO, "grpo_virtual_success", "qae", "lens", "unlikeliness")
"""Those that read ``algorithm.norm_adv_by_std_in_grpo``."""


class RunSettings(NamedTuple):
    """What a run's weights depend on."""

    name: str
    """Of the run."""
    section: Mapping[str, Any] | None
    """verl's ``algorithm`` section; None where it is not on record."""
    num_samples: int | None
    """``actor_rollout_ref.rollout.n``."""


class RunCurves(NamedTuple):
    """The curves of runs."""

    curves: list[WeightCurve]
    """One for each objective with its options and number of samples, in the order of the runs."""
    without: dict[str, list[str]]
    """Why there is none -> the runs."""


def curves_of_runs(runs: Sequence[RunSettings]) -> RunCurves:
    """The curves of all objectives that have one; what has none is named with the reason."""
    sizes = {run.num_samples for run in runs if run.num_samples is not None}
    curves: dict[str, WeightCurve] = {}  # by all that they say, nan too
    without: dict[str, list[str]] = {}
    for run in runs:
        try:
            curve = _curve_of(run, says_size=len(sizes) > 1)
        except ValueError as error:
            without.setdefault(str(error), []).append(run.name)
        else:
            curves.setdefault(repr(curve), curve)
    return RunCurves(list(curves.values()), without)


def _curve_of(run: RunSettings, *, says_size: bool) -> WeightCurve:
    if not isinstance(run.section, Mapping) or not run.section.get("adv_estimator"):
        raise ValueError("algorithm.adv_estimator is not on record.")
    if not isinstance(run.num_samples, int):
        raise ValueError("actor_rollout_ref.rollout.n is not on record.")
    options = AlgorithmOptions.read(run.section)
    curve = weight_curve(options, run.num_samples)
    name = curve_name(options)
    return curve._replace(name=f"{name}, n = {run.num_samples}" if says_size else name)


def curve_name(options: AlgorithmOptions) -> str:
    """The objective and all options that its weights depend on, where they are no default."""
    row = objective_under(options)
    name = options.adv_estimator if row is None else row.name
    shown = "GRPO" if name == GRPO else name
    parts = [shown, _lambda(row, options), SETTINGS.get(name, "").format(options), *_changes(name, row, options)]
    return ", ".join(filter(None, parts))


def _lambda(row: Objective | None, options: AlgorithmOptions) -> str:
    """lambda, of a schedule its start, which is what is drawn."""
    if row is None or not row.has_lambda:
        return ""
    schedule = options.positive_advantage_weight_schedule
    until = "" if schedule is None else f" to {schedule.end:g}"
    return f"λ = {options.positive_advantage_weight:g}{until}"


def _changes(name: str, row: Objective | None, options: AlgorithmOptions) -> list[str]:
    changes = []
    if name in DIVIDED_BY_STD and not options.norm_adv_by_std_in_grpo:
        changes.append("not over std")
    if name == "pkpo" and options.pkpo_baseline == "none":
        changes.append("no baseline")
    if options.group_normalize:
        changes.append("normalized")
    if row is not None and row.is_signed and options.noisy_grader.is_corrected:
        false_negative, false_positive = options.noisy_grader.assumed
        changes.append(f"corrected for {false_negative:g} and {false_positive:g}")
    return changes
