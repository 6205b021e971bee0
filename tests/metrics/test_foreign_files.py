"""Files of other tools are counted as they are.

``foreign/sums.eval`` was written by inspect_ai 0.3.285, ``foreign/samples_lols.jsonl`` by lm_eval 0.4.13 (``--model dummy``,
two repeats, two filters).
"""

import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from calculate_metrics import main
from verl_ext.metrics.foreign_files import read_answers
from verl_ext.metrics.generations import read_generations

FOREIGN = Path(__file__).parent / "foreign"


@pytest.fixture
def write(tmp_path):
    def write(*records, name="run.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in records))
        return path

    return write


def verl_line(prompt="1 + 1 = ", score=1.0, uid="a_0_0", **more):
    return {"input": prompt, "output": "2", "gts": "2", "score": score, "step": 50, **more, "uid": uid}


def sample(label, doc_id=0, name="strict", metric="exact_match", **more):
    return {
        "doc_id": doc_id,
        "doc": {"question": "2 + 2", "level": "Level 1", "id": [1]},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": "Q: 2 + 2", "arg_1": {}}},
        "resps": [["It is 4."]],
        "filtered_resps": ["4"],
        "filter": name,
        "metrics": [metric],
        metric: label,
        **more,
    }


def test_inspect():
    """pass@2 is the one that inspect printed for this log: 0.41666666666666663."""
    run = read_generations(FOREIGN / "sums.eval", by=["level"], with_answers=True)
    assert (run.question_ids, run.num_samples_P.tolist(), run.num_correct_P.tolist()) == (["a/1", "2"], [4, 4], [2, 0])
    assert run.groups == {"level": ["Level 1", "Level 2"]}
    assert run.references == ["4", "6"]
    assert run.answers == [{"4": 2, "6": 1, "9": 1}, {"5": 2, "9": 2}]
    answers = [record for _, record, _ in read_answers(FOREIGN / "sums.eval")]
    assert {record["prompt"] for record in answers} == {"2+2", "3+3"}
    assert [record["response"] for record in answers if record["question_id"] == 2] == ["5", "9", "5", "9"]


def inspect_json(**more):
    scores = {"match": {"value": "C", "answer": "4"}}
    message = {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "?"}, {"type": "text", "text": "4"}]}
    one = {
        "id": 1,
        "epoch": 1,
        "input": "2+2",
        "target": "4",
        "scores": scores,
        "output": {"choices": [{"message": message}]},
    }
    return {"version": 2, "eval": {}, "samples": [one | more]}


@pytest.mark.parametrize("score", ["C", 1, 1.0, True])
def test_inspect_json(score, write):
    log = inspect_json(scores={"match": {"value": score}})
    path = write(log, name="log.json")
    path.write_text(json.dumps(log, indent=2))
    ((_, record, _),) = read_answers(path)
    assert (record["label"], record["response"]) == (True, "4")


def test_inspect_keeps_long_texts_apart(write):
    output = {"completion": "attachment://ab"}
    ((_, record, _),) = read_answers(write(inspect_json(output=output, attachments={"ab": "long"}), name="log.json"))
    assert record["response"] == "long"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"scores": {}}, r"\(sample 1, epoch 1\) has no score and so no verdict. Grade the log by inspect score "),
        ({"scores": None, "error": {"message": "x"}}, "was stopped by an error and so no verdict"),
        ({"scores": {"f1": {"value": 0.3}}}, r"has 0\.3 of f1 where C, I, 0 or 1 was expected"),
        ({"scores": {"match": {"value": "P"}}}, "has 'P' of match where C, I, 0 or 1"),
        ({"scores": {"a": {"value": "C"}, "b": {"value": "I"}}}, "has the verdicts of a, b. Name one: --verdict a"),
    ],
)
def test_inspect_without_a_verdict(more, message, write):
    with pytest.raises(ValueError, match=message):
        read_generations(write(inspect_json(**more), name="log.json"))


