"""Python that the user names in an option: verl would load it only when the model is loaded."""

import ast
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from verl_ext.training.paths import PACKAGE, local_path

FILE = "file://"
LOADED = (
    ("reward.custom_reward_function.path", "reward.custom_reward_function.name"),
    ("reward.reward_manager.module.path", "reward.reward_manager.name"),
    ("data.custom_cls.path", "data.custom_cls.name"),
    ("trainer.v1.sampler.custom_sampler.path", "trainer.v1.sampler.custom_sampler.name"),
)
"""Options that name a file or module, and what verl takes from it."""


def check_extensions(config: Any) -> None:
    """Each file or module is there, is Python and has what is taken from it."""
    for path_option, name_option in LOADED:
        path, name = OmegaConf.select(config, path_option), OmegaConf.select(config, name_option)
        if not path or (
            path_option.startswith("reward.reward_manager") and config.reward.reward_manager.source != "importlib"
        ):
            continue
        file = _file(path_option, str(path))
        if file is not None:
            _check_has(file, name_option, str(name))


def _file(option: str, path: str) -> Path | None:
    """The file that verl will load; None where only importing would tell."""
    if path.startswith(PACKAGE):
        return _module_file(option, path.removeprefix(PACKAGE).replace("/", "."))
    file = local_path(path.removeprefix(FILE))
    if not file.is_file():
        raise ValueError(f"{option}={path}: there is no such file. Give a Python file, or pkg:// and a module.")
    return file


def _module_file(option: str, module: str) -> Path | None:
    top, *rest = module.split(".")
    spec = find_spec(top)  # imports nothing
    missing = ValueError(f"{option}={PACKAGE}{module}: there is no module {module} that can be imported here.")
    if spec is None:
        raise missing
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for location in spec.submodule_search_locations or ():
        place = Path(location, *rest)
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
        if list(place.parent.glob(f"{place.name}.*")):
            return None  # compiled
    raise missing


def _check_has(file: Path, option: str, name: str) -> None:
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{file} is not Python that can be loaded: {error}.") from None
    names = set(_bound(tree))
    if name in names or "*" in names or "__getattr__" in names:
        return
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"{option}={name}: {file} has no {name}.{hint}")


def _bound(tree: ast.AST) -> Iterator[str]:
    """Every name that something in the file gives a value; ``*`` for an import of everything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
