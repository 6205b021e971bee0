import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet
import pytest

from verl_ext.data.errata import MATH_ERRATA
from verl_ext.data.sources import SETTING, load_rows, problems_of, read_source
from verl_ext.grading import check_reference, grade
from verl_ext.grading.paper import grader as paper_grader
from verl_ext.tasks import TASKS, task_named

AIME = [{"problem": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(30)]


def write_json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(autouse=True)
def no_setting(monkeypatch):
    monkeypatch.delenv(SETTING, raising=False)


@pytest.fixture
def folder(tmp_path):
    write_json_lines(tmp_path / "aime2024_test.jsonl", AIME)
    return tmp_path


@pytest.fixture
def hub_copy(tmp_path, monkeypatch):
    """A task whose repository is a local folder, which ``datasets`` reads as it reads one of the hub."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def copy(name, rows, file="test.parquet"):
        repository = tmp_path / "repository"
        repository.mkdir(exist_ok=True)
        if file.endswith(".jsonl"):
            write_json_lines(repository / file, rows)
        else:
            pyarrow.parquet.write_table(pa.Table.from_pylist(rows), repository / file)
        return replace(TASKS[name], repo_id=str(repository))

    return copy


def test_a_row(folder):
    rows = load_rows("AIME 2024", folder)
    assert [row.question_id for row in rows] == [str(index) for index in range(30)]
    assert rows[3].messages == [{"role": "user", "content": "What is 3 + 1?"}]
    assert rows[3].question == "What is 3 + 1?"
    assert (rows[3].ground_truth, rows[3].data_source, rows[3].level, rows[3].subject) == ("4", "aime2024", None, None)
    assert (rows[3].paper_reference, rows[3].also_right, rows[3].correction) == (None, (), None)


def test_the_setting_names_the_folder(folder, monkeypatch):
    monkeypatch.setenv(SETTING, str(folder))
    assert len(load_rows("aime2024")) == 30
    monkeypatch.setenv(SETTING, str(folder / "none"))
    with pytest.raises(ValueError, match=f"{SETTING}, the data folder, .*none is not a folder"):
        load_rows("aime2024")


def test_parquet_and_json_lines_are_read_alike(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    pyarrow.parquet.write_table(pa.Table.from_pylist(AIME), other / "aime2024_test.parquet")
    assert load_rows("aime2024", other) == load_rows("aime2024", folder)


@pytest.mark.parametrize("num_rows", [0, 29, 31])
def test_a_missing_row_fails(folder, num_rows):
    path = folder / "aime2024_test.jsonl"
    write_json_lines(path, (AIME + AIME)[:num_rows])
    with pytest.raises(ValueError, match=rf"{path} has {num_rows} rows, expected 30\."):
        load_rows("aime2024", folder)


def test_bad_input(folder):
    path = folder / "aime2024_test.jsonl"
    with pytest.raises(ValueError, match=r"aime2024 has no split 'train', only test\."):
        load_rows("aime2024", folder, "train")
    with pytest.raises(ValueError, match="Did you mean aime2024"):
        load_rows("aime-204", folder)
    with pytest.raises(
        FileNotFoundError, match=r"no math500_test.parquet or math500_test.jsonl in .* from the Hugging"
    ):
        load_rows("math500", folder)
    with pytest.raises(ValueError, match="The data folder .*nowhere is not a folder"):
        load_rows("aime2024", folder / "nowhere")
    write_json_lines(path, [{"question": "?", "answer": "1"}] * 30)
    with pytest.raises(ValueError, match=rf"{path}, row 0, has no field problem, only question, answer\."):
        load_rows("aime2024", folder)
    path.write_text('{"problem": "?"}\n{"problem":\n')
    with pytest.raises(ValueError, match=rf"{path}, line 2, is not JSON"):
        load_rows("aime2024", folder)
    path.write_text("[1]\n")
    with pytest.raises(ValueError, match=rf"{path}, line 1, is not a JSON object"):
        load_rows("aime2024", folder)
    (folder / "amc23_test.parquet").write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"amc23_test.parquet cannot be read as .parquet"):
        load_rows("amc23", folder)


def test_rows_made_for_verl_are_told_from_a_data_sets_own(tmp_path):
    prepared = {"prompt": [{"role": "user", "content": "?"}], "reward_model": {"ground_truth": "1"}}
    pyarrow.parquet.write_table(pa.Table.from_pylist([prepared] * 40), tmp_path / "amc23_test.parquet")
    with pytest.raises(
        ValueError, match=r"no field reward_model.ground_truth.question.*give the folder they were made"
    ):
        load_rows("amc23", tmp_path)


def test_rows_of_a_hub_repository(hub_copy):
    task = hub_copy("aime2025", AIME)
    source_rows, where = read_source(task, None, "test")
    assert where == f"{task.repo_id}@main"
    assert [row.ground_truth for row in problems_of(task, source_rows, "test", where)] == [
        row["answer"] for row in AIME
    ]


def test_a_split_of_another_name_on_the_hub(hub_copy):
    source_rows, _ = read_source(hub_copy("aime2024", AIME, "train.parquet"), None, "test")
    assert len(source_rows) == 30


def test_json_lines_on_the_hub(hub_copy):
    rows = [{"problem": "?", "answer": "1", "level": 3, "subject": "Algebra", "unique_id": str(n)} for n in range(500)]
    task = hub_copy("math500", rows, "test.jsonl")
    problem = problems_of(task, *read_source(task, None, "test")[:1], "test", "")[0]
    assert (problem.level, problem.subject) == ("Level 3", "Algebra")


def test_a_missing_row_on_the_hub_fails(hub_copy):
    task = hub_copy("aime2025", AIME[:29])
    with pytest.raises(ValueError, match=rf"{task.repo_id}@main has 29 rows, expected 30\."):
        read_source(task, None, "test")


def test_no_hub_says_what_to_do(hub_copy):
    task = hub_copy("aime2025", AIME, "validation.parquet")
    with pytest.raises(OSError, match=r"could not be read .*test.*Without a network, give a folder with aime2025_test"):
        read_source(task, None, "test")
    with pytest.raises(OSError, match=rf"{task.repo_id}/no@main could not be read from the Hugging Face hub"):
        read_source(replace(task, repo_id=f"{task.repo_id}/no"), None, "test")


def test_errata_are_not_applied_to_other_questions(hub_copy):
    rows = [{"problem": f"{n}?", "solution": r"\boxed{1}", "level": "Level 1", "type": "Algebra"} for n in range(5000)]
    with pytest.raises(ValueError, match=r"here, row 333, is not the question whose reference .* but: '333\?'"):
        problems_of(TASKS["math"], rows, "test", "here")


# The real sets


@pytest.mark.parametrize(("name", "split"), [(name, split) for name, task in TASKS.items() for split in task.num_rows])
def test_shared_sets_have_their_rows(data_dir, name, split):
    rows = load_rows(name, data_dir, split)
    assert len(rows) == (task_named(name).num_rows[split] or len(rows))
    assert all(row.question.strip() and row.ground_truth for row in rows)


def test_math_levels_and_subjects(data_dir):
    for name in ("math", "math500"):
        rows = load_rows(name, data_dir)
        assert {row.level for row in rows} == {f"Level {level}" for level in range(1, 6)}
        assert len({row.subject for row in rows}) == 7


def test_the_known_broken_references_are_corrected(data_dir):
    known = json.loads((data_dir / "math_broken_golds.json").read_text())["rows"]
    rows = load_rows("math", data_dir)
    for one in known:
        row = rows[one["i"]]
        assert row.paper_reference.startswith(one["paper_gold"].removesuffix("..."))
        if " or " in one["correct"]:
            assert row.also_right
        else:
            assert grade(rf"\boxed{{{one['correct']}}}", row.ground_truth, "math").is_correct
    assert len([row for row in rows if row.correction]) == len(known) + 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_errata_quote_the_papers_references(data_dir, split):
    source_rows, where = read_source(TASKS["math"], data_dir, split)
    problems = problems_of(TASKS["math"], source_rows, split, where)
    for erratum in (one for one in MATH_ERRATA if one.split == split):
        assert TASKS["math"].printed_answer_of(source_rows[erratum.index]) == erratum.paper_reference
        assert problems[erratum.index].ground_truth == erratum.reference
        for answer in erratum.also_right:
            check_reference(answer, "math")


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_papers_normalization_makes_its_target_of_every_row_from_ours(data_dir, split):
    source_rows, where = read_source(TASKS["math"], data_dir, split)
    for row, source_row in zip(problems_of(TASKS["math"], source_rows, split, where), source_rows, strict=True):
        papers = row.ground_truth if row.paper_reference is None else row.paper_reference
        assert paper_grader.parse_reference(papers) == TASKS["math"].printed_answer_of(source_row)


def test_references_read_from_the_solution_are_those_of_math500(data_dir):
    """MATH-500 is a part of MATH test whose answers were edited by hand: each is the same answer as ours."""
    by_question = {" ".join(row.question.split()): row for row in load_rows("math", data_dir)}
    for row in load_rows("math500", data_dir):
        ours = by_question[" ".join(row.question.split())]
        assert grade(rf"\boxed{{{ours.ground_truth}}}", row.ground_truth, "math500").is_correct, (ours, row)
        assert (ours.level, ours.subject) == (row.level, row.subject)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": None}, "has the problem None, which is not text"),
        ({"problem": " "}, "has an empty question"),
        ({"answer": None}, "has the answer None, which is not text"),
        ({"answer": True}, "has the answer True, which is not text"),
        ({"answer": float("nan")}, "has the wrong answer: nan is no number"),
    ],
)
@pytest.mark.parametrize("reader", ["json lines", "parquet", "hub"])
def test_what_is_no_question_or_answer_is_refused_by_every_reader(tmp_path, hub_copy, reader, change, message):
    """str() made the prompt "None" of it, and the reference "nan"."""
    row = {"problem": "What is 1 + 1?", "answer": 2.5 if isinstance(change.get("answer"), float) else "2"}
    rows = [row, row | change]
    if isinstance(change.get("answer"), bool):
        rows = [row | change, row | change]
    task = replace(TASKS["aime2024"], num_rows={"test": 2}, hub_splits={}, file_stem="aime2024")
    folder = tmp_path
    if reader == "json lines":
        write_json_lines(tmp_path / "aime2024_test.jsonl", rows)
    elif reader == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "aime2024_test.parquet")
    else:
        folder, task = None, replace(task, repo_id=hub_copy("aime2024", rows).repo_id, revision=None)
    with pytest.raises(ValueError, match=rf"row [01], {message}"):
        problems_of(task, *read_back(task, folder))


def read_back(task, folder):
    rows, where = read_source(task, folder, "test")
    return rows, "test", where


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        ("12345678901234567890123", "12345678901234567890123"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1e999", "1e999"),
        ("42.0", "42"),
        ("1e-7", "0.0000001"),
        ("2.50", "2.5"),
    ],
)
def test_a_number_in_json_lines_keeps_its_digits(tmp_path, spelling, text):
    rows = "".join(json.dumps(row).replace('"5"', spelling) + "\n" for row in AIME)
    (tmp_path / "aime2024_test.jsonl").write_text(rows)
    assert load_rows("aime2024", tmp_path)[4].ground_truth == text


def test_a_level_that_is_not_there_is_none(tmp_path):
    row = {"problem": "?", "answer": "1", "level": None, "subject": None}
    write_json_lines(tmp_path / "math500_test.jsonl", [row] * 500)
    first = load_rows("math500", tmp_path)[0]
    assert (first.level, first.subject) == (None, None)