def test_inspect_scorer(write):
    path = write(inspect_json(scores={"a": {"value": "C"}, "b": {"value": "I"}}), name="log.json")
    assert [read_generations(path, verdict=name).num_correct for name in "ab"] == [1, 0]
    with pytest.raises(ValueError, match=r"--verdict c: .* has the verdicts of a, b"):
        read_generations(path, verdict="c")


def test_inspect_damaged(tmp_path):
    whole = (FOREIGN / "sums.eval").read_bytes()
    path = tmp_path / "cut.eval"
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"cut\.eval is damaged or still being written"):
        read_generations(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(ValueError, match="no log of inspect with answers"):
        read_generations(path)


def test_lm_eval(write):
    path = write(sample(1.0), sample(0.0, doc_id=1))
    run = read_generations(path, by=["level"], with_answers=True)
    assert (run.question_ids, run.num_correct_P.tolist(), run.references) == (["0", "1"], [1, 0], ["4", "4"])
    assert (run.groups, run.answers) == ({"level": ["Level 1"] * 2}, [{"4": 1}, {"4": 1}])
    ((_, record, _), _) = read_answers(path)
    assert (record["prompt"], record["response"]) == ("Q: 2 + 2", "It is 4.")


def test_lm_eval_as_it_was_written():
    """lm_eval printed exact_match 0.5 for the filter strict, and 0 for first_digit."""
    path = FOREIGN / "samples_lols.jsonl"
    shares = {}
    for name in ("strict", "first_digit"):
        run = read_generations(path, verdict=f"exact_match,{name}", by=["level"])
        shares[name] = run.num_correct / run.num_answers
        assert run.groups == {"level": ["Level 1", "Level 2"]}
    assert shares == {"strict": 0.5, "first_digit": 0.0}


def test_lm_eval_choices_have_no_text(write):
    """Multiple choice has log probabilities where an answer has its text."""
    line = sample(
        1.0, metric="acc", resps=[[["-1.5", "False"]], [["-0.5", "True"]]], filtered_resps=[["-1.5", "False"]]
    )
    ((_, record, _),) = read_answers(write(line))
    assert record["label"] is True
    assert "response" not in record


def test_lm_eval_filters_and_metrics(write):
    path = write(sample(1.0), sample(0.0, name="flexible"))
    with pytest.raises(
        ValueError, match="after the filters strict and flexible. Name one: --verdict exact_match,strict"
    ):
        read_generations(path)
    labels = [read_generations(path, verdict=f"exact_match,{name}").num_correct for name in ("strict", "flexible")]
    assert labels == [1, 0]
    path = write(sample(1.0, metrics=["exact_match", "f1"], f1=0.5))
    with pytest.raises(ValueError, match="has the metrics exact_match, f1. Name one: --verdict exact_match"):
        read_generations(path)
    with pytest.raises(ValueError, match="line 1, has f1 0.5 where 0 or 1 was expected"):
        read_generations(path, verdict="f1")
    with pytest.raises(ValueError, match="--verdict acc: .* has the metrics exact_match, f1"):
        read_generations(path, verdict="acc")


def test_lm_eval_without_verdicts(write):
    with pytest.raises(ValueError, match="has no metric and so no verdict. Run lm_eval without --predict_only"):
        read_generations(write(sample(1.0, metrics=["bypass"])))
    with pytest.raises(ValueError, match=r"holds results, and no answers. Name the samples_\*\.jsonl"):
        read_generations(write({"results": {"gsm8k": {}}}, name="results.json"))


def test_verl_dump(write):
    """A problem is its prompt and ground truth; ``acc`` goes before ``score``, which may be shaped or made noisy."""
    reasons = {"correct": 1.0, "incorrect": 0.0}
    path = write(
        verl_line(uid="a_0_0", acc=1.0, score=0.3, answer="2", **reasons),
        verl_line(uid="a_1_0", score=0.0),
        verl_line("2 + 2 = ", uid="b_0_0", score=-1.0, acc=None),
        verl_line(uid="a_2_0", score="1.0"),
    )
    run = read_generations(path, with_answers=True)
    assert (run.num_samples_P.tolist(), run.num_correct_P.tolist()) == ([3, 1], [2, 0])
    assert (run.references, run.answers, run.reasons) == (["2", "2"], [{"2": 1}, {}], {"correct": 1})
    again = read_generations(write(verl_line(uid="c_0_0"), name="other.jsonl"))
    assert again.question_ids == run.question_ids[:1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (verl_line(score=0.3), "line 1, has score 0.3 and no verdict: 0, 1 or -1. Let the reward function return acc"),
        (verl_line(score=None), "line 1, has score None and no verdict"),
        (verl_line(uid="a_0_1"), "line 1, has uid 'a_0_1', a later output of its sample"),
    ],
)
def test_verl_dump_without_a_verdict(line, message, write):
    with pytest.raises(ValueError, match=message):
        read_generations(write(line))
    good = verl_line("other")
    assert read_generations(write(good, line), skip_bad_lines=True).num_bad_lines == 1


