r"""Commands that lost their backslash on the way: a program that reads ``\frac`` in a quoted text makes a form feed of ``\f``.

None of these control characters has a meaning in mathematics, and behind each only the rest of a command stands.
"""

import re

LOST = {"\x07": "a", "\x08": "b", "\x0b": "v", "\x0c": "f"}
REST = re.compile(r"[\x07\x08\x0b\x0c](?=[a-zA-Z]{2,})")


def with_commands(text: str) -> str:
    r"""The text with ``\frac``, ``\begin``, ``\alpha`` and ``\vec`` where only ``rac``, ``egin``, ``lpha`` and ``ec`` are left."""
    return REST.sub(lambda match: "\\" + LOST[match[0]], text)
