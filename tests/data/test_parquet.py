import json
import re
import runpy
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from verl_ext.data.parquet import check_rows, first_template, read_rows, write_checked, write_rows
from verl_ext.data.rows import make_row
from verl_ext.grading import grade
from verl_ext.tasks.countdown import generate_problems, short_prompt
from verl_ext.tasks.table import DATA_SOURCES

REFERENCE = '{"numbers": [3, 5, 7], "target": 22}'
GOOD = make_row(data_source="countdown", prompt="3 5 7 = 22", ground_truth=REFERENCE, split="train", index=0)


def json_line(ground_truth):
    """A row of JSON lines whose ground truth is spelled as given."""
    prompt = [{"role": "user", "content": "?"}]
    row = {"data_source": "math", "prompt": prompt, "reward_model": {"ground_truth": "HERE"}}
    return json.dumps(row).replace('"HERE"', ground_truth) + "\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows.parquet"


def test_rows_come_back_as_written(path):
    rows = [
        make_row(data_source="countdown", prompt=short_prompt(p), ground_truth=p.reference, split="test", index=index)
        for index, p in enumerate(generate_problems(20, seed=1, split="test"))
    ]
    write_rows(rows, path)
    assert read_rows(path) == rows
    assert check_rows(path, is_graded_here=True) == 20


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    write_rows([GOOD], path)

    def half_a_write(table, where):
        where.write(b"PAR1")
        raise OSError("No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", half_a_write)
    with pytest.raises(OSError, match="No space left"):
        write_rows([GOOD, GOOD], path)
    assert read_rows(path) == [GOOD]
    assert list(path.parent.iterdir()) == [path]


def test_folders_are_made(tmp_path):
    write_rows([GOOD], tmp_path / "a" / "b" / "rows.parquet")
    assert check_rows(tmp_path / "a" / "b" / "rows.parquet") == 1


def test_json_lines_are_read(tmp_path):
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"data_source": "countdown", "prompt": [{"role": "user", "content": "?"}], "reward_model": {}}\n')
    with pytest.raises(ValueError, match="row 0, has no ground truth"):
        check_rows(lines)


NO_PROMPT = "has no prompt"
NO_TRUTH = r"has no ground truth \(reward_model.ground_truth\)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": []}, NO_PROMPT),
        ({"prompt": None}, NO_PROMPT),
        ({"prompt": [{"role": "user", "content": ""}]}, NO_PROMPT),
        ({"prompt": [{"role": "user", "content": None}]}, NO_PROMPT),
        ({"prompt": [{"content": "?"}]}, "has a message without a role"),
        ({"prompt": [{"role": None, "content": "?"}]}, "has a message without a role"),
        ({"prompt": [{"role": "", "content": "?"}]}, "has a message without a role"),
        ({"reward_model": None}, NO_TRUTH),
        ({"reward_model": {"style": "rule", "ground_truth": None}}, NO_TRUTH),
        ({"reward_model": {"style": "rule", "ground_truth": ""}}, NO_TRUTH),
        (
            {"reward_model": {"style": "rule", "ground_truth": "22"}},
            "has a ground truth that cannot be graded against: .* got 22",
        ),
        ({"data_source": "sudoku"}, "has the data_source 'sudoku', but there are only graders for math"),
        ({"data_source": None}, "has the data_source None"),
    ],
)
def test_a_bad_row_is_named(path, change, message):
    write_rows([GOOD, GOOD | change, GOOD], path)
    with pytest.raises(ValueError, match=rf"{path}, row 1, {message}.*prepare_data.py, or fix the row\."):
        check_rows(path, is_graded_here=True)


def test_a_task_without_a_grader_here_gets_the_ways_out(path):
    write_rows([GOOD | {"data_source": "sudoku"}], path)
    with pytest.raises(
        ValueError,
        match=r"Name one of these data sources; .*reward\.custom_reward_function\.path=FILE.*docs/data-and-tasks\.md",
    ):
        check_rows(path, is_graded_here=True)


def test_rows_that_would_vanish_are_counted(path):
    """The chat template fails for them, and verl goes on without a word: 8 of 16 samples of every step."""
    write_rows([GOOD, GOOD | {"prompt": [{"content": "3 5 7 = 22"}]}] * 4, path)
    with pytest.raises(ValueError, match=r"row 1, has a message without a role .*\. 4 of 8 rows cannot be used\. Make"):
        check_rows(path)


