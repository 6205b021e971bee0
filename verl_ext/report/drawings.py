"""The pictures of a page, each for a wide window and for a phone, as SVG and PNG."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from verl_ext.host.files import replacing
from verl_ext.plots.figures import png, svg
from verl_ext.report.markdown import NARROW_MARK


@dataclass(frozen=True)
class Drawing:
    """A picture that is drawn when it is asked for.

    Args:
        draw: Takes whether it is for a phone.
    """

    draw: Callable[[bool], Figure]

    @cached_property
    def wide(self) -> Figure:
        return self.draw(False)

    @cached_property
    def narrow(self) -> Figure:
        return self.draw(True)

    @cached_property
    def wide_svg(self) -> bytes:
        return svg(self.wide)

    @cached_property
    def narrow_svg(self) -> bytes:
        return svg(self.narrow)


def write_pictures(drawings: Mapping[str, Drawing], folder: Path, *, with_narrow_png: bool = False) -> list[str]:
    """Write each as PNG and SVG, and as a PNG for a phone where a page of Markdown needs one; returns the names of the files."""
    files: dict[str, bytes] = {}
    for name, drawing in drawings.items():
        files |= {f"{name}.png": png(drawing.wide), f"{name}.svg": drawing.wide_svg}
        if with_narrow_png:
            files[f"{name}{NARROW_MARK}.png"] = png(drawing.narrow)
    for name, content in files.items():
        with replacing(folder / name) as unfinished:
            unfinished.write_bytes(content)
    return list(files)
