"""calculate_metrics.py from a shell: what is typed is taken as it is typed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = "".join(
    json.dumps({"question_id": problem, "generation_id": generation, "label": generation < problem}) + "\n"
    for problem in range(3)
    for generation in range(2)
)
NAMES = ["2025_11_26", "psr#1.jsonl", "1e3", "None", "[a].jsonl", "a,b.jsonl", "x=1.jsonl", "ä b.jsonl", "{}", "'a'"]


def run(folder, *arguments, **environment):
    """The command's exit code, and what it wrote."""
    home = {name: value for name, value in os.environ.items() if name not in ("HOME", "LC_ALL", "LANG", "PYTHONUTF8")}
    done = subprocess.run(
        [sys.executable, ROOT / "calculate_metrics.py", *arguments],
        cwd=folder,
        env=home | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def paths_in(file):
    return [entry["path"] for entry in json.loads(file.read_text(encoding="utf-8"))["files"]]


def test_the_names_of_files_are_text(tmp_path):
    """As Python, 2025_11_26 is 20251126, and what follows # is a comment."""
    for name in NAMES:
        (tmp_path / name).write_text(LINES)
    (tmp_path / "20251126").write_text("not this one")
    (tmp_path / "psr").write_text("not this one")
    for number, name in enumerate(NAMES):
        code, _, error = run(tmp_path, "--file_path", name, f"--json=out#{number}.json", "--csv", f"{number}_000")
        assert (code, error) == (0, ""), name
        assert paths_in(tmp_path / f"out#{number}.json") == [name]
        assert (tmp_path / f"{number}_000").is_file()
    assert not (tmp_path / "out").exists()


def test_several_files_and_numbers(tmp_path):
    for name in ("1_0", "2_0", "3_0"):
        (tmp_path / name).write_text(LINES)
    code, out, error = run(tmp_path, "--file_path=1_0,2_0", "3_0", "--k", "1, 2", "--json", "m.json", "--seed", "3")
    assert (code, error) == (0, "")
    assert paths_in(tmp_path / "m.json") == ["1_0", "2_0", "3_0"]
    assert "--maj adds exact maj@k" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file_path", ""], "--file_path needs a value: FILE, DIR or GLOB."),
        (["--file_path"], "--file_path needs a value: FILE, DIR or GLOB."),
        (["--file_path", "a.jsonl", "--json"], "--json needs a value: the name of the file to write."),
        (["--file_path", "a.jsonl", "--json="], "--json needs a value: the name of the file to write."),
        (["--file_path", "a.jsonl", "--csv", "."], "--csv . is a folder. Give the name of the file to write."),
        (["--file_path", "a.jsonl", "--by"], "--by needs a value: the names of fields, such as level,subject."),
        (["--file_path", "a.jsonl", "--k", "1_0.5"], "--k must be whole numbers from 1, such as 1,8,64, got '1_0.5'."),
        (["--file_path", "a.jsonl", "--k", "0"], "--k must be whole numbers from 1, such as 1,8,64, got '0'."),
        (["--file_path", "a.jsonl", "--maj", "b.jsonl"], "--maj is a switch and takes no value, got 'b.jsonl'."),
        (["--file_path", "a.jsonl", "--seed", "x"], "--seed must be a whole number from 0, got 'x'."),
        (["--file_path", "a.jsonl", "--jsn", "x"], "There is no option --jsn. Did you mean --json?"),
        (["--file_path", "a.jsonl", "--file_path", "b.jsonl"], "--file_path is given twice. Give several values with"),
        (["--file_path", "a.jsonl", "--json", "./a.jsonl"], "--json a.jsonl is a file that is measured"),
        ([], "--file_path is missing: name a generations file, a folder of them, or a pattern."),
    ],
)
def test_what_is_typed_wrongly_is_said(tmp_path, arguments, message):
    (tmp_path / "a.jsonl").write_text(LINES)
    code, out, error = run(tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"calculate_metrics.py: {message}")
    assert (tmp_path / "a.jsonl").read_text() == LINES


@pytest.mark.parametrize("environment", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}])
def test_any_locale_and_no_home(tmp_path, environment):
    """Files are UTF-8 whatever the locale, and their names any bytes."""
    name = "é 漢 ~=.jsonl"
    (tmp_path / name).write_text(LINES.replace('"label"', '"level": "schwär", "label"'), encoding="utf-8")
    arguments = ["--file_path", name, "--by", "level", "--json", "ü.json", "--csv", "ü.csv"]
    code, out, error = run(tmp_path, *arguments, **environment)
    assert (code, error) == (0, "")
    assert "k = 1" in out
    result = json.loads((tmp_path / "ü.json").read_text(encoding="utf-8"))
    assert result["files"][0]["by"]["level"][0]["name"] == "schwär"
    assert "schwär" in (tmp_path / "ü.csv").read_text(encoding="utf-8")
