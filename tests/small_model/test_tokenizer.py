import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from verl_ext.small_model.tokenizer import ROLES, build_tokenizer

TEMPLATE_WORDS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", *ROLES]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """As a user gets it: from a folder."""
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(max_length=128).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@example(parts=["do n't , it 's . "])
@given(parts=st.lists(st.text() | st.sampled_from(TEMPLATE_WORDS)))
def test_any_text_comes_back(tokenizer, parts):
    text = "".join(parts)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="<\n")))
def test_a_token_is_a_byte(tokenizer, text):
    """Outside the template's words, which all contain < or a line break."""
    ids = tokenizer.encode(text)
    assert len(ids) == len(text.encode())
    assert all(0 <= token < 256 for token in ids)


def test_ids_of_bytes_are_those_of_qwen(tokenizer):
    assert tokenizer.encode("3 5") == [18, 220, 20]
    assert tokenizer.encode("\n") == [198]


def test_special_tokens(tokenizer):
    assert len(tokenizer) == 262
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 258)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<|endoftext|>", 256)
    assert tokenizer.decode([18, 258, 256], skip_special_tokens=True) == "3"


def test_chat_template_is_qwens(tokenizer):
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "3 5 7 = 22"},
        {"role": "assistant", "content": "3*5+7"},
    ]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == (
        "<|im_start|>system\nBe short.<|im_end|>\n"
        "<|im_start|>user\n3 5 7 = 22<|im_end|>\n"
        "<|im_start|>assistant\n3*5+7<|im_end|>\n"
    )


def test_template_costs_six_tokens(tokenizer):
    messages = [{"role": "user", "content": "3 5 7 = 22"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>user\n3 5 7 = 22<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert len(ids) == len("3 5 7 = 22") + 6
