"""The paper's settings, by family."""

import pytest

from verl_ext.evaluation.sampling_settings import OTHER, Sampling, defaults_of

QWEN2 = Sampling(num_samples=256, temperature=0.6, top_p=0.95, top_k=-1, max_tokens=4096)
QWEN3 = Sampling(num_samples=64, temperature=0.7, top_p=0.8, top_k=20, max_tokens=4096)


@pytest.mark.parametrize(
    ("name", "model_type", "template", "sampling"),
    [
        ("Qwen/Qwen2.5-Math-7B", None, "qwen", QWEN2),
        ("outputs/run", "qwen2", "qwen", QWEN2),
        ("Qwen/Qwen3-4B", None, "qwen3_no_thinking", QWEN3),
        ("outputs/run", "qwen3", "qwen3_no_thinking", QWEN3),
        ("meta-llama/Llama-3.1-8B-Instruct", None, "llama", QWEN2),
        ("outputs/run", "llama", "llama", QWEN2),
        ("outputs/run", "gemma3", "chat", QWEN2),
        ("who/knows", None, "chat", QWEN2),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen2", "chat", QWEN2),
    ],
)
def test_family(name, model_type, template, sampling):
    defaults = defaults_of(name, model_type)
    assert (defaults.template, defaults.sampling) == (template, sampling)


def test_qwen3_does_not_think():
    assert defaults_of("Qwen/Qwen3-4B").chat_options == {"enable_thinking": False}


def test_a_model_without_the_templates_tokens_gets_its_own():
    assert defaults_of("x", "qwen2", '{"content": "<|im_start|>"}').template == "qwen"
    assert defaults_of("x", "qwen2", '{"content": "<s>"}') is OTHER


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("num_samples", 0, "--num_samples must be at least 1, got 0"),
        ("max_tokens", -1, "--max_tokens must be at least 1, got -1"),
        ("temperature", -0.1, "--temperature must be 0 or more"),
        ("temperature", float("nan"), "--temperature must be 0 or more"),
        ("temperature", 0, "the same answer 256 times: set --num_samples 1"),
        ("top_p", 0, "--top_p must be above 0"),
        ("top_p", 1.1, "--top_p must be above 0"),
        ("top_k", 0, "--top_k must be at least 1, or -1"),
    ],
)
def test_bad_values_are_named(option, value, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**{option: value})
