"""An update with shared prompts is the one with separate rows, on the real FSDP2 engine."""

import pytest

from tests.learner.same_updates import assert_same
from tests.learner.test_chunked_update import CHUNKED, LORA, NOTHING, llama, qwen2
from tests.training.learner import Case, updates
from verl_ext.small_model.tokenizer import build_tokenizer

pytestmark = pytest.mark.slow

SHARED = {"override_config": {"attn_implementation": "shared_prompts_sdpa"}} | CHUNKED
ROWS = [
    {
        "prompt": prompt,
        "response": [30 + n + i for i in range(1 + 3 * n)],
        "advantage": (-1.0) ** n,
        "old_shift": 0.1 * n,
    }
    for n in range(4)
    for prompt in ([11, 12, 13, 14, 15, 16], [21, 22])
]
"""Samples of two prompts in turn, so that every rank and every micro-batch gets some of both."""
CASES = [
    Case(ROWS, {}),
    Case(ROWS, {"entropy_coeff": 0.01}, {"temperature": 0.7}),
    Case(ROWS, {}, {"own_log_probs": True}),
]


@pytest.mark.parametrize(
    ("build", "num_ranks", "more"),
    [(llama, 1, {}), (qwen2, 2, {"enable_gradient_checkpointing": True}), (llama, 1, LORA)],
    ids=["untied", "two ranks, tied, checkpointed", "an adapter"],
)
def test_the_update_is_that_of_separate_rows(tmp_path, build, num_ranks, more):
    tokenizer = build_tokenizer(max_length=128)
    build(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    cases = [*CASES, Case(NOTHING, {})]
    apart = updates(tmp_path, cases, num_ranks=num_ranks, model_options=more | CHUNKED, max_tokens=130)
    shared = updates(tmp_path, cases, num_ranks=num_ranks, model_options=more | SHARED, max_tokens=130)
    start = apart.pop().weights
    shared.pop()
    assert assert_same(shared, apart, start) >= len(CASES) * 2
