"""Figures one after the other: a GIF, a film by ffmpeg, and some of them side by side for paper."""

import shutil
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from verl_ext.host.files import replacing

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3) red, green and blue, from 0 to 255."""
NUM_COLORS = 128
FILM_RATE = 20
"""Pictures a second in a film: a picture is repeated for as long as it lasts."""


def pixels(figure: Figure) -> Pixels:
    """The figure at its own size; both sides are made even, since films need that."""
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no annotations
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


def gif(frames: Sequence[Pixels], seconds: Sequence[float]) -> bytes:
    """A GIF that repeats for ever, with one palette for all frames; the same frames give the same bytes.

    Args:
        frames: Of one size.
        seconds: How long each is shown.
    """
    images = [Image.fromarray(frame) for frame in frames]
    # A palette of each frame's own would make what stands still flicker.
    sheet = Image.fromarray(np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]]))
    palette = sheet.quantize(NUM_COLORS, method=Image.Quantize.MEDIANCUT)
    flat = [
        _with_white_paper(frame, image.quantize(palette=palette, dither=Image.Dither.NONE))
        for frame, image in zip(frames, images, strict=True)
    ]
    buffer = BytesIO()
    flat[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=flat[1:],
        duration=[round(1000 * each) for each in seconds],
        loop=0,
        optimize=False,
        disposal=1,
    )
    return buffer.getvalue()


def _with_white_paper(frame: Pixels, flat: Image.Image) -> Image.Image:
    """The frame in a palette's colors, where white is white: the nearest color that Pillow finds may be a shade off."""
    places = np.array(flat)
    colors = np.array(flat.getpalette(), dtype=np.uint8).reshape(-1, 3)
    white = int(colors.sum(axis=1, dtype=int).argmax())
    colors[white] = 255
    places[(frame == 255).all(axis=-1)] = white
    image = Image.fromarray(places, mode="P")
    image.putpalette(colors.tobytes())
    return image


class FilmError(ValueError):
    """This machine's ffmpeg cannot make a film, as one without the encoder cannot."""


def write_moving(folder: Path, name: str, frames: Sequence[Pixels], seconds: Sequence[float]) -> list[str]:
    """Write ``name``.gif and, with an ffmpeg that can, ``name``.mp4 into ``folder``.

    Returns:
        A line on each: what was written, or why not.
    """
    still = folder / f"{name}.gif"
    with replacing(still) as unfinished:
        unfinished.write_bytes(gif(frames, seconds))
    said = [f"{still}: {len(frames)} pictures, {sum(seconds):.0f} s, {still.stat().st_size / 1e6:.2f} MB"]
    film = folder / f"{name}.mp4"
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return [*said, f"{film} is left out: there is no ffmpeg on this machine's PATH, which makes it."]
    try:
        write_film(film, frames, seconds, ffmpeg)
    except FilmError as error:
        return [*said, f"{film} is left out: {error}"]
    return [*said, f"{film}: {film.stat().st_size / 1e6:.2f} MB"]


def write_film(path: Path, frames: Sequence[Pixels], seconds: Sequence[float], ffmpeg: str) -> None:
    """An MP4 in H.264, which every browser plays; it appears whole or not at all.

    Raises:
        FilmError: ffmpeg refused; the message has its last words.
    """
    height, width, _ = frames[0].shape
    with replacing(path) as unfinished:
        command = [ffmpeg, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command += ["-r", str(FILM_RATE), "-i", "-", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18"]
        command += ["-movflags", "+faststart", "-f", "mp4", str(unfinished)]
        film = b"".join(
            frame.tobytes() * max(1, round(FILM_RATE * each)) for frame, each in zip(frames, seconds, strict=True)
        )
        done = subprocess.run(command, input=film, capture_output=True, check=False)
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()[-400:]
            raise FilmError(f"{ffmpeg} could not write {path.name}: {words or f'exit code {done.returncode}'}")
