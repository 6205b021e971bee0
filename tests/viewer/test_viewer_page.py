"""What is in the page, whatever a model wrote."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.viewer.pages import HOSTILE, blocks_of, evaluation, hostile_answers, rollouts, write_lines
from verl_ext.viewer import blocks
from verl_ext.viewer.__main__ import main
from verl_ext.viewer.viewer_page import answer_link, title_of, write_viewer


def texts_of(packed, number):
    """The texts of a file, in the order of its rows."""
    return [value for block in packed["head"]["sets"][number]["texts"]["blocks"] for value in packed[f"block{block}"]]


def test_every_answer_is_there_with_what_decided_it(tmp_path):
    evaluation(tmp_path / "base.jsonl", right={"p1": 1, "p2": 4})
    written = write_viewer([(None, tmp_path / "base.jsonl")], tmp_path / "page.html")
    packed = blocks_of(tmp_path / "page.html")
    (one,) = packed["head"]["sets"]
    assert (written.num_answers, written.num_files, written.num_bytes) == (
        8,
        1,
        (tmp_path / "page.html").stat().st_size,
    )
    assert (one["samples"], one["right"]) == ([4, 4], [1, 4])
    columns = packed[f"block{one['columns']}"]
    assert columns["columns"]["id"] == [0, 1, 2, 3] * 2
    assert columns["columns"]["verdict"] == [1, 0, 0, 0, 1, 1, 1, 1]
    assert [columns["names"]["reason"][i] for i in columns["columns"]["reason"]][:4] == [
        "correct", "incorrect", "incorrect", "no_answer"
    ]  # fmt: skip
    assert columns["names"]["rule"] == ["box"]
    assert [text["answer"] for text in texts_of(packed, 0)] == ["0", "1", "2", "3"] * 2
    assert packed["head"]["problems"][0] == {"key": "p1", "title": "What is p1?", "level": "1", "task": "math500"}


def test_same_problem_of_two_files_is_one_and_another_of_its_name_is_not(tmp_path):
    evaluation(tmp_path / "a.jsonl", right={"p1": 1})
    evaluation(tmp_path / "b.jsonl", right={"p1": 2})
    evaluation(tmp_path / "c.jsonl", right={"p1": 2}, gold_answer="another")
    write_viewer([(None, tmp_path)], tmp_path / "page.html")
    head = blocks_of(tmp_path / "page.html")["head"]
    assert [one["problems"] for one in head["sets"]] == [[0], [0], [1]]
    assert [problem["key"] for problem in head["problems"]] == ["p1", "p1~2"]


def test_a_runs_log_and_an_evaluation_are_about_the_same_problem(tmp_path):
    """verl's log has no ids of problems, and prompts without special tokens; the second problem is asked twice."""
    text = "<|im_start|>user\n2 + 2 =<|im_end|>\n<|im_start|>assistant\n"
    evaluation(tmp_path / "base.jsonl", right={"p1": 1, "p2": 2, "p3": 2}, gold_answer="4")
    side = json.loads((tmp_path / "base.run.json").read_text())
    for key in ("p2", "p3"):
        side["problems"][key]["text"] = text
    (tmp_path / "base.run.json").write_text(json.dumps(side))
    line = {"output": "4", "gts": "4", "score": 1.0, "step": 1}
    prompts = ["user\n2 + 2 =\nassistant\n", "user\n2 + 3 =\nassistant\n"]
    write_lines(tmp_path / "nsr/rollouts/1.jsonl", *({"input": prompt, **line} for prompt in prompts))
    write_viewer([(None, tmp_path / "base.jsonl"), (None, tmp_path / "nsr/rollouts/1.jsonl")], tmp_path / "page.html")
    head = blocks_of(tmp_path / "page.html")["head"]
    assert [one["problems"] for one in head["sets"]] == [[0, 1, 2], [1, 3]]