def test_extra_info_is_a_table(path):
    write_rows([GOOD | {"extra_info": "level 3"}], path)
    with pytest.raises(ValueError, match="row 0, has the extra_info 'level 3', which must be a table"):
        check_rows(path)
    assert first_template(path) is None


@pytest.mark.parametrize(
    ("ground_truth", "message"),
    [
        (
            "12345678901234567890123",
            "has the ground truth 12345678901234567890123, which is read as 1.2345678901234568e",
        ),
        ("9223372036854775809", "has the ground truth 9223372036854775809, which is read as"),
        ("0.1234567890123456789", "has the ground truth 0.1234567890123456789, which is read as 0.12345678901234568"),
        ("[1, 12345678901234567890123]", "has the ground truth 12345678901234567890123, which is read as"),
        ('{"target": 12345678901234567890123}', "has the ground truth 12345678901234567890123, which is read as"),
        ("9" * 5000, "has the ground truth 9{80}, which is read as inf"),
        ("NaN", r"has no ground truth"),
        ("null", r"has no ground truth"),
        ("true", "has a ground truth that cannot be graded against: .* must be a text, got True"),
    ],
)
def test_a_ground_truth_of_json_lines_that_reading_would_change(tmp_path, ground_truth, message):
    """verl reads the lines with pyarrow, too: 12345678901234567890123 became 1.2345678901234568e+22, the "right" answer."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json_line(ground_truth))
    with pytest.raises(ValueError, match=rf"{path}, row 0, {message}"):
        check_rows(path)


def test_a_prompt_is_text(path):
    write_rows([GOOD | {"prompt": [{"role": "user", "content": 5}]}], path)
    with pytest.raises(ValueError, match="row 0, has no prompt"):
        check_rows(path)


@pytest.mark.parametrize("ground_truth", ["42", "-7.25", "0.1", "9007199254740993", '"12345678901234567890123"'])
def test_a_ground_truth_of_json_lines_that_is_read_as_it_is(tmp_path, ground_truth):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n" + json_line(ground_truth))
    assert check_rows(path, is_graded_here=True) == 1
    (row,) = read_rows(path)
    answer = ground_truth.strip('"')
    verdict = grade(rf"\boxed{{{answer}}}", row["reward_model"]["ground_truth"], "math")
    assert verdict.is_correct
    for other in (f"{answer}1", "12345678901234567890124"):
        assert not grade(rf"\boxed{{{other}}}", row["reward_model"]["ground_truth"], "math").is_correct


@pytest.mark.parametrize("ground_truth", [1.2345678901234568e22, float("inf"), 2.0**53])
def test_a_ground_truth_of_parquet_that_was_rounded(path, ground_truth):
    write_rows([GOOD | {"data_source": "math", "reward_model": {"ground_truth": ground_truth}}], path)
    with pytest.raises(ValueError, match=r"row 0, has a ground truth that cannot be graded against: The ground truth"):
        check_rows(path)


def test_files_that_belong_together_are_written_together(tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    with pytest.raises(ValueError, match=r"b.parquet would have no rows, so nothing was written"):
        write_checked({first: [GOOD], second: []})
    with pytest.raises(ValueError, match=r"b.parquet, row 0, has no prompt .*Nothing was written"):
        write_checked({first: [GOOD], second: [GOOD | {"prompt": []}]})
    assert not list(tmp_path.iterdir())
    write_checked({first: [GOOD], second: [GOOD]})
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_other_data_sources_pass_where_another_reward_grades_them(path):
    write_rows([GOOD | {"data_source": "sudoku"}], path)
    assert check_rows(path) == 1


def test_bad_files(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"no data file {path}\. Make it with"):
        check_rows(path)
    with pytest.raises(FileNotFoundError, match="no data file"):
        check_rows(tmp_path)
    path.write_text("not parquet")
    with pytest.raises(ValueError, match=rf"{path} cannot be read as \.parquet"):
        check_rows(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot be read as \.parquet"):
        check_rows(path)
    pyarrow.parquet.write_table(pa.Table.from_pylist([GOOD]).slice(0, 0), path)
    with pytest.raises(ValueError, match="has no rows"):
        check_rows(path)
    pyarrow.parquet.write_table(pa.table({"prompt": ["?"], "answer": ["!"]}), path)
    with pytest.raises(
        ValueError, match=r"has no column data_source, reward_model, only prompt, answer.*docs/data-and-tasks\.md"
    ):
        check_rows(path)


WHOLE = pa.BufferOutputStream()
pyarrow.parquet.write_table(pa.Table.from_pylist([GOOD] * 3), WHOLE)
BYTES = WHOLE.getvalue().to_pybytes()


@contextmanager
def refusals_name(path):
    """What is done here may be refused, by nothing but a ValueError that begins with the file."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(str(path)):
            raise AssertionError(f"It does not name the file: {error}") from error


