"""What the rollout log has of a sample, and how much of a step fits into its share."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import NonTensorStack

from verl_ext.metrics.verl_dump import translate
from verl_ext.training.configuration import compose_config
from verl_ext.training.option_types import LIMITS
from verl_ext.training.step import rollout_log

KEYS = ["p0_0_0", "p0_1_0"]


def decode(tokens):
    return "".join("ab<end>"[token] if token < 2 else "" for token in tokens)


def objects(*values):
    """As they come out of TransferQueue."""
    return NonTensorStack(*values)


def fields():
    """Two samples of one prompt: the first has two tokens and is wrong, the second one and is right."""
    verdicts = [{"acc": 0.0, "incorrect": 1.0, "answer": "a"}, {"acc": 1.0, "correct": 1.0, "answer": "b"}]
    return {
        "prompts": torch.tensor([[0, 1], [0, 1]]),
        "responses": torch.tensor([[0, 1, 2], [1, 2, 2]]),
        "response_mask": torch.tensor([[1, 1, 0], [1, 0, 0]]),
        "rm_scores": torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        "reward_model": objects(*[{"ground_truth": "b"}] * 2),
        "data_source": objects("math", "math"),
        "extra_info": objects(*[{"level": 3, "subject": None, "index": 0}] * 2),
        "extra_fields": objects(*[{"reward_extra_info": verdict} for verdict in verdicts]),
    }


LEARNED = {"p0_0_0": {"advantages": torch.tensor([-1.0, -2.0, 9.0]), "old_log_probs": torch.tensor([-0.5, -0.25, 0.0])}}


def test_a_row_says_what_the_update_made_of_its_sample():
    kept, dropped = rollout_log.rows_of(KEYS, fields(), LEARNED, decode)
    assert kept["advantage"] == -1.5, "the mean over its own tokens"
    assert (kept["kept"], dropped["kept"]) == (True, False)
    assert dropped["advantage"] is None
    assert (kept["num_tokens"], dropped["num_tokens"]) == (2, 1)
    assert (kept["input"], kept["output"], kept["gts"], dropped["score"]) == ("ab", "ab", "b", 1.0)
    assert (kept["level"], kept["data_source"], kept["step_samples"]) == (3, "math", 2)
    assert "subject" not in kept
    assert "tokens" not in kept


def test_log_probs_stand_beside_their_tokens():
    rows = rollout_log.rows_of(KEYS, fields(), LEARNED, decode)
    rollout = [torch.tensor([-0.123456, -1.0, 0.0]), torch.tensor([-2.0, 0.0, 0.0])]
    rollout_log.add_log_probs(rows, [[0, 1, 2], [1, 2, 2]], rollout, LEARNED, decode)
    assert rows[0]["tokens"] == ["a", "b", ""]
    assert rows[0]["rollout_log_probs"] == [-0.1235, -1.0, 0.0]
    assert rows[0]["old_log_probs"] == [-0.5, -0.25, 0.0]
    assert rows[1]["old_log_probs"] is None, "no pass was made over what was dropped"


def test_what_is_written_reads_as_answers():
    rows = rollout_log.rows_of(KEYS, fields(), LEARNED, decode)
    (kept,), (dropped,) = (list(translate(1, json.loads(json.dumps(row | {"step": 7})))) for row in rows)
    assert (kept["label"], kept["reason"], kept["kept"], kept["advantage"]) == (False, "incorrect", True, -1.5)
    assert (dropped["label"], dropped["reason"], dropped["pred_answer"]) == (True, "correct", "b")
    assert kept["question_id"] == dropped["question_id"]


def test_columns_are_as_long_as_the_rows():
    columns = rollout_log.as_columns([{"input": "a", "output": "b", "gts": 1, "score": 0.0, "uid": "x", "level": 1}])
    assert columns == {
        "inputs": ["a"], "outputs": ["b"], "gts": [1], "scores": [0.0],
        "reward_extra_infos_dict": {"uid": ["x"], "level": [1]},
    }  # fmt: skip
    assert rollout_log.as_columns([])["inputs"] == []


@given(lengths=st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=3), max_size=6), share=st.integers(0, 2000))
def test_a_step_never_writes_more_than_its_share(lengths, share):
    rows = [
        {"uid": f"p{p}_{s}_0", "output": "é" * length}
        for p, group in enumerate(lengths)
        for s, length in enumerate(group)
    ]
    kept = rollout_log.within(rows, share)
    written = "".join(json.dumps(row | {"step": 100_000}, ensure_ascii=False) + "\n" for row in kept)
    assert len(written.encode()) <= share
    whole = {row["uid"].split("_")[0] for row in kept}
    assert kept == [row for row in rows if row["uid"].split("_")[0] in whole], "prompts are whole, in their order"
    assert rollout_log.within(rows, None) == rows


def test_one_long_prompt_does_not_keep_out_the_others():
    rows = [{"uid": "long_0_0", "output": "x" * 5000}, {"uid": "short_0_0", "output": "x"}]
    assert rollout_log.within(rows, 1000) == rows[1:]


def test_shares_of_all_steps_are_the_limit():
    assert rollout_log.share_of_step(20, 40) * 40 == 20e6
    assert rollout_log.share_of_step(None, 40) is None


def test_limit_is_above_zero():
    assert compose_config([], device="cpu").trainer.rollout_data_max_mb == 1000
    assert not LIMITS[rollout_log.MAX_MB].holds(0)


def test_log_probs_that_the_rollout_does_not_note_cannot_be_logged():
    from verl_ext.training.checks.trainer_options import check_rollout_log

    options = ["trainer.rollout_data_log_probs=True", "actor_rollout_ref.rollout.calculate_log_probs=False"]
    with pytest.raises(ValueError, match=r"^trainer.rollout_data_log_probs=True puts .*calculate_log_probs=False"):
        check_rollout_log(compose_config(options, device="cpu"))
    check_rollout_log(compose_config(options[:1], device="cpu"))


def test_a_step_is_written_with_columns_as_the_queue_gives_them(monkeypatch, tmp_path):
    """From verl's own columns to lines that are read as answers: nested tensors, and objects in stacks."""
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict

    from tests.training.stand_in import rows_of, step_of, trainer_with
    from verl_ext.metrics.generations import read_generations
    from verl_ext.training import trainer as module

    trainer = trainer_with(
        "algorithm.adv_estimator=nsr", "trainer.rollout_data_log_probs=True", "trainer.rollout_data_max_mb=1"
    )
    trainer.tokenizer.decode = lambda tokens, skip_special_tokens: " ".join(map(str, tokens))
    trainer._init_dump_executor()
    groups = [row | {"log_prob": -0.5, "info": {"acc": row["score"]}} for row in rows_of([[0, 1], [1, 1]])]
    batch = trainer._balance_batch(step_of(monkeypatch, groups), {})
    stored = module.tq.rows
    for key in batch.keys:
        stored[key] |= {"advantages": torch.full((5,), -1.0), "old_log_probs": torch.full((5,), -0.25)}
    for number, row in enumerate(stored.values()):
        row |= {"reward_model": {"ground_truth": f"{number // 2}"}, "response_mask": torch.ones(5)}
        row |= {name: torch.arange(5).to(row[name].dtype) for name in ("rm_scores", "responses", "rollout_log_probs")}

    def as_the_queue(keys, partition_id, select_fields):
        rows = [{name: stored[key][name] for name in select_fields if name in stored[key]} for key in keys]
        return list_of_dict_to_tensordict(rows)

    monkeypatch.setattr(module.tq, "kv_batch_get", as_the_queue)
    trainer._log_rollout_data(batch, {}, str(tmp_path))
    trainer._shutdown_dump_executor()
    lines = [json.loads(line) for line in (tmp_path / "1.jsonl").read_text().splitlines()]
    assert [(line["uid"], line["kept"], line["advantage"]) for line in lines] == [
        ("p0_0_0", True, -1.0), ("p0_1_0", False, None), ("p1_2_0", False, None), ("p1_3_0", False, None)
    ]  # fmt: skip
    assert lines[0]["tokens"] == ["0", "1", "2", "3", "4"]
    assert lines[0]["old_log_probs"] == [-0.25] * 5
    assert lines[1]["old_log_probs"] is None
    read = read_generations(tmp_path / "1.jsonl")
    assert (read.num_problems, read.num_answers, read.num_correct) == (2, 4, 3)
