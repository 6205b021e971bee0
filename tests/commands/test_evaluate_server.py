"""eval.py with a server, from the call to the tables: what a server does wrong is never a wrong answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation.fake_server import FakeServer
from verl_ext.commands import evaluate as command
from verl_ext.evaluation.answer_file import read_records

ROOT = Path(__file__).resolve().parents[2]


def choice_of(content, finish_reason="stop", **message):
    return {"message": {"content": content} | message, "finish_reason": finish_reason}


def write_problems(path, num_problems=2):
    """Questions in the language of whoever asks, each with the answer 12."""
    prompt = [{"role": "user", "content": "Größe von 3 · 4? 漢"}]
    rows = [{"data_source": "math", "prompt": prompt, "reward_model": {"ground_truth": "12"}}] * num_problems
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def evaluate(tmp_path, capsys):
    """Run the command with answers of a server: (code, out, err, the lines of the file)."""
    write_problems(tmp_path / "rows.jsonl")

    def run(*choices, num_samples=2, arguments=()):
        path = tmp_path / "a.jsonl"
        with FakeServer(choices=list(choices)) as server:
            where = ["--model_path", server.url, "--data", str(tmp_path / "rows.jsonl"), "--output_path", str(path)]
            how = ["--num_samples", str(num_samples), "--max_num_seqs", "1", *arguments]
            code = command.main([*where, *how], "")
        shown = capsys.readouterr()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return code, shown.out, shown.err, [json.loads(line) for line in lines]

    return run


def test_a_withheld_answer_has_a_reason_of_its_own(evaluate, tmp_path, capsys):
    right, withheld = choice_of(r"It is \boxed{12}.", reasoning_content="3 times 4"), choice_of("", "content_filter")
    code, out, _, lines = evaluate(right, withheld, choice_of(r"\boxed{13}"), right)
    assert code == 0
    assert [line["reason"] for line in lines] == ["correct", "withheld", "incorrect", "correct"]
    assert [line["label"] for line in lines] == [True, False, False, True]
    assert [line.get("reasoning") for line in lines] == ["3 times 4", None, None, "3 times 4"]
    assert "rows: withheld by the server 1" in out

    import calculate_metrics

    calculate_metrics.main(file_path=str(tmp_path / "a.jsonl"))
    said = "1 answers of which nobody knows whether they are right are counted as not correct: 1 were withheld by the server"
    assert said in capsys.readouterr().out
    assert command.main(["--regrade", str(tmp_path / "a.jsonl")], "") == 0
    assert "No verdict changed." in capsys.readouterr().out


def test_a_content_that_is_no_text_ends_the_run_with_the_servers_answer(evaluate):
    code, _, err, lines = evaluate(choice_of(r"\boxed{12}"), choice_of([{"type": "text", "text": "12"}]))
    assert code == 1
    assert len(lines) == 1
    assert err.count("Traceback") == 0
    assert (
        'error: The server\'s reply has a content that is no text: {"choices": [{"message": {"content": [{"type"' in err
    )


def test_equal_answers_are_said(evaluate):
    code, _, err, lines = evaluate(choice_of(r"\boxed{12}"), num_samples=3)
    assert (code, len(lines)) == (0, 6)
    assert "warning: 4 answers were the same as another one to their problem, and no two to a problem differed." in err
    code, _, err, lines = evaluate(choice_of(r"\boxed{12}"), choice_of(r"\boxed{13}"), num_samples=5)
    assert (code, len(lines)) == (0, 10)
    assert "warning" not in err


def test_a_key_with_a_line_in_it_is_not_printed(evaluate, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first\nsk-second")
    code, out, err, _ = evaluate(choice_of(r"\boxed{12}"))
    assert code == 2
    assert "error: OPENAI_API_KEY has a character that no key has" in err
    assert "sk-" not in out + err


def test_a_time_out_is_above_0(evaluate):
    code, _, err, _ = evaluate(choice_of("12"), arguments=["--request_timeout", "0"])
    assert (code, err.strip()) == (2, "error: --request_timeout must be above 0 seconds, got 0.")


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}], ids=["ASCII", "as it is"]
)
def test_any_folder_any_locale_no_home(tmp_path, environment):
    folder = tmp_path / "é = ~ 漢"
    folder.mkdir()
    write_problems(folder / "rows é.jsonl")
    drop = ("HOME", "LANG", "LC_ALL", "PYTHONUTF8")
    env = (
        {name: value for name, value in os.environ.items() if name not in drop}
        | environment
        | {"PYTHONPATH": str(ROOT)}
    )
    answer = choice_of("Die Größe 漢 ist \\boxed{12}.")
    with FakeServer(choices=[answer]) as server:
        command_line = [
            *(sys.executable, str(ROOT / "eval" / "eval.py"), "--model_path", server.url),
            *("--data", "rows é.jsonl", "--output_dir", "aus = ~", "--num_samples", "2", "--compress", "zst"),
        ]
        done = subprocess.run(command_line, cwd=folder, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert server.requests[0][1]["messages"][0]["content"] == "Größe von 3 · 4? 漢"
    written = folder / "aus = ~"
    lines = [record for _, record in read_records(written / "rows é.jsonl.zst")]
    assert [line["response"] for line in lines] == ["Die Größe 漢 ist \\boxed{12}."] * 4
    run = json.loads((written / "rows é.run.json").read_text(encoding="utf-8"))
    assert run["problems"]["0"]["prompt"][0]["content"] == "Größe von 3 · 4? 漢"
    assert "text" not in run["problems"]["0"], "only the server knows what the model read"
    assert run["runs"][0]["argv"][3] == "rows é.jsonl"
    assert "rows é.jsonl" in (written / "eval.log").read_text(encoding="utf-8", errors="replace") or environment
