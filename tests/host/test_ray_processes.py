"""Which Rays are there, whether their starter lives, and which folders nobody needs any more."""

import os
from types import SimpleNamespace

import psutil
import pytest

from verl_ext.host import ray_processes
from verl_ext.host.ray_processes import RayInstance

DATE = "2026-11-27_07-54-44_055614"


def daemon(name: str, pid: int, words: str, created: float, user: int | None = None):
    return SimpleNamespace(
        pid=pid,
        name=lambda: name,
        uids=lambda: SimpleNamespace(real=os.getuid() if user is None else user),
        cmdline=lambda: [name, *words.split()],
        create_time=lambda: created,
    )


@pytest.fixture
def now():
    return psutil.Process().create_time()


def test_a_ray_belongs_to_the_process_in_its_sessions_name(now):
    mine, gone = f"session_{DATE}_{os.getpid()}", f"session_{DATE}_{2**22 + 1}"
    found = ray_processes.instances(
        [
            daemon("gcs_server", 11, f"--session-name={mine}", now + 1),
            daemon("raylet", 12, f"--session_dir=/tmp/ray/{mine} --port=0", now + 2),
            daemon("raylet", 21, f"--session_dir=/tmp/ray/{gone}", now + 2),
            daemon("raylet", 22, f"--session_dir=/tmp/ray/{gone}", now + 2, user=os.getuid() + 1),
            daemon("python", 31, f"--session_dir=/tmp/ray/{gone}", now + 2),
            daemon("raylet", 41, "", now),
        ]
    )
    of_session = {one.session: one for one in found}
    assert of_session == {
        "process 41": RayInstance("process 41", (41,), None),
        gone: RayInstance(gone, (21,), None),
        mine: RayInstance(mine, (11, 12), os.getpid()),
    }


def test_an_id_that_another_process_has_now_is_no_starter(now):
    """Ids are used again: what has started a session is older than it."""
    session = f"session_{DATE}_{os.getpid()}"
    (found,) = ray_processes.instances([daemon("raylet", 12, session, now - 60)])
    assert found.owner is None


def test_folders_of_ended_sessions_and_their_size(tmp_path):
    running, ended = (tmp_path / f"session_{DATE}_{number}" for number in (1, 2))
    for folder in (running, ended, tmp_path / "other"):
        (folder / "logs").mkdir(parents=True)
        (folder / "logs" / "raylet.out").write_bytes(b"x" * 1000)
    (tmp_path / "session_latest").symlink_to(ended)
    assert ray_processes.ended_sessions(tmp_path, [running.name]) == [ended]
    assert ray_processes.size_of([ended, running]) == 2000
    assert ray_processes.ended_sessions(tmp_path / "none", []) == []


def test_where_ray_puts_its_files():
    assert str(ray_processes.temporary_folder({})) == "/tmp/ray"
    assert str(ray_processes.temporary_folder({"TMPDIR": "/scratch"})) == "/scratch/ray"
    assert str(ray_processes.temporary_folder({"TMPDIR": "/scratch", "RAY_TMPDIR": "/t"})) == "/t/ray"


def test_the_address_that_ray_start_leaves(tmp_path):
    assert ray_processes.started_cluster(tmp_path) is None
    (tmp_path / ray_processes.CURRENT).write_text("10.0.0.1:6379\n")
    assert ray_processes.started_cluster(tmp_path) == "10.0.0.1:6379"


def test_ray_still_names_its_files_so():
    from ray._common import utils

    assert utils.get_ray_address_file("/t") == f"/t/{ray_processes.CURRENT}"
    assert utils.get_default_ray_temp_dir() == str(ray_processes.temporary_folder())
