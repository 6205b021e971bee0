import json
import re
import runpy
from pathlib import Path

import pytest

from verl_ext.analysis.next_token import NextToken, TokenChance, in_order, read_next_token, write_next_token

TOKENS = [TokenChance(" 4", 0.25, False), TokenChance("2", 0.125, True), TokenChance("3", 0.25, True)]


def found():
    return NextToken("a model", "A prime is …", in_order(TOKENS))


def test_right_ones_first_and_a_softmax_over_what_is_kept():
    assert [token.text for token in found().tokens] == ["3", "2", " 4"]
    assert found().covered == 0.625
    assert found().probabilities == [0.4, 0.2, 0.4]
    assert found().is_right == [True, True, False]


def test_the_file_gives_it_back(tmp_path):
    path = tmp_path / "next_token.json"
    write_next_token(path, found())
    assert read_next_token(path) == found()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": [{"text": "2", "probability": 0.5, "is_right": True}]}, "at least one right token and one wrong"),
        ({"tokens": [{"text": "2", "is_right": True}]}, "'probability'"),
        ({"model": None, "tokens": 3}, "not iterable"),
    ],
)
def test_a_file_that_is_something_else(tmp_path, change, message):
    path = tmp_path / "next_token.json"
    write_next_token(path, found())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(
        ValueError, match=rf"holds no next-token distribution \(.*{re.escape(message)}.*--model"
    ) as caught:
        read_next_token(path)
    assert str(path) in str(caught.value)


def test_the_way_out_is_options_of_the_script(tmp_path):
    path = tmp_path / "next_token.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"scripts/animate_objectives\.py with --model") as caught:
        read_next_token(path)
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts/animate_objectives.py"))
    options = script["parser"]().format_help()
    named = re.findall(r"--\w+", str(caught.value))
    assert named == ["--model", "--question", "--start", "--right", "--out"]
    assert all(f"{option} " in options for option in named)


@pytest.mark.parametrize("probability", [0.0, -0.1, 0.9])
def test_probabilities_are_checked(probability):
    with pytest.raises(ValueError, match="above 0 and sum to at most 1"):
        NextToken("a model", "?", (TokenChance("a", 0.5, True), TokenChance("b", probability, False)))
