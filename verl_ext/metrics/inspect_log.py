"""Logs of inspect (https://inspect.aisi.org.uk/eval-logs.html) as records of generations.

An ``.eval`` file is a zip: ``header.json``, and a JSON file for each sample and epoch. Entries are packed by deflate, or by
zstd since 2025, which Python's ``zipfile`` knows from 3.14 on only.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from verl_ext.metrics.answer_fields import ANSWER_FIELDS
from verl_ext.metrics.fault import Fault

MARK = "verl_ext_format"
"""In the metadata of a sample whose other metadata are the fields of a line of ours."""
SAMPLES = "samples/"
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    OverflowError,
)
"""What damaged archives and JSON in them raise: RuntimeError for one that seems encrypted, or JSON that is nested too deep."""
_ZSTD = 93
_LOCAL_HEADER = struct.Struct("<26xHH")  # lengths of the name and of what follows it
_VALUES = {"C": True, "I": False, "N": False}
_ATTACHMENT = "attachment://"


def samples_of_archive(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of an ``.eval`` file.

    Raises:
        ValueError: It is cut or damaged, or no log of inspect.
    """
    names = []
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.startswith(SAMPLES) and name.endswith(".json")]
            for name in names:
                yield json.loads(_unpacked(file, archive, name))
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged or still being written ({error}). Copy it again.") from error
    if not names:
        raise ValueError(f"{path} is an archive without {SAMPLES}*.json, and so no log of inspect with answers.")


def samples_of_json(path: Path, log: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The samples of a ``.json`` log.

    Raises:
        ValueError: It has none.
    """
    samples = log.get("samples")
    if not isinstance(samples, list) or not samples:
        raise ValueError(f"{path} has no samples. Evaluate again without --no-log-samples.")
    return iter(samples)


def _unpacked(file: BinaryIO, archive: zipfile.ZipFile, name: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.compress_type != _ZSTD:
        return archive.read(entry)
    import pyarrow  # takes longer to load than most logs to read

    file.seek(entry.header_offset)
    start = entry.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size)))
    file.seek(start)
    packed = pyarrow.BufferReader(file.read(entry.compress_size))
    content: bytes = pyarrow.CompressedInputStream(packed, "zstd").read()
    if zlib.crc32(content) != entry.CRC:
        raise zipfile.BadZipFile(f"the checksum of {name} is another")
    return content


def records_of(path: Path, sample: Mapping[str, Any], scorer: str | None) -> Iterator[dict[str, Any] | Fault]:
    """The record of a sample; a ``Fault`` where it has no verdict.

    Raises:
        ValueError: There are several scorers, and ``scorer`` names none of them.
    """
    scores = sample.get("scores") or {}
    place = f"(sample {sample.get('id')}, epoch {sample.get('epoch')})"
    if not scores:
        why = "was stopped by an error" if sample.get("error") else "has no score"
        remedy = f"Grade the log by inspect score {path}; --skip_bad_lines leaves such samples out."
        yield Fault(f"{place} {why} and so no verdict", remedy)
        return
    if scorer is None and len(scores) > 1:
        raise ValueError(f"{path} has the verdicts of {', '.join(scores)}. Name one: --verdict {next(iter(scores))}.")
    name = scorer or next(iter(scores))
    if name not in scores:
        raise ValueError(f"--verdict {name}: {path} has the verdicts of {', '.join(scores)}.")
    label = _label(scores[name].get("value"))
    if label is None:
        yield Fault(f"{place} has {scores[name].get('value')!r} of {name} where C, I, 0 or 1 was expected")
        return
    try:
        yield _record(sample, scores[name], label)
    except json.JSONDecodeError as error:
        yield Fault(f"{place} has a response_as_json that is none ({error})")


def _label(value: Any) -> bool | None:
    """Whether an answer is correct; None where the value is no verdict, as P (partly correct) is."""
    if isinstance(value, str):
        return _VALUES.get(value)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _record(sample: Mapping[str, Any], score: Mapping[str, Any], label: bool) -> dict[str, Any]:
    found = sample.get("metadata")
    metadata = dict(found) if isinstance(found, dict) else {}
    texts = {"prompt": sample.get("input"), "response": _text(sample), "label": label}
    if metadata.pop(MARK, None) is not None:
        exact = metadata.pop("response_as_json", None)
        if exact is not None:
            texts["response"] = json.loads(exact)
        if metadata.pop("has_no_response", False):
            del texts["response"]
        return metadata | texts
    return {
        **{name: value for name, value in metadata.items() if name not in ANSWER_FIELDS},
        "question_id": sample.get("id"),
        "generation_id": sample.get("epoch"),
        "pred_answer": score.get("answer"),
        "gold_answer": sample.get("target"),
        **texts,
    }


def _text(sample: Mapping[str, Any]) -> str:
    """The text of the answer; inspect keeps some texts apart and has a reference in their place."""
    output = sample.get("output") or {}
    text = str(output.get("completion") or "")
    if not text and output.get("choices"):
        content = output["choices"][0]["message"]["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        text = "\n".join(part["text"] for part in parts if part.get("type") == "text")
    if text.startswith(_ATTACHMENT):
        text = str((sample.get("attachments") or {}).get(text.removeprefix(_ATTACHMENT), text))
    return text
