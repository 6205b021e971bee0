"""A byte-level tokenizer with Qwen's chat template: one token a byte, and one for each word of the template."""

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
MESSAGE_START = "<|im_start|>"
MESSAGE_END = "<|im_end|>"

# One token each, so that the template costs six tokens around a prompt and not twenty. The text stays Qwen's.
ROLES = ("system\n", "user\n", "assistant\n")

CHAT_TEMPLATE = (
    r"{% for message in messages %}"
    r"{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    r"{% endfor %}"
    r"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def build_tokenizer(*, max_length: int) -> PreTrainedTokenizerFast:
    """Build the tokenizer: 256 bytes (ids 0 to 255), three special tokens, three role names.

    Any unicode text comes back unchanged from encode and decode. As in Qwen2.5-Instruct an answer ends in
    ``<|im_end|>`` and ``<|endoftext|>`` pads.

    Args:
        max_length: The model's context in tokens.
    """
    # The alphabet is a set: sorted, the ids are the same in every process.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={character: i for i, character in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT, MESSAGE_START, MESSAGE_END])
    tokenizer.add_tokens([AddedToken(role, normalized=False) for role in ROLES])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=MESSAGE_END,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=max_length,
    )
