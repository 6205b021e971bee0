"""What a run finds around it is said with a way out; what it could not live with, the launcher refuses."""

import socket
import tempfile
from copy import deepcopy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.training.conftest import config_of
from verl_ext.host.finding import Level, fail, ok, warn
from verl_ext.host.free_memory import GIB
from verl_ext.host.ray_processes import CURRENT, LONGEST_SOCKET_PATH, RayInstance, longest_socket_path
from verl_ext.training import preflight
from verl_ext.training.checks import other_rays, surroundings
from verl_ext.training.checks.surroundings import Space, doubtful, refused

MIB = 2**20


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture(scope="module")
def composed(folder):
    return config_of(folder)


@pytest.fixture
def config(composed):
    return deepcopy(composed)


@pytest.fixture
def short_path():
    """pytest's own are too long for Ray's sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


def joining(config, address):
    OmegaConf.update(config, "ray_kwargs.ray_init.address", address, force_add=True)
    return config


# ---------------------------------------------------------------------- versions


def lock(tmp_path, monkeypatch, **versions):
    (tmp_path / "cpu.txt").write_text("".join(f"{name}=={number}\n" for name, number in versions.items()))
    monkeypatch.setattr(surroundings, "LOCKS", tmp_path)


def test_the_locked_versions_are_right(tmp_path, monkeypatch):
    lock(tmp_path, monkeypatch, verl="0.9.1", ruff="1")
    assert surroundings.versions({"verl": "0.9.1", "ruff": "1", "more": "2"}).level is Level.OK


def test_another_version_of_what_decides_fails_and_of_a_tool_is_doubtful(tmp_path, monkeypatch):
    lock(tmp_path, monkeypatch, verl="0.9.1", ruff="1")
    found = surroundings.versions({"verl": "0.9.0", "ruff": "2"})
    assert found.level is Level.FAIL
    assert found.text == "not as in requirements/cpu.txt: verl 0.9.0 (locked 0.9.1), ruff 2 (locked 1)"
    assert found.remedy == "bash scripts/install.sh --cpu installs what differs."
    assert surroundings.versions({"verl": "0.9.1", "ruff": "2"}).level is Level.WARN


def test_without_a_checkout_there_is_nothing_to_compare_with(tmp_path, monkeypatch):
    monkeypatch.setattr(surroundings, "LOCKS", tmp_path / "none")
    assert "no lock to compare them with" in surroundings.versions({"verl": "1"}).text


def test_an_environment_with_vllm_for_gpus_has_their_lock(tmp_path, monkeypatch):
    lock(tmp_path, monkeypatch, verl="0.9.1")
    (tmp_path / "gpu.txt").write_text("verl==0.9.0\n")
    assert surroundings.versions({"verl": "0.9.0", "vllm": "0.24.0"}).text == "1 packages as in requirements/gpu.txt"


# ---------------------------------------------------------------------- shared memory and temporary files


def test_shared_memory_holds_a_bucket_for_each_rank(config):
    config.trainer.n_gpus_per_node = 2
    needed = surroundings.shared_memory_needed(config)
    assert needed == 2 * 256 * MIB
    found = surroundings.shared_memory(config, Space(GIB, needed - 1), memory=GIB)
    assert found.level is Level.FAIL
    assert "the run's ranks exchange 0.5 GiB" in found.text
    assert "--shm-size=8g" in found.remedy
    assert surroundings.shared_memory(config, Space(GIB, needed), memory=GIB).level is Level.OK


def test_a_small_shared_memory_makes_ray_slow():
    found = surroundings.shared_memory(None, Space(64 * MIB, 64 * MIB), memory=16 * GIB)
    assert (found.level, "on the disk" in found.text) == (Level.WARN, True)


def test_several_gpus_need_some_of_it_and_one_does_not(config):
    config.trainer.device = "cuda"
    assert surroundings.shared_memory_needed(config) == 0
    config.trainer.n_gpus_per_node = 8
    assert surroundings.shared_memory_needed(config) == 512 * MIB


def test_temporary_files_need_room_and_a_folder(short_path):
    levels = {
        free: surroundings.temporary_files(short_path / "ray", Space(100 * GIB, free)).level
        for free in (surroundings.LEAST_TEMPORARY - 1, GIB, 50 * GIB)
    }
    assert list(levels.values()) == [Level.FAIL, Level.WARN, Level.OK]
    (short_path / "file").touch()
    found = surroundings.temporary_files(short_path / "file" / "ray")
    assert (found.level, "RAY_TMPDIR=" in found.remedy) == (Level.FAIL, True)


def test_a_folder_whose_sockets_have_too_long_names(short_path):
    left = LONGEST_SOCKET_PATH - len(longest_socket_path(short_path / "ray"))
    fits = short_path / ("x" * (left - 1)) / "ray"
    assert surroundings.temporary_files(fits, Space(GIB * 9, GIB * 9)).level is Level.OK
    longer = short_path / ("x" * (left + 2)) / "ray"
    found = surroundings.temporary_files(longer, Space(GIB * 9, GIB * 9))
    assert found.level is Level.FAIL
    assert "3 bytes too long for the names of Ray's sockets" in found.text


# ---------------------------------------------------------------------- Ray


LEFT = RayInstance("session_1", (11, 12), None)
USED = RayInstance("session_2", (21,), 20)


def test_a_ray_whose_starter_has_ended_is_named_and_left_alone(tmp_path):
    found = other_rays.rays(None, [LEFT, USED], tmp_path)
    assert found.level is Level.WARN
    assert "processes 11 12" in found.text
    assert found.remedy.startswith("kill 11 12.")
    assert other_rays.rays(None, [USED], tmp_path).text.endswith("; 1 in use by others")


def test_what_ray_start_has_left_would_be_joined(tmp_path, config):
    """ray.init without an address joins it, and refuses the CPUs that the launcher gives a Ray of its own."""
    (tmp_path / CURRENT).write_text("10.0.0.1:6379")
    found = other_rays.rays(config, [], tmp_path)
    assert found.level is Level.FAIL
    assert "10.0.0.1:6379" in found.text
    for address in ("local", "10.0.0.1:6379"):
        assert other_rays.rays(joining(config, address), [LEFT], tmp_path).level is Level.OK


def test_large_sessions_of_ended_runs(tmp_path, monkeypatch):
    session = tmp_path / "session_2026-11-27_07-54-44_055614_1"
    session.mkdir()
    (session / "raylet.out").write_bytes(b"x" * 1000)
    assert other_rays.rays(None, [], tmp_path).level is Level.OK
    monkeypatch.setattr(other_rays, "MANY", 999)
    found = other_rays.rays(None, [], tmp_path)
    assert (found.level, found.remedy) == (Level.WARN, f"Delete them: {session}.")


def test_a_cluster_that_does_not_answer(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        joining(config, f"127.0.0.1:{taken.getsockname()[1]}")
        assert other_rays.addresses(config).level is Level.FAIL
        taken.listen(1)
        assert other_rays.addresses(config).level is Level.OK
    assert other_rays.addresses(joining(config, "auto")).level is Level.OK


def test_an_own_address_that_does_not_answer():
    found = other_rays.addresses(None, own=lambda: "203.0.113.1")
    assert (found.level, "_node_ip_address=127.0.0.1" in found.remedy) == (Level.FAIL, True)


# ---------------------------------------------------------------------- variables, and the launcher


def test_what_a_learner_of_this_process_has_set_is_nobodys_fault(config, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    (at_start,) = (one for one in surroundings.surroundings(config, {}) if one.subject == surroundings.VARIABLES)
    (now,) = (one for one in surroundings.surroundings(config) if one.subject == surroundings.VARIABLES)
    assert (at_start.level, now.level) == (Level.OK, Level.WARN)


def test_variables_of_torchrun():
    found = surroundings.variables({"LOCAL_RANK": "1", "MASTER_ADDR": "host", "HOME": "/"})
    assert (found.level, found.remedy) == (Level.WARN, "unset LOCAL_RANK MASTER_ADDR")
    assert surroundings.variables({"HOME": "/"}).level is Level.OK


FINDINGS = [
    fail("versions", "not as locked", "install"),
    fail("shared memory", "too small", "enlarge it"),
    warn("Ray", "one is left", "kill 1"),
    ok("addresses", "fine"),
]


def test_the_launcher_refuses_what_fails_but_versions():
    assert list(refused(FINDINGS)) == ["shared memory: too small enlarge it"]
    assert list(doubtful(FINDINGS)) == ["warning: versions: not as locked install", "warning: Ray: one is left kill 1"]


def test_the_launcher_looks_around(config, monkeypatch):
    preflight.check(config)
    monkeypatch.setattr(surroundings, "space_of", lambda _path: Space(GIB, 64 * MIB))
    with pytest.raises(ValueError, match="shared memory: 0.062 GiB .*--ipc=host"):
        preflight.check(config)
