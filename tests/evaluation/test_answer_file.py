"""The file of answers: cut lines, duplicates, the lock, packing."""

import json

import pytest

from verl_ext.evaluation.answer_file import (
    GenerationWriter,
    drop_cut_line,
    existing_path,
    line_of,
    pack,
    read_done,
    read_records,
    unpack,
)
from verl_ext.metrics.side_file import plain_path, run_path


def line(question_id="0", generation_id=0, label=True, **more):
    return {"question_id": question_id, "generation_id": generation_id, "label": label, "reason": "correct"} | more


def write(path, *records):
    path.write_bytes(b"".join(map(line_of, records)))
    return path


def test_what_is_there_is_counted(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        {"kind": "header", "model": "m"},
        line("0", 0),
        line("0", 2, False, reason="no_answer"),
        line("1", 0, False, reason="no_answer"),
    )
    done = read_done(path)
    assert done.generation_ids == {"0": {0, 2}, "1": {0}}
    assert done.num_correct == {"0": 1, "1": 0}
    assert done.reasons == {"correct": 1, "no_answer": 2}
    assert done.num_answers == 3
    assert read_done(tmp_path / "missing.jsonl").num_answers == 0


@pytest.mark.parametrize("length", [0, 1, 40, 5000])
@pytest.mark.parametrize("num_whole", [0, 1, 3])
def test_a_line_cut_anywhere_is_removed_and_whole_ones_stay(tmp_path, length, num_whole):
    path = tmp_path / "a.jsonl"
    whole = b"".join(line_of(line("0", number)) for number in range(num_whole))
    cut = line_of(line("1", 0, response="x" * 9000))[:length]
    path.write_bytes(whole + cut)
    assert drop_cut_line(path) == length
    assert path.read_bytes() == whole


def test_a_line_that_comes_twice_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl", line("0", 0), line("0", 1), line("0", 0))
    with pytest.raises(ValueError, match=r"a.jsonl, line 3, repeats question_id '0', generation_id 0"):
        read_done(path)


@pytest.mark.parametrize(
    "bad",
    [
        b"not JSON\n",
        b"[1]\n",
        line_of({"question_id": "0", "label": True}),
        line_of(line(question_id=3)),
        line_of(line(generation_id="0")),
        line_of(line(label="yes")),
    ],
)
def test_a_line_that_is_no_generation_is_named(tmp_path, bad):
    path = write(tmp_path / "a.jsonl", line("0", 0))
    path.write_bytes(path.read_bytes() + bad)
    with pytest.raises(ValueError, match=r"a.jsonl, line 2, is not a generation"):
        read_done(path)


def test_the_writer_appends_repairs_and_locks(tmp_path):
    path = write(tmp_path / "a.jsonl", line("0", 0))
    path.write_bytes(path.read_bytes() + b'{"question_id": "0", "gen')
    writer = GenerationWriter(path)
    with pytest.raises(ValueError, match="a.jsonl is being written by another evaluation"):
        GenerationWriter(path)
    writer.write([line("0", 1), line("0", 2)])
    writer.close()
    assert read_done(path).generation_ids == {"0": {0, 1, 2}}
    GenerationWriter(path).close()


def test_nothing_written_leaves_no_file(tmp_path):
    GenerationWriter(tmp_path / "a.jsonl").close()
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("text", ["é \u2028 \x00 \U0001f600", "a lone \ud800 surrogate"])
def test_any_text_is_one_line_and_comes_back(text):
    data = line_of({"response": text})
    assert data.count(b"\n") == 1
    assert json.loads(data) == {"response": text}


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_packing_and_unpacking_change_nothing(tmp_path, how):
    path = write(tmp_path / "a.jsonl", *(line("0", number, response="x" * 500) for number in range(3000)))
    before = path.read_bytes()
    packed = pack(path, how)
    assert packed == tmp_path / f"a.jsonl.{how}"
    assert not path.exists()
    assert packed.stat().st_size < len(before) / 5
    assert [record["generation_id"] for _, record in read_records(packed)] == list(range(3000))
    assert existing_path(path) == packed
    unpack(path)
    assert path.read_bytes() == before
    assert not packed.exists()


def test_the_plain_file_counts_while_both_are_there(tmp_path):
    """A kill between the renaming and the removal leaves both; the plain one has everything."""
    path = write(tmp_path / "a.jsonl", line("0", 0))
    packed = pack(path, "gz")
    write(path, line("0", 0), line("0", 1))
    unpack(packed)
    assert existing_path(packed) == path
    assert read_done(path).num_answers == 2


def test_names(tmp_path):
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst"):
        assert plain_path(tmp_path / name) == tmp_path / "a.jsonl"
        assert run_path(tmp_path / name) == tmp_path / "a.run.json"


def test_a_record_that_is_no_object_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n[]\n')
    with pytest.raises(ValueError, match="a.jsonl, line 2, is not a JSON object"):
        list(read_records(tmp_path / "a.jsonl"))
