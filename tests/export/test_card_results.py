"""Model cards: what huggingface_hub reads of them."""

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from tests.export.generations import run_file, write_lines
from verl_ext.export.__main__ import main
from verl_ext.export.formats import export
from verl_ext.metrics.generations import read_generations
from verl_ext.metrics.pass_at_k import pass_at_k
from verl_ext.tasks.countdown import COUNTDOWN


@pytest.fixture
def answers(tmp_path):
    """Problems with 1 and 4 of 4 correct; labels alone are enough."""
    run_file(tmp_path / "answers.run.json", {"a": "", "b": ""})
    labels = {"a": [1, 0, 0, 0], "b": [1] * 4}
    records = [{"question_id": name, "label": label} for name, of_problem in labels.items() for label in of_problem]
    return write_lines(tmp_path / "answers.jsonl", *records)


def test_a_new_card(answers, tmp_path, capsys):
    card = tmp_path / "README.md"
    assert main([str(answers), "--to", "hf-card", "--out", str(card)]) == 0
    assert "2 problems, 8 answers, 5 correct" in capsys.readouterr().out
    data = ModelCard.load(card).data
    assert data.model_name == "small"
    name, results = model_index_to_eval_results(data.to_dict()["model-index"])
    assert (name, results) == ("small", data.eval_results)
    values = {result.metric_type: result.metric_value for result in results}
    assert values == {f"pass@{k}": pytest.approx((pass_at_k(4, 1, k) + 1) / 2) for k in (1, 2, 4)}
    one = results[0]
    assert (one.dataset_name, one.dataset_type) == ("countdown", COUNTDOWN.repo_id)
    assert {name: one.metric_args[name] for name in ("k", "n", "problems")} == {"k": 1, "n": 4, "problems": 2}
    assert one.metric_args["low"] <= one.metric_value <= one.metric_args["high"]
    assert "| 1 | 62.5 |" in card.read_text()
    assert "8 answers at temperature 1.0, max_tokens 16" in card.read_text()


def test_a_card_that_is_there_keeps_the_rest(answers, tmp_path):
    card = tmp_path / "README.md"
    other = (
        "- task:\n      type: text-generation\n    dataset:\n      type: org/other\n      name: other\n"
        "    metrics:\n    - type: pass@1\n      value: 0.25"
    )
    text = "# Mine\n\nText | with --- marks.\n"
    card.write_text(f"---\nlicense: mit\nmodel-index:\n- name: mine\n  results:\n  {other}\n---\n\n{text}")
    for _ in range(2):  # the second time nothing is doubled
        export(answers, "hf-card", card)
        data = ModelCard.load(card).data
        assert (data.license, data.model_name) == ("mit", "mine")
        assert [(result.dataset_name, result.metric_type) for result in data.eval_results] == [
            ("other", "pass@1"),
            *(("countdown", f"pass@{k}") for k in (1, 2, 4)),
        ]
        assert card.read_text().endswith(text)
    assert read_generations(answers).num_answers == 8


def test_every_k_is_of_all_problems(tmp_path):
    """k ends at the fewest samples of a problem: beyond it, pass@k would be of the others alone."""
    records = [
        {"question_id": name, "label": name == "b"} for name, number in (("a", 2), ("b", 8)) for _ in range(number)
    ]
    card = tmp_path / "README.md"
    export(write_lines(tmp_path / "answers.jsonl", *records), "hf-card", card)
    results = ModelCard.load(card).data.eval_results
    assert [(one.metric_type, one.metric_value, one.metric_args["problems"]) for one in results] == [
        ("pass@1", 0.5, 2),
        ("pass@2", 0.5, 2),
    ]


def test_one_problem_has_no_interval(tmp_path):
    records = [{"question_id": "a", "label": label} for label in (0, 1)]
    card = tmp_path / "README.md"
    export(write_lines(tmp_path / "answers.jsonl", *records), "hf-card", card)
    assert ModelCard.load(card).data.eval_results[0].metric_args == {"k": 1, "n": 2, "problems": 1}
    assert "| 1 | 50.0 | none |" in card.read_text()
    assert "nan" not in card.read_text()


@pytest.mark.parametrize("head", ["license: [mit", "just words"])
def test_a_card_whose_metadata_cannot_be_read(answers, tmp_path, capsys, head):
    card = tmp_path / "README.md"
    card.write_text(f"---\n{head}\n---\n\n# Mine\n")
    before = card.read_text()
    assert main([str(answers), "--to", "hf-card", "--out", str(card)]) == 2
    assert f"--out {card}: the metadata between its lines of --- cannot be read (" in capsys.readouterr().err
    assert card.read_text() == before


def test_a_file_without_the_ending_of_a_card_is_refused(answers):
    with pytest.raises(ValueError, match=r"--out .*answers\.txt: the name of a model card must end in \.md"):
        export(answers, "hf-card", answers.with_suffix(".txt"))
