"""Answers that stand between ``<answer>`` and ``</answer>``."""

OPEN_TAG, CLOSE_TAG = "<answer>", "</answer>"


def last_tagged(response: str) -> str | None:
    """What the last closed tag holds, as it is spelled; None where none is closed. Linear in the text's length."""
    start = response.rfind(OPEN_TAG, 0, max(response.rfind(CLOSE_TAG), 0))
    if start < 0:
        return None
    return response[start + len(OPEN_TAG) : response.find(CLOSE_TAG, start)]
