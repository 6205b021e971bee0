import json
import runpy
from math import exp
from pathlib import Path

import pytest

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.dynamics.answer_paths import (
    SeenAnswer,
    answer_paths,
    answer_probabilities,
    effective_number,
    seen_answers,
)
from verl_ext.dynamics.checkpoint_list import CheckpointAt, CheckpointRun
from verl_ext.dynamics.policy import Policy, response_probabilities
from verl_ext.evaluation.problems import Problem
from verl_ext.small_model.build import TINY, random_model

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts/animate_training.py"))
PROBLEM = Problem(
    question_id="0",
    task="countdown",
    prompt=({"role": "user", "content": "1 2 3 = 6"},),
    reference=json.dumps({"numbers": [1, 2, 3], "target": 6}),
)


class Says:
    """A policy that answers with the given texts; its probabilities are those of ``policy``."""

    def __init__(self, policy, texts):
        self._policy, self._texts = policy, texts

    def __getattr__(self, name):
        return getattr(self._policy, name)

    def sample(self, prompt_ids, num_samples, max_tokens, generator):
        return self._policy.encoded(prompt_ids, self._texts)


def test_spellings_of_an_expression_are_one_answer(policy):
    found = seen_answers(
        PROBLEM,
        [Says(policy, ["1+2+3", "3+2+1", "1+2*3"]), Says(policy, ["1*2*3", "1+2+3"])],
        num_samples=1,
        max_tokens=9,
        seed=0,
    )
    assert found == [
        SeenAnswer("1+2+3", ("1+2+3", "3+2+1"), True),
        SeenAnswer("1+2*3", ("1+2*3",), False),
        SeenAnswer("1*2*3", ("1*2*3",), True),
    ]


def test_an_answers_probability_is_the_sum_over_its_spellings(policy):
    answers = [SeenAnswer("a", ("1+2+3", "3+2+1"), True), SeenAnswer("b", ("6",), False)]
    ids = policy.prompt_ids(PROBLEM.prompt)
    first, second, third = (
        response_probabilities(policy, policy.encoded(ids, [text]))[0] for text in ("1+2+3", "3+2+1", "6")
    )
    assert answer_probabilities(policy, PROBLEM, answers) == pytest.approx([first + second, third], rel=1e-3)


def test_paths_have_right_answers_first_and_all_right_ones_in_the_sum(policy, tiny, tmp_path, monkeypatch):
    other = random_model(tmp_path / "other", architecture=TINY, seed=4)
    texts = ["1+2+3", "1*2*3", "1+2*3", "3-2-1", "2*3/1"]
    monkeypatch.setattr("verl_ext.dynamics.answer_paths.Policy", lambda path: Says(Policy(path), texts))
    run = CheckpointRun("nsr", (CheckpointAt(tiny, 0), CheckpointAt(other, 4)), None)
    (path,) = answer_paths([run], PROBLEM, num_answers=3)
    assert path.steps == (0, 4)
    assert sorted(path.is_right, reverse=True) == list(path.is_right)
    assert len(path.answers) == 3
    answers = seen_answers(PROBLEM, [Says(policy, texts)], num_samples=1, max_tokens=9, seed=0)
    tables = [
        dict(zip((a.answer for a in answers), answer_probabilities(Policy(model), PROBLEM, answers), strict=True))
        for model in (tiny, other)
    ]
    highest = {answer: max(table[answer] for table in tables) for answer in tables[0]}
    assert set(path.answers) == set(sorted(highest, key=lambda answer: -highest[answer])[:3])
    for row, right, model in zip(path.probabilities, path.right, (tiny, other), strict=True):
        values = dict(
            zip((a.answer for a in answers), answer_probabilities(Policy(model), PROBLEM, answers), strict=True)
        )
        assert row == pytest.approx([values[answer] for answer in path.answers])
        assert right == pytest.approx(sum(values[each.answer] for each in answers if each.is_right))


def test_answers_of_one_kind_are_refused(policy, tiny, monkeypatch):
    monkeypatch.setattr("verl_ext.dynamics.answer_paths.Policy", lambda path: Says(Policy(path), ["6", "12"]))
    run = CheckpointRun("nsr", (CheckpointAt(tiny, 0),), None)
    with pytest.raises(ValueError, match="All answers to problem 0 are wrong"):
        answer_paths([run], PROBLEM, num_answers=3)


def test_effective_number():
    assert effective_number([0.2, 0.2, 0.0, 0.2]) == pytest.approx(3.0)
    assert effective_number([0.3]) == 1.0
    assert effective_number([0.0]) == 0.0
    assert 1 < effective_number([0.9, 0.1]) < exp(0.4)


@pytest.fixture
def folders(tiny, tmp_path):
    for run, steps in (("a", (2, 4)), ("b", (2, 6))):
        for step in steps:
            random_model(tmp_path / run / f"step-{step}", architecture=TINY, seed=step)
    row = make_row(data_source="countdown", prompt="1 2 3 = 6", ground_truth=PROBLEM.reference, index=0, split="test")
    write_rows([row], tmp_path / "rows.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoints", "a={}/a", "b={}/b"], "b has checkpoints at other steps than a"),
        (["--checkpoints", "a={}/a", "--problem", "1"], "--problem must be from 0 to 0, got 1"),
        (["--checkpoints", "{}/a"], "takes NAME=PATH"),
    ],
)
def test_what_the_script_refuses(folders, arguments, message):
    given = [argument.format(folders) for argument in arguments]
    with pytest.raises(SystemExit, match=message):
        SCRIPT["main"]([*given, "--out", str(folders / "out"), "--data", str(folders / "rows.parquet")])


def test_the_script_writes_the_pictures(folders, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(folders))
    monkeypatch.setattr("verl_ext.dynamics.answer_paths.Policy", lambda path: Says(Policy(path), ["1+2+3", "1+2*3"]))
    out = folders / "out"
    SCRIPT["main"](["--checkpoints", f"nsr={folders}/a", "--out", str(out), "--data", str(folders / "rows.parquet")])
    assert sorted(path.name for path in out.iterdir()) == ["training_answers.gif", "training_answers.png"]
    assert "2 pictures" in capsys.readouterr().out
