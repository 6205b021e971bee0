"""Generations files to export, and the peers that read them where they are installed."""

import importlib.util
import json

import pytest

ODD_TEXTS = [
    "",
    "\x00\x1b[31m\x7f",
    "\u202eright to left \u05e9",
    "\ud800 half a pair",
    "x" * 5000,
    "\u2028\r\n",
    "</script>",
]

PROMPTS = {"a\n": [{"role": "user", "content": "1 + 1"}], "7": "2 + 2 = "}
COUNTS = {"a\n": 1, 7: 4}
"""Question id -> how many of its four answers are right."""


def needs(module, how=""):
    """The mark of a test that asks a peer's own code."""
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None,
        reason=f"{module} is not installed: pip install {how or module}, into an environment of its own",
    )


def odd_records(long_text, more=lambda number: {}):
    """Four answers to each of two problems, in turn, one of a megabyte or more; ``more`` has fields by the answer's number."""
    texts = iter([*ODD_TEXTS, long_text * (1 << 16)])
    return [
        {
            "question_id": name,
            "generation_id": number,
            "label": number < count,
            "response": next(texts),
            "gold_answer": {"a": 1},
        }
        | more(number)
        for number in range(4)
        for name, count in COUNTS.items()
    ]


def write_lines(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def run_file(path, prompts):
    """The side file of an evaluation with these prompts by question id."""
    run = {
        "format": 1,
        "model": {"name": "models/small"},
        "sampling": {"temperature": 1.0, "max_tokens": 16, "grader": "default"},
        "runs": [{"started": "2026-11-27T09:08:11+00:00", "versions": {"verl": "0.9.1"}, "git": {"commit": "1626140"}}],
        "problems": {name: {"task": "countdown", "prompt": p, "gold_answer": "2"} for name, p in prompts.items()},
    }
    path.write_text(json.dumps(run))
    return path