@given(length=st.integers(0, len(BYTES) - 1))
def test_a_file_that_was_cut_is_named(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "rows.parquet"
    path.write_bytes(BYTES[:length])
    with pytest.raises(
        ValueError, match=rf"^{path} cannot be read as \.parquet: [^\n]*\. Copy it again, or make it again\.$"
    ):
        check_rows(path)


@given(places=st.lists(st.tuples(st.integers(0, len(BYTES) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_file_is_named_or_read(tmp_path_factory, places):
    """For damaged pages pyarrow raises another error than for a damaged end, and of damaged texts none before they are asked for."""
    damaged = bytearray(BYTES)
    for place, byte in places:
        damaged[place] = byte
    path = tmp_path_factory.mktemp("damaged") / "rows.parquet"
    path.write_bytes(damaged)
    with refusals_name(path):
        assert check_rows(path, is_graded_here=True) >= 0
        first_template(path)


def test_no_part_of_a_file_is_damaged_in_another_way(path):
    """Places that hypothesis may miss."""
    for place in range(4, len(BYTES) - 8, 37):
        path.write_bytes(BYTES[:place] + bytes([BYTES[place] ^ 0xFF]) + BYTES[place + 1 :])
        with refusals_name(path):
            check_rows(path, is_graded_here=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "data_source": VALUES | st.sampled_from(["countdown", "math", "gsm8k"]),
        "prompt": VALUES
        | st.lists(st.fixed_dictionaries({}, optional={"role": VALUES, "content": VALUES}), max_size=2)
        | st.just(GOOD["prompt"]),
        "reward_model": VALUES
        | st.fixed_dictionaries({}, optional={"ground_truth": VALUES})
        | st.just(GOOD["reward_model"]),
        "extra_info": VALUES | st.fixed_dictionaries({}, optional={"template": VALUES}),
    },
)


@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_rows_of_any_types_are_used_or_named(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("types") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with refusals_name(path):
        assert check_rows(path, is_graded_here=True) == len(rows)
        template = first_template(path)
        assert template is None or isinstance(template, str)
        assert all(isinstance(row["prompt"], list) for row in rows)
        assert {row["data_source"] for row in rows} <= set(DATA_SOURCES)


@pytest.mark.parametrize("prompt", [5, 0.5, "3 5 7 = 22", {"role": "user", "content": "?"}, True])
def test_a_prompt_is_a_list(path, prompt):
    write_rows([GOOD | {"prompt": prompt}], path)
    with pytest.raises(ValueError, match="row 0, has no prompt"):
        check_rows(path)


@pytest.mark.parametrize("depth", [300, 1_000, 100_000])
def test_deep_lines_are_refused_before_the_reader_that_they_end(tmp_path, depth):
    """pyarrow's reader, which is verl's, dies of 50,000 lists in each other, and Python's of 1,000."""
    path = tmp_path / "rows.jsonl"
    text = '"[[[[" '
    path.write_text(json_line('"42"') + json_line("[" * depth + text + "]" * depth))
    with pytest.raises(ValueError, match=rf"{path}, line 2, has lists and objects nested deeper than 256\."):
        check_rows(path)
    path.write_text(json_line('"42"').replace('"?"', json.dumps('\\"' + "[" * depth)))
    assert check_rows(path) == 1


def test_eight_thousand_rows_are_checked_in_a_moment(path):
    write_rows(
        [GOOD | {"reward_model": {"style": "rule", "ground_truth": f"{REFERENCE}{' ' * i}"}} for i in range(8000)], path
    )
    within(500, lambda: check_rows(path))


@pytest.mark.parametrize("split", ["train", "test"])
def test_shared_tinyzero_rows_are_usable(data_dir, split):
    path = data_dir / f"countdown_{split}.parquet"
    assert check_rows(path, is_graded_here=True) == {"train": 8001, "test": 2001}[split]


def test_checking_loads_neither_torch_nor_verl():
    heavy = "{'torch', 'verl', 'ray', 'datasets'}"
    program = f"import sys, verl_ext.data.parquet; sys.exit(str({heavy} & set(sys.modules) or '') or None)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_example_of_the_page_about_own_problems(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/data-and-tasks.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.M | re.S)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "example.py").write_text(example)
    runpy.run_path("example.py")
    assert check_rows("data/own_train.parquet", is_graded_here=True) == 2
