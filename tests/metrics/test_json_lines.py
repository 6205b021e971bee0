import gzip
import json
import random
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_ext.metrics.json_lines import decode_exactly, read_objects

# Texts that look like what surrounds them: quotes, backslashes, keys of the object, braces, line ends.
tricky = st.lists(
    st.sampled_from(
        ['"', "\\", "\\\\", '", "label": 0', '{"question_id": 9}', "\n", "é", "😀", "\ud800", "}", "x" * 50, " "]
    ),
    max_size=8,
).map("".join)
scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=True) | tricky
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(tricky, inner, max_size=2))
keys = st.sampled_from(["question_id", "label", "response", "prompt", 'a"b', "extra", "é"])
objects = st.lists(st.tuples(keys, values), max_size=7)  # a key may come twice
styles = st.tuples(st.sampled_from([(", ", ": "), (",", ":"), (" , ", " : ")]), st.booleans())


def text_of(pairs, style, escape_keys=False):
    """A JSON object that keeps the order of its keys, and keys that come twice."""
    (comma, colon), ensure_ascii = style

    def key_text(key):
        # Any character may be written as \uXXXX, also in a key that we look for.
        return '"' + "".join(f"\\u{ord(c):04x}" for c in key) + '"' if escape_keys else json.dumps(key)

    def dump(value):
        return json.dumps(value, separators=(comma, colon), ensure_ascii=ensure_ascii or "\ud800" in repr(value))

    try:
        parts = [key_text(key) + colon + dump(value) for key, value in pairs]
        text = "{" + comma.join(parts) + "}"
        text.encode()
    except UnicodeEncodeError:
        parts = [key_text(key) + colon + json.dumps(value) for key, value in pairs]
        text = "{" + comma.join(parts) + "}"
    return text


def read(tmp_file, lines):
    tmp_file.write_bytes(b"".join(line if isinstance(line, bytes) else line.encode() + b"\n" for line in lines))
    return [(number, record) for number, record, _ in read_objects(tmp_file)]


@pytest.fixture(scope="module")
def tmp_file(tmp_path_factory):
    return tmp_path_factory.mktemp("lines") / "lines.jsonl"


@settings(max_examples=150)
@given(lines=st.lists(st.tuples(objects, styles, st.booleans()), min_size=1, max_size=6))
def test_objects_are_those_of_json_loads(tmp_file, lines):
    """Any order of keys, any escapes, any nesting; NaN is NaN, and 1 is not true."""
    texts = [text_of(*line) for line in lines]
    found = read(tmp_file, texts)
    assert [number for number, _ in found] == list(range(1, len(texts) + 1))
    assert [repr(record) for _, record in found] == [repr(json.loads(text)) for text in texts]


LINE = {"question_id": 3, "response": 'He said "\\boxed{4}" ' + "." * 60, "label": True, "pred_answer": "4"}


@given(cut=st.integers(1, len(json.dumps(LINE)) - 1))
def test_a_cut_line_is_not_json(tmp_file, cut):
    """A line cut anywhere, and the start of the next one stuck to it."""
    whole = json.dumps(LINE)
    found = dict(read(tmp_file, [whole, whole[:cut], whole[:cut] + whole, whole]))
    assert found == {1: LINE, 2: None, 3: None, 4: LINE}


@pytest.mark.parametrize("inside", [b"\xff", b"\xed\xa0\x80", b"\x01", b"\t", b"\\q", b"\\u12g4"])
def test_a_broken_text_is_not_json(tmp_file, inside):
    """Also inside a long text that nobody asks for, on a line like those around it."""
    whole = json.dumps(LINE).encode() + b"\n"
    broken = whole.replace(b"....", b".." + inside + b"..", 1)
    assert dict(read(tmp_file, [whole, whole, broken, whole])) == {1: LINE, 2: LINE, 3: None, 4: LINE}


@pytest.mark.parametrize(
    "line", ["[1, 2]", "3", '"label"', "null", "nonsense", "{'label': 1}", '{"label": 1} x', "\x00"]
)
def test_not_an_object(tmp_file, line):
    whole = json.dumps(LINE)
    assert dict(read(tmp_file, [whole, line, whole]))[2] is None


def test_invalid_utf8_is_not_json(tmp_file):
    assert read(tmp_file, [b'{"label": 1, "x": "\xff"}\n']) == [(1, None)]


def test_blank_lines_and_line_ends(tmp_file):
    whole = json.dumps(LINE)
    found = read(tmp_file, [b"\xef\xbb\xbf" + whole.encode() + b"\r\n", b"\n", b"  \r\n", whole.encode()])
    assert [(number, record["label"]) for number, record in found] == [(1, True), (4, True)]
    assert read(tmp_file, [b""]) == []
    assert read(tmp_file, [b"{}\n{}"]) == [(1, {}), (2, {})]


def test_integers_beyond_64_bits_are_exact_on_request(tmp_file):
    tmp_file.write_text('{"question_id": 123456789012345678901234567890, "label": 1}\n')
    ((_, record, line),) = read_objects(tmp_file)
    assert type(record["question_id"]) is float
    assert decode_exactly(line) == {"question_id": 123456789012345678901234567890, "label": 1}


def test_missing_file():
    with pytest.raises(FileNotFoundError):
        list(read_objects(Path("nowhere.jsonl")))


TEXT = "".join(json.dumps(LINE | {"question_id": number}) + "\n" for number in range(200)).encode()


def random_text(num_lines):
    """Lines that do not shrink to nothing, so that a cut falls somewhere inside."""
    rng = random.Random(0)
    return "".join(json.dumps({"label": 1, "response": rng.randbytes(400).hex()}) + "\n" for _ in range(num_lines))


def zstd(text):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(text)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_compressed(tmp_file, compress):
    """One piece, pieces put one behind the other as appending does, and one with a byte order mark; any file name."""
    plain = read(tmp_file, [TEXT])
    assert len(plain) == 200
    for data in (compress(TEXT), b"".join(compress(TEXT[i : i + 999]) for i in range(0, len(TEXT), 999))):
        assert read(tmp_file, [data]) == plain
    assert read(tmp_file, [compress(b"\xef\xbb\xbf" + TEXT)]) == plain
    assert read(tmp_file, [compress(b"")]) == []


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_compressed_file_that_was_cut(tmp_file, compress):
    """Also where the text that is left ends with a line: fewer answers must not look like all of them."""
    data = compress(random_text(200).encode())
    for cut in (5, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError, match=r"lines\.jsonl is (damaged or )?cut.*skip_bad_lines"):
            read(tmp_file, [data[:cut]])


def test_a_compressed_file_that_was_damaged(tmp_file):
    """gzip has a checksum; what zstd decompresses to another text is met as a line that is not JSON, or not at all."""
    data = gzip.compress(random_text(200).encode())
    with pytest.raises(ValueError, match=r"lines\.jsonl is damaged"):
        read(tmp_file, [data[:100] + bytes(100) + data[200:]])
