"""Which problems each run solves, and how often: a row for each problem, a column for each run."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_hex

from verl_ext.analysis.same_problems import on_same_problems
from verl_ext.metrics.generations import Generations
from verl_ext.objectives.logit_gradient import Floats
from verl_ext.plots.style import FONT_SIZE, INK, say_nothing_recorded, styles_of

_NEVER = "#ffffff"
_NUM_SHADES = 10
MANY_RUNS = 12
"""More are drawn as narrow columns, with their names along them."""


def coverage(runs: Sequence[Generations]) -> Floats:
    """(problems, runs) the share of a problem's samples that are correct; problems from the first run's best to its worst.

    Raises:
        ValueError: The runs are about other problems.
    """
    aligned = on_same_problems(runs)
    share_PR = np.stack([run.num_correct_P / run.num_samples_P for run in aligned], axis=1)
    # Among problems that the first run solves alike, those that the others solve more often come first.
    order = np.lexsort((-share_PR.mean(axis=1), -share_PR[:, 0]))
    sorted_PR: Floats = share_PR[order]
    return sorted_PR


def draw_coverage(axes: Axes, runs: Sequence[Generations]) -> ScalarMappable | None:
    """Draw the map; what is never solved is white, and the shade says in how large a share of the samples it is.

    Returns:
        What a color bar needs; None where there is no run or no problem.
    """
    if not runs or not runs[0].num_problems:
        say_nothing_recorded(axes)
        return None
    share_PR = coverage(runs)
    colors = ListedColormap([_NEVER, *_shades()])
    bins = np.where(share_PR > 0, np.ceil(share_PR * _NUM_SHADES), 0.0)
    axes.imshow(bins, aspect="auto", interpolation="nearest", cmap=colors, norm=Normalize(0, _NUM_SHADES))
    labels = [style.label for style in styles_of([run.name for run in runs])]
    solved = (share_PR > 0).sum(axis=0)
    rotation = 0 if len(runs) <= 5 else 35 if len(runs) <= MANY_RUNS else 90
    axes.set_xticks(
        range(len(runs)),
        [f"{label}\n{number} solved" for label, number in zip(labels, solved, strict=True)],
        rotation=rotation,
        ha="right" if rotation == 35 else "center",
    )
    axes.set_yticks([])
    axes.tick_params(labelsize=FONT_SIZE - 1, labelcolor=INK, length=0)
    axes.set_ylabel(f"{len(share_PR):,} problems, the first run's best at the top", fontsize=FONT_SIZE, color=INK)
    for edge in range(1, len(runs)):
        axes.axvline(edge - 0.5, color="#888888", linewidth=0.8)
    return ScalarMappable(Normalize(0.0, 1.0), colors)


def _shades() -> list[str]:
    """From light to dark blue in even steps, which any color vision and any printer tells apart."""
    light, dark = np.array([0.82, 0.89, 0.95]), np.array([0.03, 0.19, 0.42])
    return [to_hex(light + (dark - light) * step / (_NUM_SHADES - 1)) for step in range(_NUM_SHADES)]
