"""The most probable next tokens of a model behind a prompt, marked right or wrong."""

from collections.abc import Sequence

from verl_ext.analysis.next_token import NextToken, TokenChance, in_order
from verl_ext.dynamics.policy import Policy


def next_token_of(
    policy: Policy, name: str, question: str, start: str, right: Sequence[str], *, num_tokens: int
) -> NextToken:
    """Ask ``policy`` a question, begin its answer, and look at what it may say next.

    Args:
        policy: The model.
        name: What it is called in the picture.
        question: The user's message.
        start: How the answer begins.
        right: The texts of right tokens, without blanks around them.
        num_tokens: How many of the most probable tokens are kept.

    Raises:
        ValueError: A right token is not among them, or nothing else is.
    """
    prompt_ids = policy.prompt_ids([{"role": "user", "content": question}], start)
    top = policy.next_token(prompt_ids).topk(num_tokens)
    before = policy.tokenizer.decode(prompt_ids)
    # Decoded behind the prompt: alone, a token may lose the blank that it begins with.
    texts = [policy.tokenizer.decode([*prompt_ids, index])[len(before) :] for index in top.indices.tolist()]
    found = {text.strip() for text in texts}
    if missing := sorted(set(right) - found):
        raise ValueError(
            f"{', '.join(missing)} is not among the {num_tokens} most probable next tokens, which are "
            f"{', '.join(map(repr, texts))}. Choose other right tokens, another question or a larger --num_tokens."
        )
    tokens = [
        TokenChance(text, probability, text.strip() in right)
        for text, probability in zip(texts, top.values.tolist(), strict=True)
    ]
    return NextToken(name, f"{start.strip()} …", in_order(tokens))
