import json
import tracemalloc

import pytest

from verl_ext.metrics.generations import find_files, read_generations, stem


@pytest.fixture
def write(tmp_path):
    def write(*records, name="run.jsonl"):
        path = tmp_path / name
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in records))
        return path

    return write


def answer(question_id, generation_id, label, **more):
    return {"question_id": question_id, "generation_id": generation_id, "label": label, **more}


def test_counts(write):
    """Labels in every spelling, ids of both kinds, problems of different n, lines in any order."""
    path = write(
        {"kind": "header", "model": "base"},
        answer("b", 0, True),
        answer(7, 0, 0),
        answer("b", 1, False),
        answer(7, 1, 1),
        "",
        answer(7, 2, 1),
    )
    run = read_generations(path)
    assert (run.name, run.path) == ("run", str(path))
    assert run.question_ids == ["b", "7"]
    assert run.num_samples_P.tolist() == [2, 3]
    assert run.num_correct_P.tolist() == [1, 2]
    assert (run.num_problems, run.num_answers, run.num_correct) == (2, 5, 3)
    assert run.headers == [{"kind": "header", "model": "base"}]
    assert run.answers is None
    assert run.num_bad_lines == 0


def test_answers_reasons_references_and_groups(write):
    path = write(
        answer(1, 0, 1, pred_answer=" 42 ", gold_answer="42", reason="correct", level=5),
        answer(1, 1, 0, pred_answer=None, gold_answer="42", reason="no_answer", level=5),
        answer(1, 2, 0, pred_answer="42", gold_answer="42", reason="incorrect", level=5),
        answer(2, 0, 0, pred_answer=7, gold_answer="8", reason="incorrect", level="easy"),
        answer(2, 1, 0, pred_answer="", gold_answer="8", reason="no_answer", level="easy"),
    )
    run = read_generations(path, by=["level"], with_answers=True, name="nsr")
    assert run.name == "nsr"
    assert run.answers == [{"42": 2}, {"7": 1}]
    assert run.correct_answers == [{"42": 1}, {}]
    assert run.reasons == {"correct": 1, "no_answer": 2, "incorrect": 2}
    assert run.references == ["42", "8"]
    assert run.groups == {"level": ["5", "easy"]}


def test_strict_verdicts(write):
    """Correct by a formula's comparison is correct and not strictly so; a wrong answer's tier does not matter."""
    path = write(
        answer(1, 0, 1, tier="string"),
        answer(1, 1, 1, tier="symbolic"),
        answer(1, 2, 0, tier="exact"),
        answer(2, 0, 1, tier="exact"),
        answer(2, 1, 1, tier="typed"),
        answer(2, 2, 1, tier="value"),
        answer(3, 0, 0),
        answer(4, 0, 1, tier="score"),
    )
    run = read_generations(path)
    assert run.num_correct_P.tolist() == [2, 3, 0, 1]
    assert run.num_strict_P.tolist() == [1, 3, 0, 1]


@pytest.mark.parametrize(
    "records",
    [
        [answer(1, 0, 1), answer(1, 1, 0)],
        [answer(1, 0, 1, tier="exact"), answer(1, 1, 1)],
        [answer(1, 0, 1, tier="exact"), answer(1, 1, 1, tier=None)],
    ],
)
def test_no_strict_verdicts_where_a_correct_answer_has_no_tier(write, records):
    assert read_generations(write(*records)).num_strict_P is None


def test_without_generation_ids(write):
    assert read_generations(write({"question_id": 1, "label": 1}, {"question_id": 1, "label": 1})).num_answers == 2


