import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verl_ext.metrics import label_file
from verl_ext.metrics.generations import read_generations
from verl_ext.metrics.label_file import UnusableLabels, labels_path, left_aside, read_counts, read_labels, write_labels
from verl_ext.metrics.majority import maj_at_k
from verl_ext.metrics.summary import as_json, curve_of, strict_curve_of


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def answer(question_id, generation_id, label, **more):
    return {"question_id": question_id, "generation_id": generation_id, "label": label, **more}


@pytest.fixture
def file(tmp_path):
    """Two problems of 3 and 2 answers, not in order."""
    return write(
        tmp_path / "run.jsonl",
        [
            {"kind": "header", "model": "base"},
            answer("b", 1, True, pred_answer="4", tier="symbolic", reason="correct", level=5, gold_answer="4"),
            answer(7, 2, 0, pred_answer=" 9", tier="exact", reason="incorrect", level=2, subject="x", gold_answer="1"),
            answer("b", 0, False, pred_answer="", tier="extraction", reason="no_answer", level=5),
            answer(7, 0, 1, pred_answer="1", tier="string", reason="correct", level=2, subject="y"),
            answer(7, 1, 0, pred_answer="9", tier="exact", reason="incorrect", level=2),
        ],
    )


def load(file):
    with np.load(labels_path(file)) as archive:
        return {name: archive[name].tolist() for name in ("labels", "strict", "answers")}


def test_worked_example(file):
    """Rows in the order of the first lines, columns in that of the generation ids."""
    assert write_labels(file) == file.with_name("run.jsonl.labels.npz")
    assert load(file) == {
        "labels": [[0, 1, -1], [1, 0, 0]],
        "strict": [[0, 0, -1], [1, 0, 0]],
        "answers": [[0, 1, 0], [2, 1, 1]],
    }
    run = read_labels(file, name="psr", by=["level"])
    assert (run.name, run.path, run.counted_from) == ("psr", str(file), str(labels_path(file)))
    assert run.question_ids == ["b", "7"]
    assert run.references == ["4", "1"]
    assert run.groups == {"level": ["5", "2"]}
    assert run.reasons == {"correct": 2, "incorrect": 2, "no_answer": 1}
    assert run.headers == [{"kind": "header", "model": "base"}]
    assert run.answers is None
    assert sorted(os.listdir(file.parent)) == ["run.jsonl", "run.jsonl.labels.npz"]


ids = st.integers(-(10**20), 10**20) | st.integers(0, 40) | st.text(max_size=3)
records = st.builds(
    answer,
    ids,
    ids,
    st.sampled_from([True, False, 0, 1]),
    pred_answer=st.sampled_from(["4", " 4", "5", "", None, 7]),
    tier=st.sampled_from(["exact", "symbolic", "value"]),
    reason=st.sampled_from(["correct", "timed_out"]),
    level=st.integers(1, 2),
)


@settings(max_examples=60)
@given(
    lines=st.lists(
        records, min_size=1, max_size=30, unique_by=lambda r: (str(r["question_id"]), str(r["generation_id"]))
    ),
    lacks=st.sampled_from([None, "tier", "pred_answer", "generation_id"]),
)
def test_says_what_the_lines_say(tmp_path_factory, lines, lacks):
    """Counts, strict counts, vote counts, references and reasons, for ids of any kind and problems of any n."""
    for line in lines:
        line.pop(lacks, None)
    file = write(tmp_path_factory.mktemp("labels") / "run.jsonl", lines)
    write_labels(file)
    read, labels = read_generations(file, with_answers=True), read_labels(file, with_answers=True)
    for name in ("name", "path", "question_ids", "references", "reasons", "headers", "num_bad_lines"):
        assert getattr(read, name) == getattr(labels, name)
    assert read.num_samples_P.tolist() == labels.num_samples_P.tolist()
    assert read.num_correct_P.tolist() == labels.num_correct_P.tolist()
    assert (read.num_strict_P is None) == (labels.num_strict_P is None)
    if read.num_strict_P is not None:
        assert read.num_strict_P.tolist() == labels.num_strict_P.tolist()
    for row, num_samples in enumerate(read.num_samples_P.tolist()):
        votes = [
            maj_at_k(run.answers[row], run.correct_answers[row], num_samples, [1, num_samples])
            for run in (read, labels)
        ]
        assert votes[0] == pytest.approx(votes[1], abs=1e-12)


