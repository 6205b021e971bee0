import io
import runpy
import stat
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from verl_ext.plots.animation import FILM_RATE, FilmError, gif, pixels, write_film, write_moving

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts/animate_objectives.py"))
FRAMES = [np.full((4, 6, 3), value, dtype=np.uint8) for value in (0, 120, 255)]


def test_pixels_have_even_sides():
    figure = Figure(figsize=(1.01, 0.55), dpi=100)
    assert pixels(figure).shape == (54, 100, 3)


def test_gif_holds_the_frames_in_order_and_their_times():
    content = gif(FRAMES, [0.1, 0.2, 1.0])
    assert content == gif(FRAMES, [0.1, 0.2, 1.0])
    image = Image.open(io.BytesIO(content))
    assert (image.n_frames, image.size, image.info["loop"]) == (3, (6, 4), 0)
    for number, seconds in enumerate((0.1, 0.2, 1.0)):
        image.seek(number)
        assert image.info["duration"] == 1000 * seconds
        # black and gray may share an entry of the palette's with a neighbor a few steps away; white is white
        assert abs(int(np.asarray(image.convert("RGB"))[0, 0, 0]) - int(FRAMES[number][0, 0, 0])) <= 3 * (number < 2)


def test_without_ffmpeg_the_gif_is_made_and_the_reason_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = write_moving(tmp_path, "moving", FRAMES, [0.1] * 3)
    assert said[1] == f"{tmp_path}/moving.mp4 is left out: there is no ffmpeg on this machine's PATH, which makes it."
    assert [path.name for path in tmp_path.iterdir()] == ["moving.gif"]


def fake_ffmpeg(folder, text):
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_ffmpeg_gets_each_picture_for_as_long_as_it_lasts(tmp_path):
    ffmpeg = fake_ffmpeg(tmp_path, f'echo "$@" > {tmp_path}/words\nfor last; do :; done\ncat > "$last"')
    write_film(tmp_path / "moving.mp4", FRAMES, [0.1, 0.01, 0.2], ffmpeg)
    counts = (0.1 * FILM_RATE, 1, 0.2 * FILM_RATE)
    expected = b"".join(frame.tobytes() * int(count) for frame, count in zip(FRAMES, counts, strict=True))
    assert (tmp_path / "moving.mp4").read_bytes() == expected
    assert "-s 6x4" in (tmp_path / "words").read_text()


def test_an_ffmpeg_that_fails_says_why_and_leaves_nothing(tmp_path):
    ffmpeg = fake_ffmpeg(tmp_path, "cat > /dev/null\necho Unknown encoder libx264 >&2\nexit 1")
    with pytest.raises(FilmError, match=r"could not write moving\.mp4: Unknown encoder libx264"):
        write_film(tmp_path / "moving.mp4", FRAMES, [0.1] * 3, ffmpeg)
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


def test_with_an_ffmpeg_that_fails_all_else_is_written_and_the_reason_said(tmp_path, monkeypatch, capsys):
    fake_ffmpeg(tmp_path, "echo Unknown encoder libx264 >&2\nexit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    SCRIPT["main"](["--out", str(tmp_path / "out"), "--num_steps", "2", "--num_repeats", "2"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["decomposition.gif", "decomposition.png"]
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "decomposition.mp4" in line]
    assert said.endswith(f"is left out: {tmp_path}/ffmpeg could not write decomposition.mp4: Unknown encoder libx264")


def test_the_script_writes_the_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    SCRIPT["main"](["--out", str(tmp_path / "out"), "--num_steps", "2", "--num_repeats", "2"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["decomposition.gif", "decomposition.png"]
    assert "3 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("num_steps", [1, 5, 13, 256])
def test_frames_go_to_the_end(num_steps):
    steps = SCRIPT["frame_steps"](num_steps)
    assert (steps[0], steps[-1]) == (0, num_steps)
    assert steps == sorted(set(steps))
    assert len(SCRIPT["frame_seconds"](steps)) == len(steps)


def test_the_script_says_what_is_missing(tmp_path):
    with pytest.raises(SystemExit, match="--model needs --question, --start and --right"):
        SCRIPT["main"](["--out", str(tmp_path), "--model", str(tmp_path)])
    with pytest.raises(SystemExit, match="There is no"):
        SCRIPT["main"](["--out", str(tmp_path), "--distribution", str(tmp_path / "none.json")])