def test_huge_ids(write):
    path = write(answer(10**30, 10**40, 1), answer(10**30, 10**40 + 1, 0), answer(10**30 + 1, -1, 1))
    assert read_generations(path).question_ids == [str(10**30), str(10**30 + 1)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", r"line 2, is not a JSON object like \{\"question_id\": 0, \"label\": 1\}"),
        ('{"question_id": 1, "lab', "line 2, is not a JSON object"),
        ("[1]", "line 2, is not a JSON object"),
        ('{"question_id": 1, "label": 1, "response": "\\q"}', "line 2, is not a JSON object"),
        ({"question_id": 1, "score": 1}, r"line 2, has no label \(expected 0, 1, true or false\).*question_id, score"),
        ({"label": 1}, r"line 2, has no question_id \(expected an integer or a string\); its fields are label"),
        ({}, "line 2, has no question_id.*its fields are none"),
        ({"question_id": None, "label": 1}, "line 2, has question_id None where an integer or a string was expected"),
        ({"question_id": True, "label": 1}, "line 2, has question_id True where"),
        ({"question_id": 1.5, "label": 1}, r"line 2, has question_id 1\.5 where"),
        ({"question_id": 1, "label": 0.5}, r"line 2, has label 0\.5 where 0, 1, true or false was expected"),
        ({"question_id": 1, "label": "1"}, "line 2, has label '1' where"),
        ({"question_id": 1, "label": 2}, "line 2, has label 2 where"),
        ({"question_id": 1, "label": -1}, "line 2, has label -1 where"),
        ({"question_id": 1, "label": None}, "line 2, has label None where"),
        ({"question_id": 1, "label": [1]}, r"line 2, has label \[1\] where"),
        (answer(1, 2.5, 1), r"line 2, has generation_id 2\.5 where an integer or a string was expected"),
        (answer(1, 5, 1, tier=["exact"]), r"line 2, has tier \['exact'\] where a string was expected"),
    ],
)
def test_a_line_that_is_no_answer(write, line, message):
    """Named by file and line; counted instead with skip_bad_lines, and never as a wrong answer."""
    path = write(answer(1, 0, 1), line, answer(1, 1, 1))
    with pytest.raises(ValueError, match=rf"run\.jsonl, {message}.*") as refusal:
        read_generations(path)
    assert "--skip_bad_lines" in str(refusal.value)
    run = read_generations(path, skip_bad_lines=True)
    assert (run.num_bad_lines, run.num_answers, run.num_correct) == (1, 2, 2)


@pytest.mark.parametrize("name", ["question_id", "pred_answer", "reason"])
def test_a_line_that_is_nested_too_deep(write, name):
    """orjson reads a thousand lists in each other, which Python cannot print."""
    deep = json.dumps(answer(1, 1, 1) | {name: "HERE"}).replace('"HERE"', "[" * 1000 + "]" * 1000)
    path = write(answer(0, 0, 1), deep, answer(1, 1, 0))
    with pytest.raises(ValueError, match=r"run\.jsonl, line 2, has lists or objects that are nested too deep"):
        read_generations(path, with_answers=True)
    run = read_generations(path, with_answers=True, skip_bad_lines=True)
    assert (run.num_bad_lines, run.num_samples_P.tolist(), run.num_correct_P.tolist()) == (1, [1, 1], [1, 0])


def test_a_number_and_its_text_are_one_id(write):
    """Four answers to one problem, and no two problems with two answers each."""
    run = read_generations(write(answer(1, 0, 1), answer("1", 1, 0), answer(1, "2", 1), answer("01", 0, 1)))
    assert run.question_ids == ["1", "01"]
    assert (run.num_samples_P.tolist(), run.num_correct_P.tolist()) == ([3, 1], [2, 1])
    for twice in (answer("1", 0, 1), answer(1, "0", 1), answer("1", "0", 1)):
        with pytest.raises(ValueError, match=r"line 2, repeats question_id '?1'?, generation_id 0"):
            read_generations(write(answer(1, 0, 1), twice))


def test_lines_without_the_field_to_group_by(write):
    """The advice is about the option where no line has the field, and about the line where others have."""
    path = write(answer(1, 0, 1), answer(1, 1, 1))
    with pytest.raises(
        ValueError, match=r"line 1, has no level .*\. Leave it out of --by level, or name a field"
    ) as refusal:
        read_generations(path, by=["level"])
    assert "skip_bad_lines" not in str(refusal.value)
    with pytest.raises(ValueError, match=r"holds no answers \(only 2 bad lines: line 1 has no level"):
        read_generations(path, by=["level"], skip_bad_lines=True)
    path = write(answer(1, 0, 1, level=3), answer(1, 1, 1))
    with pytest.raises(ValueError, match=r"line 2, has no level .*--skip_bad_lines leaves such lines out"):
        read_generations(path, by=["level"])
    path = write(answer(1, 0, 1), answer(1, 1, 1, level=3))
    assert read_generations(path, by=["level"], skip_bad_lines=True).num_bad_lines == 1


@pytest.mark.parametrize("generation_id", [0, 5, 70_000, -3, "a"])
def test_an_answer_twice(write, generation_id):
    path = write(
        answer(1, generation_id, 1), answer(2, generation_id, 0), answer(1, 900, 1), answer(1, generation_id, 0)
    )
    message = rf"line 4, repeats question_id 1, generation_id {generation_id!r}"
    for skip_bad_lines in (False, True):
        with pytest.raises(ValueError, match=message):
            read_generations(path, skip_bad_lines=skip_bad_lines)


def test_groups_that_cannot_be(write):
    path = write(answer(1, 0, 1, level=1), answer(1, 1, 1, level=2))
    with pytest.raises(ValueError, match=r"line 2, puts question_id 1 in \[2\], and an earlier line in \[1\]"):
        read_generations(path, by=["level"])
    with pytest.raises(ValueError, match=r"line 1, has no topic \(expected a number or a string to group by\).*level"):
        read_generations(path, by=["topic"])