def test_same_curves(tmp_path):
    rng = np.random.default_rng(0)
    lines = [
        answer(row, column, bool(rng.random() < row / 20), tier=["exact", "symbolic"][rng.integers(2)])
        for row in range(20)
        for column in range(16)
    ]
    file = write(tmp_path / "run.jsonl", lines)
    write_labels(file)
    for curve in (curve_of, strict_curve_of):
        assert as_json(curve(read_generations(file))) == as_json(curve(read_labels(file)))


def test_group_fields_that_are_constant_within_each_problem(file):
    """A field that is not on every line, or not the same throughout a problem, is refused: as from the lines."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    write(file, [line | {"type": number} for number, line in enumerate(lines)])
    write_labels(file)
    with pytest.raises(UnusableLabels, match=r"npz does not hold type \(it holds level\)"):
        read_labels(file, by=["type"])
    with pytest.raises(UnusableLabels, match=r"npz does not hold subject \(it holds level\)"):
        read_labels(file, by=["subject"])
    with pytest.raises(ValueError, match="has no subject"):
        read_generations(file, by=["subject"])


@pytest.mark.parametrize("change", ["append", "touch"])
def test_stale(file, change):
    write_labels(file)
    if change == "append":
        stat = file.stat()
        with file.open("a") as lines:
            lines.write(json.dumps(answer(7, 3, 1)) + "\n")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        os.utime(file, ns=(0, 1))
    with pytest.raises(UnusableLabels, match=r"npz was made from another state of .*run\.jsonl"):
        read_labels(file)
    write_labels(file)
    assert read_labels(file).num_answers == read_generations(file).num_answers


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"nonsense", None])
def test_damaged(file, damage):
    path = write_labels(file)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(8) + data[len(data) // 2 + 8 :] if damage is None else damage)
    with pytest.raises(UnusableLabels, match=r"npz cannot be read"):
        read_labels(file)


def test_of_another_version(file, monkeypatch):
    monkeypatch.setattr(label_file, "_FORMAT", 0)
    write_labels(file)
    monkeypatch.undo()
    with pytest.raises(UnusableLabels, match="of another version"):
        read_labels(file)


def test_nothing_is_left_of_labels_that_cannot_be_written(file, monkeypatch):
    """A file that cannot be counted, and a disk that is full: the old label file stays, no part of a new one."""
    path = write_labels(file)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        write_labels(file)
    monkeypatch.undo()
    with file.open("a") as lines:
        lines.write('{"question_id": 7, "gen')
    with pytest.raises(ValueError, match=r"run\.jsonl, line 7, is not a JSON object"):
        write_labels(file)
    assert path.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 2


def test_a_file_that_grows_meanwhile(file, monkeypatch):
    count = label_file.count_answers

    def grow(path, counter):
        with path.open("a") as lines:
            lines.write("\n")
        return count(path, counter)

    monkeypatch.setattr(label_file, "count_answers", grow)
    with pytest.raises(ValueError, match=r"run\.jsonl changed while it was read: write its labels when"):
        write_labels(file)
    assert not labels_path(file).exists()


def test_kilobytes(tmp_path):
    """300 problems of 256 answers fit into a fraction of a bit of the file: below 100 kB."""
    rng = np.random.default_rng(0)
    labels = rng.random((300, 256)) < rng.random((300, 1))
    lines = [
        answer(row, column, int(label), pred_answer="42" if label else str(rng.integers(30)))
        for row, of_problem in enumerate(labels)
        for column, label in enumerate(of_problem)
    ]
    assert write_labels(write(tmp_path / "run.jsonl", lines)).stat().st_size < 100_000
    assert read_labels(Path(tmp_path / "run.jsonl")).num_correct == labels.sum()


def test_read_counts_takes_the_label_file_where_it_is_good(file):
    """Lines first, then labels, then lines again with the reason, since the labels are of another state of the file."""
    told = []
    fields = {"by_if_constant": ["level", "subject"], "on_unusable": told.append}
    from_lines = read_counts(file, **fields)
    assert (from_lines.counted_from, from_lines.groups) == (None, {"level": ["5", "2"]})
    write_labels(file)
    from_labels = read_counts(file, **fields)
    assert (from_labels.counted_from, from_labels.groups) == (str(labels_path(file)), from_lines.groups)
    assert told == []
    with file.open("a") as lines:
        lines.write(json.dumps(answer("b", 9, True, level=5)) + "\n")
    assert read_counts(file, **fields).num_answers == 6
    assert "was made from another state" in left_aside(told[0])
