"""Generations files to export."""

import json

ODD_TEXTS = [
    "",
    "\x00\x1b[31m\x7f",
    "\u202eright to left \u05e9",
    "\ud800 half a pair",
    "x" * 5000,
    "\u2028\r\n",
    "</script>",
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
