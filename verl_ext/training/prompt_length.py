"""How many tokens a prompt has, as verl counts them, without loading transformers (and with it torch) where that can be."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from verl_ext.training.model_file import model_folder
from verl_ext.training.paths import local_path

Messages = Sequence[Mapping[str, Any]]
Length = Callable[[Messages], int]

TEMPLATE_FILE = "chat_template.jinja"
NAMED_TEMPLATES = "additional_chat_templates"
"""The folder of those that are not the default."""
TOKENIZER_FILES = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tokenization_*.py")
"""Without one of these transformers makes up an empty tokenizer."""
MESSAGE_TOKENS = 256
"""More than a chat template puts around a message, a system prompt of its own included."""


def at_most(messages: Messages) -> int:
    """A bound on the tokens of a prompt that needs no tokenizer: a token is at least a byte."""
    return sum(len(str(message["content"]).encode()) + MESSAGE_TOKENS for message in messages)


def may_lack_template(model: str) -> bool:
    """Whether no chat template is seen in the folder of a model, or in the hub's cache: only loading tells of one that is not here."""
    folder = model_folder(model)
    if folder is None:
        return True
    if not folder.is_dir() or any((folder / name).exists() for name in (TEMPLATE_FILE, NAMED_TEMPLATES)):
        return False
    return not _read(folder / "tokenizer_config.json").get("chat_template")


def length_function(
    model: str, chat_template: str | None, options: Mapping[str, Any], *, trust_remote_code: bool = False
) -> Length:
    """The function that counts the tokens of a prompt.

    Args:
        model: The folder or the hub id that the tokenizer comes from.
        chat_template: The template to use instead of the tokenizer's own.
        options: What the template is given besides the messages, verl's data.apply_chat_template_kwargs.
        trust_remote_code: Run the tokenizer's own code, where it has some.

    Raises:
        ValueError: There is no tokenizer, or none with a chat template. The function raises it for messages that the
            template does not take.
    """
    folder = local_path(model)
    if (folder / "tokenizer.json").is_file():
        found = _template(folder) if chat_template is None else chat_template
        if found is not None and "generation %}" not in found and "generation -%}" not in found:
            return _light(folder, found, options)
    return _transformers(model, chat_template, options, trust_remote_code)


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is empty or damaged ({error}). Copy the model again.") from None
    return content if isinstance(content, dict) else {}


def _template(folder: Path) -> str | None:
    """The tokenizer's own template; None where it has none, or several to choose from."""
    if (folder / TEMPLATE_FILE).is_file():
        return (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    template = _read(folder / "tokenizer_config.json").get("chat_template")
    return template if isinstance(template, str) else None


def _special_tokens(folder: Path) -> dict[str, str]:
    found = {**_read(folder / "special_tokens_map.json"), **_read(folder / "tokenizer_config.json")}
    tokens = {name: value for name, value in found.items() if name.endswith("_token")}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in tokens.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _raise(message: str) -> None:
    raise ValueError(message)


def _to_json(value: Any, ensure_ascii: bool = False, **layout: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **layout)


def _light(folder: Path, template: str, options: Mapping[str, Any]) -> Length:
    """As transformers renders and tokenizes, by the libraries that it does it with."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from tokenizers import Tokenizer

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _raise, "strftime_now": lambda form: datetime.now().strftime(form)}
    try:
        compiled = environment.from_string(template)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except TemplateError as error:
        raise ValueError(f"jinja cannot read the chat template: {error}.") from None
    except Exception as error:  # noqa: BLE001  tokenizers raises nothing narrower
        raise ValueError(f"{folder / 'tokenizer.json'} cannot be read: {error}.") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = _special_tokens(folder)

    def length(messages: Messages) -> int:
        try:
            text = compiled.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=True, **{**special, **options}
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise ValueError(f"the chat template does not take it: {error}") from None
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return length


def _transformers(model: str, chat_template: str | None, options: Mapping[str, Any], trust_remote_code: bool) -> Length:
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    folder = local_path(model)
    if folder.is_dir() and not any(path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)):
        raise ValueError(f"{model} has no tokenizer that can be loaded: no file like {TOKENIZER_FILES[0]} is in it.")
    try:
        where = str(folder) if folder.is_dir() else model
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{model} has no tokenizer that can be loaded: {str(error).splitlines()[0]}") from None
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    if tokenizer.chat_template is None:
        raise ValueError(
            f"The tokenizer of {model} has no chat template: set actor_rollout_ref.model.custom_chat_template."
        )

    def length(messages: Messages) -> int:
        try:
            text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False, **options)
        except (TemplateError, TypeError, ValueError) as error:
            raise ValueError(f"the chat template does not take it: {error}") from None
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return length
