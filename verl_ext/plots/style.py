"""One look for every plot: a color, a line and a marker per method, the same in every figure.

The colors are Okabe and Ito's, told apart by readers with any color vision; lines and markers differ as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

INK = "#222222"
GRAY = "#6e6e6e"
GRID = "#e3e3e3"
FONT_SIZE = 10.5

LineStyle = str | tuple[int, tuple[float, ...]]


@dataclass(frozen=True)
class Style:
    """How one method is drawn and what it is called."""

    label: str
    color: str
    line: LineStyle
    marker: str

    @property
    def ink(self) -> str:
        """The color for text, a shade darker than for lines."""
        red, green, blue = to_rgb(self.color)
        return to_hex((0.8 * red, 0.8 * green, 0.8 * blue))


STYLES = {
    "base": Style("Base", "#000000", (0, (4, 2)), "o"),
    "psr": Style("PSR", "#D55E00", "-", "^"),
    "nsr": Style("NSR", "#0072B2", "-", "v"),
    "w_reinforce": Style("W-REINFORCE", "#009E73", "-", "D"),
    "reinforce": Style("REINFORCE", "#CC79A7", "-", "P"),
    "grpo": Style("GRPO", "#E69F00", "-", "s"),
    "ppo": Style("PPO", "#56B4E9", "-", "X"),
}
_BROKEN: LineStyle = (0, (6, 1.5))
_OF_OTHER_OBJECTIVES = {
    "asymre": Style("AsymRE", "#7F3C8D", _BROKEN, "*"),
    "grpo_virtual_success": Style("GRPO, virtual success", "#8C564B", _BROKEN, "h"),
    "pass_at_k_training": Style("Pass@k training", "#999933", _BROKEN, "p"),
    "pkpo": Style("PKPO", "#882255", _BROKEN, "<"),
    "qae": Style("QAE", "#44AA99", _BROKEN, ">"),
    "maxrl": Style("MaxRL", "#666666", _BROKEN, "d"),
    "rs_grpo": Style("RS-GRPO", "#332288", _BROKEN, "H"),
    "cw_nsr": Style("CW-NSR", "#6699CC", _BROKEN, "8"),
    "lens": Style("LENS", "#CC6677", _BROKEN, "X"),
    "unlikeliness": Style("Unlikeliness reward", "#AA4499", _BROKEN, "P"),
}
"""They share colors with unnamed methods, which have no broken lines."""
_OTHERS = [("#7F3C8D", "*"), ("#8C564B", "h"), ("#999933", "p"), ("#882255", "<"), ("#44AA99", ">"), ("#666666", "d")]


def known_style(name: str) -> Style | None:
    """The style that a method has everywhere; None for one that is none of the above."""
    key = name.lower().replace("-", "_")
    return STYLES.get(key) or _OF_OTHER_OBJECTIVES.get(key)


def styles_of(names: Sequence[str]) -> list[Style]:
    """The style of each method: fixed for the methods above, in order of appearance for any other name."""
    styles = []
    num_others = 0
    for name in names:
        known = known_style(name)
        if known is None:
            color, marker = _OTHERS[num_others % len(_OTHERS)]
            known = Style(name, color, "-" if num_others < len(_OTHERS) else ":", marker)
            num_others += 1
        styles.append(known)
    return styles


def style_by_name(names: Sequence[str]) -> dict[str, Style]:
    return dict(zip(names, styles_of(names), strict=True))


def clean(axes: Axes) -> None:
    """A light grid behind the data, no frame at the top and the right, quiet ticks."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b0b0b0")
    axes.tick_params(colors=GRAY, labelcolor=INK, labelsize=FONT_SIZE - 1, length=3)


def percent_axis(axes: Axes, *, is_horizontal: bool = False) -> None:
    """Ticks of the y axis, or the x axis, at whole percents of a share in [0, 1]."""
    axis, (low, high) = (axes.xaxis, axes.get_xlim()) if is_horizontal else (axes.yaxis, axes.get_ylim())
    axis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0 if high - low > 0.05 else 1, symbol=" %"))


def title(axes: Axes, text: str, **options: Any) -> None:
    axes.set_title(text, loc="left", fontsize=FONT_SIZE + 1.5, color=INK, pad=10, **options)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart to at least ``gap``, as little as possible, inside [low, high] where they fit.

    The order of the positions is kept. Each crowd of labels is centered on the mean of where its members belong.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    # A crowd is (sum of where its members belong if stacked from 0, members).
    crowds: list[tuple[float, list[int]]] = []
    for index in order:
        total, members = positions[index], [index]
        while crowds and _bottom(*crowds[-1], gap, low, high) + gap * len(crowds[-1][1]) > _bottom(
            total, members, gap, low, high
        ):
            below_total, below = crowds.pop()
            total = below_total + total - gap * len(below) * len(members)
            members = below + members
        crowds.append((total, members))
    placed = [0.0] * len(positions)
    for total, members in crowds:
        bottom = _bottom(total, members, gap, low, high)
        for rank, index in enumerate(members):
            placed[index] = bottom + gap * rank
    return placed


def _bottom(total: float, members: Sequence[int], gap: float, low: float, high: float) -> float:
    wanted = total / len(members)
    return max(low, min(wanted, high - gap * (len(members) - 1)))


def say_nothing_recorded(axes: Axes) -> None:
    """Write into axes that there is nothing to draw."""
    axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, color=GRAY, fontsize=FONT_SIZE, ha="center")


def legend_below(figure: Figure, drawn: Mapping[str, Artist], *, num_columns: int = 7) -> None:
    """One legend for all panels of a figure, below them; none where nothing was drawn.

    Args:
        figure: With a constrained layout.
        drawn: Label -> what it stands for.
        num_columns: At most so many labels side by side.
    """
    if drawn:
        figure.legend(
            handles=list(drawn.values()),
            labels=list(drawn),
            loc="outside lower center",
            ncols=min(num_columns, len(drawn)),
            frameon=False,
            fontsize=FONT_SIZE,
        )
