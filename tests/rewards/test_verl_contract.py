"""verl 0.9.1 reads our rows, finds our reward by its configuration lines, and can average what it returns."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("verl")
import datasets
import torch
from hydra import compose, initialize_config_module
from tensordict import TensorDict
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl import DataProto
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils import tensordict_utils
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.tasks.countdown import CountdownProblem

RESPONSE_LENGTH = 8
REWARD = [
    "reward.custom_reward_function.path=pkg://verl_ext.rewards.reward",
    "reward.reward_manager.source=importlib",
    "reward.reward_manager.module.path=pkg://verl_ext.rewards.manager",
    "reward.reward_manager.name=TruncationRewardManager",
]


@pytest.fixture(scope="module")
def config():
    with initialize_config_module("verl.trainer.config", version_base=None):
        lengths = [f"actor_rollout_ref.rollout.response_length={RESPONSE_LENGTH}"]
        return compose("ppo_trainer", overrides=[*REWARD, *lengths])


@pytest.fixture(scope="module")
def tokenizer():
    vocabulary = {chr(code): index for index, code in enumerate(range(32, 127))} | {"<eos>": 95, "<pad>": 96}
    byte_tokenizer = Tokenizer(models.BPE(vocabulary, []))
    byte_tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    byte_tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer, eos_token="<eos>", pad_token="<pad>")


@pytest.fixture(autouse=True)
def event_loop():
    """verl's managers take the loop of their thread."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
    asyncio.set_event_loop(None)


def graded(config, tokenizer, response, ground_truth, *, prompt_length=3, num_padding=0):
    """What verl's reward worker returns for one response, as the V1 agent loop hands it over."""
    manager = load_reward_manager(config, tokenizer)
    response_ids = tokenizer.encode(response, add_special_tokens=False)
    length = prompt_length + len(response_ids)
    data = DataProto(
        batch=TensorDict(
            {
                "prompts": torch.zeros(1, prompt_length, dtype=torch.int64),
                "responses": torch.tensor([response_ids + [96] * num_padding]),
                "attention_mask": torch.tensor([[1] * length + [0] * num_padding]),
            },
            batch_size=1,
        ),
        non_tensor_batch={
            "data_source": np.array(["countdown"]),
            "reward_model": np.array([{"ground_truth": ground_truth}]),
            "extra_info": np.array([{"index": 0}]),
            "tool_extra_fields": np.array([{"global_steps": 1}]),
        },
    )
    return manager.loop.run_until_complete(manager.run_single(data))


TINYZERO_TRUTH = {"numbers": np.array([3, 5, 7]), "target": np.int64(22)}


@pytest.mark.parametrize("ground_truth", [CountdownProblem((3, 5, 7), 22).reference, TINYZERO_TRUTH])
def test_the_configuration_lines_lead_to_our_reward(config, tokenizer, ground_truth):
    result = graded(config, tokenizer, "3*5+7<eos>", ground_truth)
    assert result["reward_score"] == 1.0
    assert result["reward_extra_info"]["correct"] == result["reward_extra_info"]["acc"] == 1.0
    assert result["reward_extra_info"]["answer"] == "3*5+7"


@pytest.mark.parametrize(
    ("response", "options", "is_truncated"),
    [
        ("3*5+7<eos>", {}, False),
        ("3*5+7", {}, False),  # shorter than the budget: it stopped by itself
        ("(3*5)+7<eos>", {}, False),  # fills the budget, and had just finished
        ("(3*5)+7 ", {}, True),
        ("(3*5)+7 ", {"num_padding": 4}, True),
        ("3*5+7", {"prompt_length": 20}, True),  # max_model_len 25 leaves 5
    ],
)
def test_a_cut_response_is_known_by_its_tokens(config, tokenizer, response, options, is_truncated):
    config = config.copy()
    config.actor_rollout_ref.rollout.max_model_len = 25 if "prompt_length" in options else None
    result = graded(config, tokenizer, response, TINYZERO_TRUTH, **options)
    assert result["reward_extra_info"]["truncated"] == float(is_truncated)
    assert result["reward_score"] == float(not is_truncated)


def test_verls_validation_averages_the_reasons_and_skips_the_strings(config, tokenizer):
    infos = [graded(config, tokenizer, text, TINYZERO_TRUTH)["reward_extra_info"] for text in ("3*5+7<eos>", "3*<eos>")]
    by_key = {key: [info[key] for info in infos] for key in infos[0]}
    metrics = process_validation_metrics(["countdown"] * 2, ["a", "b"], by_key)["countdown"]
    assert {key: metrics[key]["mean@1"] for key in ("acc", "correct", "unparsable", "grader_error")} == {
        "acc": 0.5,
        "correct": 0.5,
        "unparsable": 0.5,
        "grader_error": 0.0,
    }
    assert not {"answer", "detail", "tier", "rule"} & set(metrics)


def test_verls_dataset_and_batch_keep_our_rows(config, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    problems = [CountdownProblem((3, 5, 7), 22), CountdownProblem((8, 3, 8, 3), 24)]
    rows = [
        make_row(data_source="countdown", prompt=str(p.nums), ground_truth=p.reference, split="train", index=index)
        for index, p in enumerate(problems)
    ]
    write_rows(rows, tmp_path / "rows.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    data_config = config.data.copy()
    data_config.filter_overlong_prompts_workers = 1
    dataset = RLHFDataset(str(tmp_path / "rows.parquet"), tokenizer, data_config)
    batch = tensordict_utils.get_tensordict(collate_fn([dataset[index] for index in range(2)]))
    assert [batch["reward_model"][i]["ground_truth"] for i in range(2)] == [p.reference for p in problems]
    assert [batch["data_source"][i] for i in range(2)] == ["countdown"] * 2