@pytest.mark.parametrize(
    ("lines", "found"),
    [((), "it is empty"), (({"kind": "header"},), "only a header"), (("x", "y"), "only 2 bad lines: line 1 is not .*")],
)
def test_no_answers(write, lines, found):
    with pytest.raises(ValueError, match=rf"run\.jsonl holds no answers \({found}\)\. Expected a JSON object per line"):
        read_generations(write(*lines), skip_bad_lines=True)


def test_memory_does_not_grow_with_the_number_of_answers(write):
    """Beyond a bit for each generation id, which is all that tells whether a line comes twice."""
    path = write(*(answer(0, generation_id, 1) for generation_id in range(40_000)))
    tracemalloc.start()
    run = read_generations(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run.num_answers == 40_000
    assert peak < 1_000_000


def test_memory_does_not_grow_with_the_file(write):
    """12 MB of responses are counted in a small part of that."""
    long = "x" * 6000
    path = write(*(answer(number % 20, number // 20, number % 2, response=long) for number in range(2000)))
    read_generations(path)
    tracemalloc.start()
    run = read_generations(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run.num_answers == 2000
    assert peak < 2_000_000


def test_find_files(write, tmp_path, monkeypatch):
    first, second = write(answer(1, 0, 1), name="a.jsonl"), write(answer(1, 0, 1), name="b.jsonl")
    write(answer(1, 0, 1), name="notes.txt")
    labels = write(name="b.jsonl.labels.npz")
    assert find_files(str(first)) == [first]
    assert find_files(str(tmp_path)) == [first, second]
    assert find_files(str(tmp_path / "*.jsonl")) == [first, second]
    assert find_files(str(tmp_path / "b*")) == [second]
    with pytest.raises(ValueError, match=r"npz holds the labels of b\.jsonl: name that file, and they are used"):
        find_files(str(labels))
    packed = [write(answer(1, 0, 1), name=f"c.jsonl.{ending}") for ending in ("gz", "zst")]
    assert find_files(str(tmp_path)) == [first, second, *packed]
    assert find_files(str(tmp_path / "c*")) == packed
    write(answer(1, 0, 1), name="b.jsonl.zst")
    assert find_files(str(tmp_path)) == [first, second, *packed]
    assert [stem(path) for path in (*packed, labels)] == ["c", "c", labels.name]
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in find_files("a.jsonl")] == ["a.jsonl"]
    with pytest.raises(ValueError, match=r"aa\.jsonl does not exist\. Did you mean a\.jsonl\?"):
        find_files("aa.jsonl")
    with pytest.raises(ValueError, match=r"No file matches \*\.json\."):
        find_files("*.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no \*\.jsonl, \*\.jsonl\.gz, \*\.jsonl\.zst, \*\.eval file"):
        find_files("empty")
    with pytest.raises(ValueError, match=r"^no/such/dir\.jsonl does not exist\.$"):
        find_files("no/such/dir.jsonl")


def test_fields_that_may_be_missing(tmp_path):
    """By what every line has and what is the same throughout a problem; null, lists and what changes are left out."""
    path = tmp_path / "run.jsonl"
    lines = [
        {"question_id": "a", "label": 1, "level": 3, "subject": "x", "type": None, "task": "t"},
        {"question_id": "a", "label": 0, "level": 3, "subject": "y", "type": None, "task": "t"},
        {"question_id": "b", "label": 0, "level": 4, "subject": "z", "type": None},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    run = read_generations(path, by_if_constant=["level", "subject", "type", "task", "other"])
    assert run.groups == {"level": ["3", "4"]}
    assert read_generations(path, by=["level"], by_if_constant=["subject"]).groups == {"level": ["3", "4"]}


def test_take(tmp_path):
    path = tmp_path / "run.jsonl"
    lines = [
        {
            "question_id": name,
            "label": label,
            "gold_answer": name,
            "pred_answer": "1",
            "level": name,
            "reason": "correct",
        }
        for name, label in [("a", 0), ("b", 1), ("c", 1), ("c", 1)]
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    part = read_generations(path, by=["level"], with_answers=True).take([2, 0])
    assert part.question_ids == part.references == part.groups["level"] == ["c", "a"]
    assert part.num_samples_P.tolist() == [2, 1]
    assert part.num_correct_P.tolist() == [2, 0]
    assert part.answers == [{"1": 2}, {"1": 1}]
    assert part.correct_answers == [{"1": 2}, {}]
    assert part.reasons == {}
