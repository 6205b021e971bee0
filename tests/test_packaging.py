"""setup.py, requirements/ and the code agree with each other."""

import ast
import functools
import importlib.metadata
import itertools
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"cpu": ROOT / "requirements" / "cpu.txt", "gpu": ROOT / "requirements" / "gpu.txt"}
LAPTOP_PACKAGES = ["analysis", "data", "export", "grading", "metrics", "plots", "report", "tasks"]


@functools.cache
def setup_arguments() -> dict:
    """The arguments setup.py calls setup() with."""
    with mock.patch.object(setuptools, "setup") as setup, pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    return setup.call_args.kwargs


def locked(flavor: str) -> dict[str, str]:
    lines = [line for line in LOCKS[flavor].read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def requirements(*extras: str) -> list[Requirement]:
    arguments = setup_arguments()
    lists = [arguments["install_requires"], *(arguments["extras_require"][extra] for extra in extras)]
    return [Requirement(line) for line in itertools.chain(*lists)]


def test_entry_point_is_declared_and_installed():
    assert setup_arguments()["entry_points"]["verl.plugins"] == ["verl_ext = verl_ext.plugin"]
    (entry_point,) = importlib.metadata.entry_points(group="verl.plugins", name="verl_ext")
    assert entry_point.value == "verl_ext.plugin"


def test_every_folder_with_code_is_packaged():
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "verl_ext").rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} == set(setup_arguments()["packages"])


def test_every_data_file_is_packaged():
    """A file that is not Python is found by a pattern of package_data, or an installed verl_ext lacks it."""
    package_data = setup_arguments()["package_data"]
    patterns = [(ROOT / package.replace(".", "/"), p) for package, globs in package_data.items() for p in globs]
    packaged = {path for folder, pattern in patterns for path in folder.glob(pattern)}
    files = {path for path in (ROOT / "verl_ext").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    missing = {path for path in files if path.suffix not in {".py", ".pyc"}} - packaged
    assert not missing, f"add them to package_data in setup.py: {sorted(map(str, missing))}"


@pytest.mark.parametrize("flavor", LOCKS)
def test_lock_is_well_formed_and_sorted(flavor):
    lines = [line for line in LOCKS[flavor].read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line) for line in lines)
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))


@pytest.mark.parametrize("flavor", LOCKS)
def test_lock_holds_every_requirement(flavor):
    versions = locked(flavor)
    for requirement in requirements(flavor, "dev"):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{requirement} is not in {LOCKS[flavor].name}"
        assert versions[name] in requirement.specifier, f"{requirement}, but {LOCKS[flavor].name} has {versions[name]}"


def test_cpu_lock_has_nothing_built_for_cuda():
    unwanted = re.compile(r"nvidia-.*|cuda-.*|cupy-.*|triton|torchvision|torchaudio|torchcodec|flash-attn|vllm")
    assert not [name for name in locked("cpu") if unwanted.fullmatch(name)]


def test_both_locks_grade_and_check_alike():
    """What decides a verdict or formats a file has one version, whatever trains."""
    cpu, gpu = locked("cpu"), locked("gpu")
    names = [
        "math-verify",
        "latex2sympy2-extended",
        "antlr4-python3-runtime",
        "sympy",
        "verl",
        "ruff",
        "mypy",
        "pytest",
    ]
    assert {name: cpu[name] for name in names} == {name: gpu[name] for name in names}


def test_environment_is_the_locked_one():
    """The tests ran against what the lock says, not against what somebody installed since."""
    torch = Version(importlib.metadata.version("torch"))
    versions = locked("cpu" if torch.base_version == locked("cpu")["torch"] else "gpu")
    installed = {name: importlib.metadata.version(name) for name in versions}
    different = {
        name: f"{installed[name]}, locked {version}"
        for name, version in versions.items()
        if Version(installed[name]).public != Version(version).public
    }
    assert not different


def imported_modules(path: Path, *, at_once: bool) -> set[str]:
    """Distributions' modules that a file imports: as soon as it is imported itself, or anywhere in it."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_once else list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in plain | froms} - sys.stdlib_module_names - {"verl_ext"}


@functools.cache
def distributions_by_module() -> dict[str, list[str]]:
    found = importlib.metadata.packages_distributions()
    return {module: sorted({canonicalize_name(name) for name in names}) for module, names in found.items()}


@functools.cache
def provided(*extras: str) -> frozenset[str]:
    """Distributions that pip installs for these extras, dependencies of dependencies included."""
    reached: set[str] = set()
    waiting = requirements(*extras)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in reached:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # left out of the environment on purpose: see requirements/cpu.txt
        reached.add(name)
        wanted = ["", *requirement.extras]
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in wanted):
                waiting.append(need)
    return frozenset(reached)


def undeclared(folder: Path, *extras: str, at_once: bool) -> list[str]:
    """Imports under ``folder`` that an environment with these extras would not have."""
    return [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sorted(folder.rglob("*.py"))
        for module in sorted(imported_modules(path, at_once=at_once))
        if not provided(*extras).intersection(distributions_by_module().get(module, [module]))
    ]


def test_every_import_is_declared():
    assert not undeclared(ROOT / "verl_ext", "cpu", "reasoning_gym", at_once=False)


@pytest.mark.parametrize("package", LAPTOP_PACKAGES)
def test_a_plain_install_is_enough_without_verl(package):
    """What needs more, such as the hub, imports it where it is used."""
    assert not undeclared(ROOT / "verl_ext" / package, at_once=True)


def test_an_environment_that_is_a_link_is_left_alone(tmp_path):
    """Starting over empties the folder: through a link, that of another checkout."""
    checkout, other = tmp_path / "checkout", tmp_path / "other"
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    other.mkdir()
    (other / "kept").touch()
    (checkout / ".venv").symlink_to(other)
    done = subprocess.run(["bash", checkout / "scripts" / "install.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{checkout}/.venv is a symbolic link to {other}, ")
    assert [file.name for file in other.iterdir()] == ["kept"]
