"""A line of a generations file inside a file of another tool, as one text: what comes back is what was there, types included."""

import json
from collections.abc import Mapping
from typing import Any

NO_RESPONSE = "has_no_response"


def readable(text: str) -> str:
    """The text as UTF-8 can hold it: half a pair of UTF-16 becomes a question mark."""
    return text.encode("utf-8", errors="replace").decode()


def packed(record: Mapping[str, Any]) -> str:
    """All fields but the prompt, as JSON in ASCII; the response only where ``readable`` of it is another."""
    kept = {name: value for name, value in record.items() if name not in ("prompt", "response")}
    response = record.get("response")
    if "response" not in record:
        kept[NO_RESPONSE] = True
    elif not isinstance(response, str) or readable(response) != response:
        kept["response"] = response
    return json.dumps(kept)


def unpacked(text: str, response: str, prompt: Any) -> dict[str, Any]:
    """The record that ``packed`` made ``text`` of.

    Args:
        text: What it made.
        response: The readable response, which stands elsewhere in the file.
        prompt: What the model was given.

    Raises:
        ValueError: It is no such text.
    """
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError(f"{text[:80]!r} is no JSON object.")
    if not record.pop(NO_RESPONSE, False):
        record.setdefault("response", response)
    return record | {"prompt": prompt}
