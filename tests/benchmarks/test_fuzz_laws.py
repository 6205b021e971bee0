"""What ``benchmarks/fuzz.py`` searches for a breach of, on inputs that hypothesis makes, and what it once found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import fuzz
import fuzz_laws

BENCHMARKS = Path(fuzz.__file__).parent

EXPRESSIONS = st.lists(
    st.sampled_from(
        [
            *"0123456789+-*/()",
            " ",
            "\n",
            "\r",
            "12",
            "00",
            "7",
            "(",
            ")",
            "\u00d7",
            "\u00f7",
            "\u2212",
            "_",
            "e",
            "\x0c",
        ]
    ),
    max_size=30,
).map("".join)
BOXES = (
    r"\boxed{",
    r"\boxed",
    r"\fbox{",
    r"\beginboxed{",
    "{",
    "}",
    r"\{",
    r"\}",
    "\\",
    " ",
    "$",
    ",",
    ";",
    " and ",
    r"\text{and}",
)
MARKS = (
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "####",
    "**",
    "(C)",
    "\ud800",
    "x",
    "1",
    "y_1 = ",
    "\n",
    ".",
    r"\frac",
)
TEXTS = st.lists(st.sampled_from([*BOXES, *MARKS]), max_size=25).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.sampled_from([0.0, 1.0, 0.5]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def broken_lines(draw: st.DrawFn) -> object:
    """A line of one of the tools in which a value, at any depth, is another."""
    line = json.loads(json.dumps(draw(st.sampled_from(fuzz.LINES))))
    place: object = line
    for _ in range(draw(st.integers(0, 6))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if draw(st.booleans()) and isinstance(place[key], dict | list):
            place = place[key]
        else:
            place[key] = draw(VALUES)
    return line


FILES = st.lists(broken_lines() | st.sampled_from(fuzz.LINES), min_size=1, max_size=3).map(
    lambda lines: "\n".join(map(json.dumps, lines))
)


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_inputs_to_begin_with_keep_the_law(target, tmp_path):
    law = fuzz.law_of(target, tmp_path)
    for seed in fuzz.seeds(target):
        law(seed)


@given(st.text() | EXPRESSIONS)
def test_countdown(text):
    fuzz_laws.countdown(text)


@given(st.text() | TEXTS)
def test_boxes(text):
    fuzz_laws.boxes(text)


@given(content=FILES, ending=st.sampled_from(["", "\n", "\n\n", "\n{"]))
def test_generations(tmp_path_factory, content, ending):
    fuzz_laws.generations((content + ending).encode(), tmp_path_factory.mktemp("run"))


@given(content=st.binary(max_size=60))
def test_bytes(tmp_path_factory, content):
    fuzz_laws.generations(content, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("1+2", True),
        ("01", False),
        ("1//2", False),
        ("-3", False),
        ("3)+(5", False),
        ("3(5)", False),
        ("1_0", False),
        ("1\n+2", True),
    ],
)
def test_the_oracle_of_countdown(text, reads):
    assert (fuzz_laws._python_reads(text) is not None) == reads


def test_a_law_can_be_broken(monkeypatch, tmp_path):
    monkeypatch.setattr(fuzz_laws, "parse", lambda _text: (1,))
    with pytest.raises(AssertionError):
        fuzz_laws.countdown("2")
    with pytest.raises(AssertionError, match="Python reads it"):
        fuzz_laws.countdown("2-")
    monkeypatch.setattr(fuzz_laws, "closed_boxes", lambda _text: [])
    with pytest.raises(AssertionError):
        fuzz_laws.boxes(r"\boxed{1}")
    monkeypatch.setattr(fuzz_laws, "_counts", lambda _found: {})
    with pytest.raises(AssertionError):
        fuzz_laws.generations(b'{"question_id": 1, "label": true}', tmp_path)


def test_without_atheris_it_says_what_to_install(tmp_path):
    command = [sys.executable, "fuzz.py", "boxes", "--out", str(tmp_path)]
    blocked = {"PYTHONPATH": str(tmp_path)}
    (tmp_path / "atheris.py").write_text("raise ImportError")
    done = subprocess.run(command, cwd=BENCHMARKS, env=blocked, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fuzz.py needs atheris, which is no dependency of this package: pip install atheris")