def test_verdict_is_for_files_with_several(write):
    with pytest.raises(ValueError, match=r"--verdict a: .* has one verdict per answer. Leave the option out"):
        read_generations(write({"question_id": 1, "label": 1}), verdict="a")


# ---------------------------------------------------------------------- lighteval and Every Eval Ever


def details_of(path, *rows):
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def detail(value, number=0, texts=("It is 4.",), **metrics):
    """As lighteval 0.13 writes a document with a generative metric."""
    doc = {"query": "2 + 2", "choices": ["3", "4"], "gold_index": [1], "id": str(number), "specific": {"a": 1}}
    response = {"input": "2 + 2", "text": list(texts), "text_post_processed": None, "reasonings": [None]}
    return {"doc": doc, "metric": {"extractive_match": value} | metrics, "model_response": response}


def test_lighteval(tmp_path):
    path = details_of(tmp_path / "details_gsm8k|0_2026.parquet", detail(1.0), detail(0.0, 1))
    run = read_generations(path)
    assert (run.question_ids, run.num_correct_P.tolist(), run.references) == (["0", "1"], [1, 0], ["4", "4"])
    ((_, record, _), _) = read_answers(path)
    assert (record["prompt"], record["response"]) == ("2 + 2", "It is 4.")


def test_lighteval_without_a_verdict(tmp_path):
    several = details_of(tmp_path / "a.parquet", detail(1.0, f1=0.5))
    with pytest.raises(ValueError, match="has the metrics extractive_match, f1. Name one: --verdict extractive_match"):
        read_generations(several)
    assert read_generations(several, verdict="extractive_match").num_correct == 1
    with pytest.raises(ValueError, match="--verdict acc: .* has the metrics extractive_match, f1"):
        read_generations(several, verdict="acc")
    with pytest.raises(ValueError, match="line 1, has f1 0.5 where 0 or 1 was expected"):
        read_generations(several, verdict="f1")
    many = details_of(tmp_path / "b.parquet", detail(1.0, texts=("4", "5")))
    with pytest.raises(ValueError, match="line 1, has 2 responses and one number of extractive_match for all of them"):
        read_generations(many)


