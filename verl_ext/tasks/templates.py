r"""The prompt templates of the paper, as raw text: what the model reads is written here to the byte.

A raw template already holds the tokens that open and close a turn, so no chat template may go on top. verl 0.9.1 always
applies the tokenizer's (in RLHFDataset when it filters overlong prompts, and in the agent loop), so a recipe whose rows
were prepared with a raw template gives it one that passes the text through, on the command line or in a preset:

    "actor_rollout_ref.model.custom_chat_template='{{ messages[0].content }}'"
    actor_rollout_ref: {model: {custom_chat_template: "{{ messages[0].content }}"}}

verl sets it on the tokenizer of the driver and of every agent loop, and tokenizes without adding special tokens, so
Llama's <|begin_of_text|> comes once; whoever else hands the text to a tokenizer does so with add_special_tokens=False.
The tokenizer saved with a checkpoint keeps the pass-through template: evaluation renders its prompts here, but a chat
server of such a checkpoint needs the model's own chat template. A row says in extra_info.template which one it was
prepared with. Prompts longer than data.max_prompt_length are left out by verl's own data.filter_overlong_prompts=True, as
in the paper.
"""

from difflib import get_close_matches

from verl_ext.families import FAMILIES, named_in

BOX_INSTRUCTION = "\nPlease reason step by step, and put your final answer within \\boxed{}."
"""Follows the question, in the paper's templates and in a chat prompt."""

RAW_TEMPLATES = {family.template: family.prompt for family in FAMILIES}
"""Name -> what stands before the question, and what follows it and the instruction."""

TEMPLATES = ("chat", *RAW_TEMPLATES, "none")
"""chat is the question with the instruction, for the tokenizer's own chat template; none is the bare question."""

PASS_THROUGH_CHAT_TEMPLATE = "{{ messages[0].content }}"


def render_prompt(template: str, question: str, *, instruction: str = BOX_INSTRUCTION) -> str:
    """The prompt for ``question``, ready for the model (raw templates) or for a user's message (chat, none).

    Args:
        template: One of ``TEMPLATES``.
        question: The bare question. Taken as it is, with its braces and white space.
        instruction: How to answer; "" for a question that says it itself (``Task.asks_for_box``). none leaves it out.

    Raises:
        ValueError: There is no such template.
    """
    if template == "none":
        return question
    if template == "chat":
        return question + instruction
    if template not in RAW_TEMPLATES:
        begun = [name for name in TEMPLATES if template and name.startswith(template.lower())]
        nearest = begun or get_close_matches(template.lower(), TEMPLATES, n=1, cutoff=0.4)
        hint = f"Did you mean {nearest[0]}?" if nearest else f"There are {', '.join(TEMPLATES)}."
        raise ValueError(f"There is no prompt template {template!r}. {hint}")
    before, after = RAW_TEMPLATES[template]
    return before + question + instruction + after


def template_of_model(model_name: str) -> str:
    """The raw template that the paper uses for a model's family.

    Args:
        model_name: A hub id or a path; the last part that names a family decides.

    Raises:
        ValueError: The name tells no family, or that of a model with a template of its own.
    """
    family = named_in(model_name)
    if family is not None:
        return family.template
    last = model_name.rstrip("/").rpartition("/")[2]
    template_of = {family.name: family.template for family in FAMILIES}
    nearest = get_close_matches(last.lower(), [name.lower() for name in template_of], n=1, cutoff=0.5)
    known = next((f"{name}: {template}" for name, template in template_of.items() if name.lower() in nearest), None)
    hint = f"The nearest known is {known}" if known else f"Known are {', '.join(template_of)}"
    raise ValueError(
        f"The name {model_name} does not say which prompt template the model was made for. {hint}; name one of "
        f"{', '.join(TEMPLATES)} yourself (chat is the model's own)."
    )
