import pytest

from verl_ext.tasks.templates import TEMPLATES, render_prompt, template_of_model

EXPECTED = {
    "qwen": b"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is $\\frac{1}{2}$ of {x}?\n"
    b"Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n",
    "qwen3_no_thinking": b"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is $\\frac{1}{2}$ "
    b"of {x}?\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n"
    b"<think>\n\n</think>\n",
    "llama": b"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|>"
    b"<|start_header_id|>user<|end_header_id|>\n\nWhat is $\\frac{1}{2}$ of {x}?\nPlease reason step by step, and put your "
    b"final answer within \\boxed{}.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "chat": b"What is $\\frac{1}{2}$ of {x}?\nPlease reason step by step, and put your final answer within \\boxed{}.",
    "none": b"What is $\\frac{1}{2}$ of {x}?",
}


def test_every_template_is_held_to_its_bytes():
    assert set(EXPECTED) == set(TEMPLATES)
    for template, expected in EXPECTED.items():
        assert render_prompt(template, r"What is $\frac{1}{2}$ of {x}?").encode() == expected


def test_white_space_of_the_question_is_kept():
    before, _, after = render_prompt("qwen", "\n Q {input} \n").partition("\n Q {input} \n")
    assert before.endswith("user\n")
    assert after.startswith("\nPlease")


def test_a_question_that_says_how_to_answer_gets_no_instruction():
    assert render_prompt("qwen", "Q", instruction="").endswith("user\nQ<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("model", "template"),
    [
        ("Qwen/Qwen2.5-Math-7B", "qwen"),
        ("Qwen/Qwen2.5-0.5B-Instruct", "qwen"),
        ("Qwen/Qwen2-7B", "qwen"),
        ("TianHongZXY/Qwen2.5-Math-7B-W-REINFORCE", "qwen"),
        ("Qwen/Qwen3-4B", "qwen3_no_thinking"),
        ("/models/qwen3-4b/", "qwen3_no_thinking"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama"),
        ("Meta-Llama-3-8B", "llama"),
        ("outputs/qwen3-4b_nsr/checkpoints/global_step_7", "qwen3_no_thinking"),
        ("models/qwen3/my-qwen2.5-nsr", "qwen"),
    ],
)
def test_template_of_model(model, template):
    assert template_of_model(model) == template


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("Qwen/Qwen3.5-4B", "nearest known is Qwen"),
        ("Lama-3.1", "nearest known is Llama-3.1: llama"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen2.5-7B", "Known are Qwen2.5, Qwen3"),
        ("meta-llama/Llama-2-7b", "nearest known is Llama-3.1"),
        ("outputs/run", "Known are Qwen2.5, Qwen3"),
    ],
)
def test_models_of_no_known_family_are_refused(model, hint):
    with pytest.raises(ValueError, match=f"The name {model} does not say .* {hint}.* name one of chat, qwen"):
        template_of_model(model)


@pytest.mark.parametrize(("wrong", "hint"), [("qwen3", "qwen3_no_thinking"), ("Llama3", "llama"), ("QWEN", "qwen")])
def test_unknown_templates_get_a_hint(wrong, hint):
    with pytest.raises(ValueError, match=f"no prompt template '{wrong}'. Did you mean {hint}"):
        render_prompt(wrong, "Q")
    with pytest.raises(ValueError, match="There are chat, qwen"):
        render_prompt("xyz!", "Q")