def test_problems_of_two_tasks_with_one_id_and_reference_are_two(tmp_path):
    """Ids are row numbers in many files, and references small numbers."""
    for task, prompt in (("math500", "What is 2 + 2?"), ("amc23", "How many primes are below 10?"), ("other", None)):
        line = {"question_id": 0, "generation_id": 0, "response": "4", "gold_answer": "4", "label": 1, "prompt": prompt}
        write_lines(tmp_path / f"{task}.jsonl", {name: value for name, value in line.items() if value is not None})
    write_viewer([(None, tmp_path / f"{task}.jsonl") for task in ("math500", "amc23", "other")], tmp_path / "page.html")
    head = blocks_of(tmp_path / "page.html")["head"]
    assert [one["problems"] for one in head["sets"]] == [[0], [1], [0]]
    assert [problem["title"] for problem in head["problems"]] == ["What is 2 + 2?", "How many primes are below 10?"]


def test_values_that_no_json_has_are_shown_as_text(tmp_path):
    line = {"question_id": 0, "response": "4", "gold_answer": float("nan"), "label": 1, "detail": [float("inf")]}
    write_viewer([(None, write_lines(tmp_path / "a.jsonl", line))], tmp_path / "page.html")
    packed = blocks_of(tmp_path / "page.html")
    assert packed["block1"]
    (text,) = texts_of(packed, 0)
    assert text["detail"] == ["Infinity"]


def test_problems_and_answers_are_in_the_order_of_their_numbers(tmp_path):
    ids = [("10", 1), ("9", 1), ("10", 0), ("9", 0)]
    lines = [{"question_id": key, "generation_id": i, "label": 1, "response": f"{key}/{i}"} for key, i in ids]
    write_viewer([(None, write_lines(tmp_path / "a.jsonl", *lines))], tmp_path / "page.html")
    packed = blocks_of(tmp_path / "page.html")
    assert [problem["key"] for problem in packed["head"]["problems"]] == ["9", "10"]
    assert [text["text"] for text in texts_of(packed, 0)] == ["9/0", "9/1", "10/0", "10/1"]


def test_ungraded_answers_are_neither_right_nor_wrong(tmp_path):
    lines = [{"question_id": 0, "label": False, "reason": reason} for reason in ("timed_out", "withheld", "incorrect")]
    write_viewer([(None, write_lines(tmp_path / "a.jsonl", *lines))], tmp_path / "page.html")
    packed = blocks_of(tmp_path / "page.html")
    assert packed[f"block{packed['head']['sets'][0]['columns']}"]["columns"]["verdict"] == [-1, -1, 0]


def test_rollout_log_has_what_the_update_made_of_a_sample(tmp_path):
    write_viewer([(None, rollouts(tmp_path / "nsr"))], tmp_path / "page.html")
    packed = blocks_of(tmp_path / "page.html")
    columns = packed[f"block{packed['head']['sets'][1]['columns']}"]["columns"]
    assert columns["kept"] == [1, 0, 0]
    assert columns["advantage"] == [-1.0, None, None]
    first, second, _ = texts_of(packed, 1)
    assert first["actor"] == [-0.1, -2.3, -0.4, 0.0]
    assert "actor" not in second
    assert packed["head"]["sets"][1]["missing"] == []


@pytest.mark.parametrize("place", [HOSTILE["end of the block"], "Answers", HOSTILE["half a pair"]])
def test_no_character_of_an_answer_reaches_the_markup(tmp_path, place):
    """Not even in a title: the page's own markup is all there is beside base64."""
    hostile_answers(tmp_path / "a.jsonl")
    write_viewer([(place, tmp_path / "a.jsonl")], tmp_path / "page.html", title=place)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "window.broken" not in text.replace("&lt;/script&gt;&lt;script&gt;window.broken = 3&lt;/script&gt;", "")
    assert text.count("<script") == 2 + len(blocks_of(tmp_path / "page.html")) - 1
    packed = blocks_of(tmp_path / "page.html")
    assert [text.get("text") for text in texts_of(packed, 0)] == list(HOSTILE.values()), "and every one is whole"


def test_policy_allows_this_script_and_this_style_and_nothing_else(tmp_path):
    write_viewer([(None, evaluation(tmp_path / "a.jsonl", right={"p": 1}))], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    found = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert found["default-src"] == "'none'"
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert found[name] == f"'sha256-{digest}'"
    assert not re.findall(r"(?:src|href)=", text), "nothing from elsewhere"
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text)