def test_lighteval_damaged(tmp_path):
    path = details_of(tmp_path / "a.parquet", detail(1.0))
    whole = path.read_bytes()
    for length in range(4, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.parquet is damaged or still being written"):
            read_generations(path)
    with pytest.raises(ValueError, match="has the columns prompt, and so no answers: details of lighteval have doc, "):
        read_generations(details_of(path, {"prompt": "?"}))


def eee_line(is_correct, number=0, result="exact_match", **more):
    """As the converter of lm-eval's samples writes it (every_eval_ever 0.3.0)."""
    return {
        "schema_version": "0.3.0",
        "evaluation_id": "gsm8k/org_m/1",
        "model_id": "org/m",
        "evaluation_name": "gsm8k",
        "evaluation_result_id": result,
        "sample_id": str(number),
        "interaction_type": "single_turn",
        "input": {"raw": "2 + 2", "reference": ["4"]},
        "output": {"raw": ["It is 4."]},
        "answer_attribution": [{"turn_idx": 0, "extracted_value": "4"}],
        "evaluation": {"score": float(is_correct), "is_correct": is_correct},
        "metadata": {"level": "3"},
        **more,
    }


def test_every_eval_ever(write):
    run = read_generations(
        write(eee_line(True), eee_line(False, 1), eee_line(True, 1)), by=["level"], with_answers=True
    )
    assert (run.question_ids, run.num_samples_P.tolist(), run.num_correct_P.tolist()) == (["0", "1"], [1, 2], [1, 1])
    assert (run.references, run.groups, run.answers) == (["4", "4"], {"level": ["3", "3"]}, [{"4": 1}, {"4": 2}])


def test_every_eval_ever_of_several_results(write):
    path = write(eee_line(True), eee_line(False, result="f1"))
    with pytest.raises(ValueError, match="has the verdicts of exact_match and f1. Name one: --verdict exact_match"):
        read_generations(path)
    assert [read_generations(path, verdict=name).num_correct for name in ("exact_match", "f1")] == [1, 0]
    agentic = eee_line(True, output=None, messages=[{"turn_idx": 0, "role": "user"}])
    assert read_generations(write(agentic)).num_correct == 1


def test_a_verdict_that_no_line_has(write, capsys):
    """It names those that there are; "holds no answers" would send the reader to the wrong place."""
    samples = write(sample(1.0, name="strict-match"), sample(0.0, name="flexible-extract"))
    with pytest.raises(SystemExit) as ended:
        main(file_path=str(samples), verdict="exact_match,strictmatch")
    assert ended.value.code == 2
    message = f"--verdict exact_match,strictmatch: {samples} has the filters strict-match, flexible-extract."
    assert message in capsys.readouterr().err
    results = write(eee_line(True), eee_line(False, result="f1"), name="results.jsonl")
    with pytest.raises(ValueError, match="--verdict exact: .* has the verdicts of exact_match, f1"):
        read_generations(results, verdict="exact")


# ---------------------------------------------------------------------- fields that are not as they should be


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (inspect_json(output=[5]), "log.json"),
        (inspect_json(scores=["C"]), "log.json"),
        (inspect_json(scores={"match": "C"}), "log.json"),
        ({"eval": {}, "samples": [5]}, "log.json"),
        ({"eval": {}, "samples": 5}, "log.json"),
        (inspect_json(metadata={"verl_ext_format": 1, "response_as_json": "{"}), "log.json"),
        (sample(1.0, metrics=5), "run.jsonl"),
        (sample(1.0, resps={"a": 1}), "run.jsonl"),
        (sample(1.0, metrics=[["exact_match"]]), "run.jsonl"),
        (sample(1.0, doc={"verl_ext_answers": [{}, {}]}), "run.jsonl"),
        (sample(1.0, doc={"verl_ext_answers": 5}), "run.jsonl"),
        (eee_line(True, evaluation=[]), "run.jsonl"),
        (eee_line(1), "run.jsonl"),
        (eee_line(True, input=None), "run.jsonl"),
        (eee_line(True, metadata={"verl_ext_record": "[]"}), "run.jsonl"),
        (eee_line(True, metadata={"verl_ext_record": 5}), "run.jsonl"),
        (verl_line(uid="a_0_" + "9" * 5000), "run.jsonl"),
    ],
)
def test_what_no_tool_writes_is_named(line, name, write):
    """By the file, whatever is wrong with it: these were a TypeError, an AttributeError, a KeyError."""
    path = write(line, name=name)
    with pytest.raises(ValueError, match=rf"{path}[, ]"):
        read_generations(path)


def test_deep_json_is_named(tmp_path):
    path = tmp_path / "log.json"
    path.write_text('{"eval": {}, "samples": ' + "[" * 50_000 + "]" * 50_000 + "}")
    with pytest.raises(ValueError, match=rf"{path}, line 1, is not a JSON object"):
        read_generations(path)
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("samples/a_epoch_1.json", "[" * 50_000)
    with pytest.raises(ValueError, match=r"log\.eval is damaged or still being written"):
        read_generations(tmp_path / "log.eval")
