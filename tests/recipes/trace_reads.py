"""Writes down which options a run reads, in every process that imports verl: ``VERL_USE_EXTERNAL_MODULES`` loads this.

One line of JSON for each option and place in the code: ``[option, value, "file:function"]``, in a file for each process in
the folder ``VERL_EXT_TRACE_READS``. What counts as reading an option:

- ``config.section.option`` and its spellings on verl's DictConfig, and the attribute of a dataclass that verl has made
  from a section (each remembers its section, also in the process that it is sent to);
- by code of verl, TransferQueue or this package that is not the declaration, the conversion or the check of an option:
  ``__post_init__`` and ``validate`` compare options with each other, which changes nothing but whether a run starts.
"""

import json
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig
from verl.base_config import BaseConfig
from verl.utils import config as conversion

PASSING_ON = ("/omegaconf/", "/hydra/", "/dataclasses.py", "collections", "verl/base_config.py", "/copy.py", __file__)
"""Code between an option and who asks for it."""
PACKAGES = ("/site-packages/verl/", "/site-packages/transfer_queue/", "/verl_ext/")
NO_USE = (
    "verl/utils/config.py",
    "verl_ext/training/checks/",
    "verl_ext/training/resources.py",
    "verl_ext/training/main.py",
)
CHECKS = ("__post_init__", "validate", "_check_mutually_exclusive", "__repr__", "__eq__", "__getstate__")
MODEL = "verl/workers/config/model.py"
"""Its ``__post_init__`` loads the model's configuration and tokenizer: that is a use."""

_seen: set[tuple[str, str]] = set()
_unnamed: list[tuple[Any, str, Any, str]] = []
"""Reads of a dataclass whose section is known only when all of it is built: it, attribute, value, reader."""
_file = Path(os.environ["VERL_EXT_TRACE_READS"]) / f"{os.getpid()}.jsonl"


def _reader() -> str | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and any(part in frame.f_code.co_filename for part in PASSING_ON):
        frame = frame.f_back
    if frame is None:
        return None
    file, function = frame.f_code.co_filename, frame.f_code.co_qualname
    package = next((package for package in PACKAGES if package in file), None)
    if package is None or any(part in file for part in NO_USE):
        return None
    if frame.f_code.co_name in CHECKS and not file.endswith(MODEL):
        return None
    return f"{package.strip('/').rpartition('/')[2]}/{file.rpartition(package)[2]}:{function}"


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | type(None)) else str(value)


def _write(option: str, value: Any, reader: str | None) -> None:
    if reader is not None and (option, reader) not in _seen:
        _seen.add((option, reader))
        with _file.open("a") as lines:
            lines.write(json.dumps([option, _plain(value), reader]) + "\n")


def _watch_sections() -> None:
    for name in ("__getattr__", "__getitem__", "get"):
        original = getattr(DictConfig, name)

        def traced(self: DictConfig, key: Any, *rest: Any, original: Any = original, **named: Any) -> Any:
            value = original(self, key, *rest, **named)
            if isinstance(key, str) and not key.startswith("_") and not isinstance(value, DictConfig):
                _write(self._get_full_key(key), value, _reader())
            return value

        setattr(DictConfig, name, traced)


def _watch_dataclasses() -> None:
    original = BaseConfig.__getattribute__

    def traced(self: BaseConfig, key: str) -> Any:
        value = original(self, key)
        if not key.startswith("_") and key in original(self, "__dict__") and not isinstance(value, BaseConfig):
            section, reader = original(self, "__dict__").get("_section"), _reader()
            if section is not None:
                _write(f"{section}.{key}", value, reader)
            elif reader is not None:
                _unnamed.append((self, key, value, reader))
        return value

    BaseConfig.__getattribute__ = traced  # type: ignore[method-assign]


def _name_section(value: Any, section: str, keys: Any) -> None:
    """Let a dataclass and those in it remember where in the configuration they come from."""
    if isinstance(value, BaseConfig):
        object.__setattr__(value, "_section", section)
        for key in keys:
            inner = keys._get_node(key)
            if isinstance(inner, DictConfig) and not inner._is_none() and key in value.__dict__:
                _name_section(value.__dict__[key], f"{section}.{key}", inner)


def _watch_conversion() -> None:
    original = conversion.omega_conf_to_dataclass

    def traced(config: Any, dataclass_type: Any = None) -> Any:
        value = original(config, dataclass_type)
        if isinstance(config, DictConfig) and config:
            _name_section(value, config._get_full_key(None), config)
            for read, key, was, reader in _unnamed:
                if "_section" in read.__dict__:
                    _write(f"{read.__dict__['_section']}.{key}", was, reader)
        _unnamed.clear()
        return value

    for module in list(sys.modules.values()):
        if vars(module).get("omega_conf_to_dataclass") is original:
            module.omega_conf_to_dataclass = traced  # type: ignore[attr-defined]


_watch_sections()
_watch_dataclasses()
_watch_conversion()