def test_what_is_missing_is_said(tmp_path):
    lines = [{"question_id": 0, "label": 1}, {"question_id": 0, "label": 0, "response": "text"}]
    path = write_lines(tmp_path / "a.jsonl", *lines)
    path.write_text(path.read_text() + '{"question_id": 0, "la')
    write_viewer([(None, path)], tmp_path / "page.html", most=1)
    (one,) = blocks_of(tmp_path / "page.html")["head"]["sets"]
    assert one["missing"] == [
        "The answers have no text, only a verdict",
        "No prompts: no a.run.json is beside it",
        "No reasons of verdicts",
        "No advantage, and not what the update kept: these are in the rollout log of a training run",
        "No log-probs of tokens: trainer.rollout_data_log_probs=True puts them into the rollout log",
        "1 lines cannot be read as an answer",
        "1 more answers are left out of this page",
    ]


def test_part_of_a_step_says_how_much_is_not_logged(tmp_path):
    folder = rollouts(tmp_path / "run", num_steps=1)
    path = folder / "rollouts" / "1.jsonl"
    write_lines(path, *({**json.loads(line), "step_samples": 64} for line in path.read_text().splitlines()))
    write_viewer([(None, folder)], tmp_path / "page.html")
    (one,) = blocks_of(tmp_path / "page.html")["head"]["sets"]
    assert one["missing"] == ["61 of the step's 64 samples are not in the log: trainer.rollout_data_max_mb"]


def test_damaged_side_file_is_said(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"question_id": 0, "label": 1, "response": "x"})
    path.with_suffix(".run.json").write_text("{")
    write_viewer([(None, path)], tmp_path / "page.html")
    assert (
        "No prompts: a.run.json beside it is damaged" in blocks_of(tmp_path / "page.html")["head"]["sets"][0]["missing"]
    )


@given(values=st.lists(st.text(max_size=20) | st.integers(-100, 100), max_size=30), size=st.integers(1, 60))
def test_chunks_give_back_what_was_put_in(values, size):
    """Also halves of pairs, which browsers read as Python does."""
    kept = []
    chunks = blocks.Chunks(lambda block: kept.append(block) or len(kept) - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CHUNK_CHARS", size)
        for value in values:
            chunks.put(value)
        chunks.close()
    import zlib

    found = [json.loads(zlib.decompress(base64.b64decode(kept[number]))) for number in chunks.as_json()["blocks"]]
    assert [value for each in found for value in each] == values
    starts = chunks.as_json()["starts"]
    assert starts == [sum(map(len, found[:i])) for i in range(len(found))]


def test_numbers_that_json_lacks_are_left_out(tmp_path):
    lines = [{"question_id": 0, "label": 1, "advantage": float("nan"), "num_tokens": 10**400, "generation_id": 2**70}]
    write_viewer([(None, write_lines(tmp_path / "a.jsonl", *lines))], tmp_path / "page.html")
    packed = blocks_of(tmp_path / "page.html")
    columns = packed[f"block{packed['head']['sets'][0]['columns']}"]["columns"]
    assert (columns["advantage"], columns["tokens"]) == ([None], [None])
    assert columns["id"] == [str(2**70)], "a browser's numbers would lose its last digits"


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ([{"role": "user", "content": "first"}, {"role": "user", "content": " a\n b"}], "a b"),
        ("plain\ntext", "plain text"),
        (None, ""),
        ([{"role": "system", "content": "x"}], ""),
        ("x" * 500, "x" * 90),
    ],
)
def test_title_is_the_beginning_of_what_is_asked(prompt, title):
    assert title_of(prompt) == title


def test_links_name_what_the_page_reads():
    link = answer_link("answers.html", "nsr & co", step=20, question_id="p/1", generation_id=3)
    assert link == "answers.html#in=nsr+%26+co%4020&problem=p%2F1&answer=3"
    assert answer_link("a.html", "base") == "a.html#in=base"
    assert answer_link("a.html", "\ud800")


def test_command_says_what_it_wrote_and_what_is_not_there(tmp_path, capsys):
    evaluation(tmp_path / "base.jsonl", right={"p1": 1})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    assert main([str(tmp_path / "base.jsonl"), str(tmp_path / "run"), "--output", str(tmp_path / "page.html")]) == 0
    out = capsys.readouterr().out
    assert "run has no rollout log" in out
    assert "page.html: 4 answers of 1 files" in out
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert main([str(tmp_path / "base.jsonl"), "--output", str(tmp_path)]) == 2
    assert "is a folder. Name a file" in capsys.readouterr().err
