"""What all tests share: the data sets, the marks that need hardware, a browser, and an environment that is the same everywhere."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.browser import NO_AXE, NO_BROWSER, Browser, browser_in, find_axe, find_browser

ROOT = Path(__file__).resolve().parents[1]

# Before anything imports them: no window system, and no test that quietly depends on the network or on an account.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# No deadline: a shared machine is slow for reasons that are not ours. The same examples every time, so that a red run
# means that something changed, and half as many as hypothesis draws by default, since a law that fails does so soon;
# `pytest --hypothesis-profile=search` draws twenty times as many, and new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets: VERL_EXT_DATA, or shared/data beside the checkout. Skips the test without it."""
    named = os.environ.get("VERL_EXT_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        if named:
            pytest.fail(f"VERL_EXT_DATA={named} is not a folder.")
        pytest.skip("No data sets: set VERL_EXT_DATA to a folder with math_test.parquet, countdown_test.parquet, ...")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB. Skips the test where this process may not mount one."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"No small disk: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, leaving: int = 0) -> Path:
    """Fill a ``small_disk`` but for so many bytes, a multiple of 4096; returns the file to remove for room."""
    file = folder / "filler"
    file.write_bytes(b"x" * (shutil.disk_usage(folder).free - leaving))
    return file


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("Needs a CUDA device.")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, started once for all pages; skips the test where there is none."""
    if find_browser() is None:
        pytest.skip(NO_BROWSER)
    with browser_in(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="session")
def axe() -> Path:
    """axe-core, which looks for what shuts readers out; skips the test where there is none."""
    found = find_axe()
    if found is None:
        pytest.skip(NO_AXE)
    return found
