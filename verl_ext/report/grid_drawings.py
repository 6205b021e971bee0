"""The pictures of a study over seeds and problems."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from matplotlib.figure import Figure

from verl_ext.analysis.grid_comparisons import Comparisons
from verl_ext.analysis.grid_scores import GridScores
from verl_ext.plots import cell_figures
from verl_ext.plots.training_curves import PANELS, TrainingCurve
from verl_ext.report.drawings import Drawing


def grid_drawings(
    scores: GridScores, compared: Comparisons, curves: Mapping[str, Sequence[TrainingCurve]]
) -> dict[str, Drawing]:
    """Name -> picture, all that there is something for.

    Args:
        scores: Of the cells.
        compared: Their comparisons.
        curves: Name of a cell -> what its runs have logged.
    """

    @lru_cache(maxsize=2)
    def figures(is_narrow: bool) -> dict[str, Figure]:
        in_training = cell_figures.training_figures(scores, curves, panels=PANELS, is_narrow=is_narrow)
        everything = cell_figures.training_figures(scores, curves, is_narrow=is_narrow)
        return {
            **cell_figures.cell_figures(scores, compared, is_narrow=is_narrow),
            **in_training,
            **{f"all_{name}": figure for name, figure in everything.items()},
        }

    return {name: Drawing(lambda is_narrow, name=name: figures(is_narrow)[name]) for name in figures(False)}  # type: ignore[misc]
