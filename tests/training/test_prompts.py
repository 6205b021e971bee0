"""Prompts that are too long: counted before the launch, as verl counts them; never cut without a word."""

import json
import subprocess
import sys

import pytest
from huggingface_hub import constants

from tests.training.conftest import config_of, countdown_rows
from verl_ext.data.parquet import write_rows
from verl_ext.training import preflight
from verl_ext.training.checks.prompts import check_prompts, check_tokenizer
from verl_ext.training.prompt_length import at_most, length_function


@pytest.fixture
def long_rows(tmp_path):
    """24 prompts of 13 or 14 tokens and 8 of 52."""
    rows = countdown_rows(32)
    for index in range(8, 16):
        rows[index]["prompt"] = [{"role": "user", "content": "=" * 52}]
    write_rows(rows, tmp_path / "rows.parquet")
    return tmp_path


def config_with(folder, long_rows, *more):
    return config_of(folder, f"data.train_files={long_rows}/rows.parquet", *more)


@pytest.mark.parametrize("truncation", ["error", "right", "middle"])
def test_prompts_that_would_be_cut_are_refused_with_their_number(folder, long_rows, truncation):
    with pytest.raises(ValueError) as error:
        preflight.check(config_with(folder, long_rows, f"data.truncation={truncation}"))
    assert "data.train_files: 8 of 32 prompts are longer than data.max_prompt_length=32 tokens" in str(error.value)
    assert f"of {long_rows}/rows.parquet, has 52)" in str(error.value)
    assert "data.filter_overlong_prompts=True" in str(error.value)


@pytest.mark.parametrize(
    ("more", "left"),
    [
        (("data.max_prompt_length=52", "data.max_response_length=8"), 32),
        (("data.truncation=left",), 32),
        (("data.filter_overlong_prompts=True",), 24),
        (("data.filter_overlong_prompts=True", "data.train_max_samples=10", "data.shuffle=False"), 8),
    ],
)
def test_what_is_left_is_counted(folder, long_rows, more, left):
    assert check_prompts(config_with(folder, long_rows, *more)) == left


def test_a_filter_that_leaves_less_than_a_batch_is_refused(folder, long_rows):
    more = (
        "data.filter_overlong_prompts=True",
        "data.train_batch_size=32",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
    )
    with pytest.raises(ValueError, match="the training files have 24 rows that are short enough"):
        preflight.check(config_with(folder, long_rows, *more))


@pytest.mark.parametrize("option", ["train_files", "val_files"])
def test_a_filter_that_leaves_nothing_is_refused(folder, tmp_path, option):
    rows = countdown_rows(8)
    for row in rows:
        row["prompt"] = [{"role": "user", "content": "=" * 40}]
    write_rows(rows, tmp_path / "rows.parquet")
    more = ("data.filter_overlong_prompts=True", f"data.{option}={tmp_path}/rows.parquet")
    with pytest.raises(ValueError, match=f"data.{option}: all 8 prompts are longer than data.max_prompt_length=32"):
        preflight.check(config_of(folder, *more))


def test_more_steps_than_the_epochs_have_are_refused(folder):
    with pytest.raises(
        ValueError, match="trainer.total_training_steps=9, but 2 epochs of 32 rows in batches of 8 are 8 "
    ):
        preflight.check(config_of(folder, "trainer.total_training_steps=9", "trainer.total_epochs=2"))


def test_a_model_without_a_tokenizer_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 64, "model_type": "qwen2"}))
    with pytest.raises(ValueError, match="no tokenizer that can be loaded"):
        preflight.check(config_of(folder, f"actor_rollout_ref.model.path={tmp_path}"))


def test_a_damaged_tokenizer_is_named(folder, tmp_path):
    for file in (folder / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="tokenizer.json cannot be read"):
        preflight.check(config_of(folder, f"actor_rollout_ref.model.path={tmp_path}"))


@pytest.fixture
def without_template(folder, tmp_path):
    """The model, whose tokenizer has no chat template."""
    for file in (folder / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path


def test_a_tokenizer_without_a_chat_template_is_refused(folder, without_template):
    """Also where every prompt is so short that none has to be counted."""
    with pytest.raises(
        ValueError, match=f"^The tokenizer of {without_template} has no chat template: set actor_rollout"
    ):
        preflight.check(config_of(folder, f"actor_rollout_ref.model.path={without_template}"))


@pytest.mark.parametrize("where", ["custom_chat_template", "tokenizer_path", "chat_template.jinja"])
def test_a_chat_template_may_come_from_elsewhere(folder, without_template, where):
    more = {
        "custom_chat_template": "actor_rollout_ref.model.custom_chat_template='{{ messages[0].content }}'",
        "tokenizer_path": f"actor_rollout_ref.model.tokenizer_path={folder}/model",
        "chat_template.jinja": "data.shuffle=False",
    }
    if where == "chat_template.jinja":
        (without_template / where).write_text("{{ messages[0].content }}")
    assert check_prompts(config_of(folder, f"actor_rollout_ref.model.path={without_template}", more[where])) == 32


HUB_MODEL = "someone/base-model"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Put the files of a folder into the hub's cache, as those of ``HUB_MODEL``."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def cache(folder):
        model, sha = tmp_path / "cache" / f"models--{HUB_MODEL.replace('/', '--')}", "0" * 40
        (model / "refs").mkdir(parents=True)
        (model / "refs" / "main").write_text(sha)
        (model / "snapshots" / sha).mkdir(parents=True)
        for file in folder.iterdir():
            if file.is_file():
                (model / "snapshots" / sha / file.name).write_bytes(file.read_bytes())
        return f"actor_rollout_ref.model.path={HUB_MODEL}"

    return cache


def test_a_model_of_the_hub_without_a_chat_template_is_refused(folder, without_template, cached):
    """Also offline, and where every prompt is so short that none has to be counted."""
    with pytest.raises(
        ValueError, match=f"^The tokenizer of {HUB_MODEL} has no chat template: set actor_rollout_ref.model.custom"
    ):
        check_tokenizer(config_of(folder, cached(without_template)))


def test_a_chat_template_in_the_cache_of_the_hub_is_seen_without_loading(folder, cached, monkeypatch):
    config = config_of(folder, cached(folder / "model"))
    monkeypatch.setattr("verl_ext.training.checks.prompts.length_function", None)
    check_tokenizer(config)


def test_a_tokenizer_of_the_hub_that_is_not_here_is_refused_offline(folder, tmp_path, cached):
    """Of the model its configuration alone is here."""
    (tmp_path / "config.json").write_text((folder / "model" / "config.json").read_text())
    with pytest.raises(ValueError, match=f"^{HUB_MODEL} has no tokenizer that can be loaded"):
        check_tokenizer(config_of(folder, cached(tmp_path)))


CODE = """
from transformers import PreTrainedTokenizerFast

class OwnTokenizer(PreTrainedTokenizerFast):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.chat_template = "{{ messages[0].content }}"
"""


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_tokenizer_of_its_own_code_is_loaded_where_that_is_trusted(
    folder, without_template, cached, tmp_path, monkeypatch, is_trusted
):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    settings = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": [None, "own.OwnTokenizer"]}}
    (without_template / "tokenizer_config.json").write_text(json.dumps(settings))
    (without_template / "own.py").write_text(CODE)
    config = config_of(folder, cached(without_template), f"actor_rollout_ref.model.trust_remote_code={is_trusted}")
    if is_trusted:
        check_tokenizer(config)
    else:
        with pytest.raises(ValueError, match="no tokenizer that can be loaded: .* contains custom code"):
            check_tokenizer(config)


def test_what_the_template_refuses_is_named(folder, long_rows):
    template = "actor_rollout_ref.model.custom_chat_template=\"{{ raise_exception('no') }}\""
    with pytest.raises(ValueError, match=r"rows.parquet, row 0: the chat template does not take it: no"):
        preflight.check(config_with(folder, long_rows, template))


ROLES = (
    "{% for message in messages %}{% if message.role in ('system', 'user', 'assistant') %}"
    "{{ message.role }}: {{ message.content }}{% endif %}{% endfor %}"
)
"""As Qwen's templates are: of another role they make nothing."""


def config_of_robot(folder, tmp_path, template, *more):
    """Row 3 has a message of a role that no template of a family names."""
    rows = countdown_rows(32)
    rows[3]["prompt"] = [{"role": "robot", "content": "beep"}, *rows[3]["prompt"]]
    write_rows(rows, tmp_path / "rows.parquet")
    chosen = f'actor_rollout_ref.model.custom_chat_template="{template}"'
    return config_of(folder, f"data.train_files={tmp_path}/rows.parquet", "data.truncation=left", chosen, *more)


def test_a_message_that_the_template_leaves_out_is_named(folder, tmp_path):
    with pytest.raises(
        ValueError, match=r"rows.parquet, row 3: the chat template leaves out a message of the role 'robot'"
    ):
        check_prompts(config_of_robot(folder, tmp_path, ROLES))


def test_a_role_that_the_template_refuses_is_named_also_in_a_short_prompt(folder, tmp_path):
    template = "{% if messages[0].role == 'robot' %}{{ raise_exception('no') }}{% endif %}"
    more = ("data.max_prompt_length=900", "+actor_rollout_ref.model.override_config.max_position_embeddings=1024")
    with pytest.raises(ValueError, match=r"rows.parquet, row 3: the chat template does not take it: no"):
        check_prompts(config_of_robot(folder, tmp_path, template, *more))


def test_a_role_that_the_template_knows_passes(folder, tmp_path):
    template = "{% for message in messages %}{{ message.role }}: {{ message.content }}{% endfor %}"
    assert check_prompts(config_of_robot(folder, tmp_path, template)) == 32


def test_short_prompts_need_no_tokenizer(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("verl_ext.training.checks.prompts.length_function", None)
    more = ("data.max_prompt_length=400", "+actor_rollout_ref.model.override_config.max_position_embeddings=512")
    assert check_prompts(config_of(folder, *more)) == 32


COUNT_AS_VERL = """
import json, sys
from transformers import AutoTokenizer
from verl.utils.tokenizer import normalize_token_ids
prompts, model, template, options = json.loads(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(model)
tokenizer.chat_template = template
for messages in prompts:
    tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, **options)
    print(len(normalize_token_ids(tokens)))
"""
TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
    {%- if loop.index0 > 5 %}{% break %}{% endif %}
    <|{{ message.role }}|> {{ message.content | trim }} {{ message | tojson }}
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>{% if thinking %}<think>{% endif %}{% endif %}"""


def test_tokens_are_counted_as_verl_counts_them(tmp_path):
    from verl_ext.small_model.tokenizer import build_tokenizer

    build_tokenizer(max_length=256).save_pretrained(tmp_path)
    prompts = [
        [{"role": "user", "content": "1 + 1 = ?"}],
        [{"role": "system", "content": " é — ü "}, {"role": "user", "content": "\\frac{1}{2}<|endoftext|> x" * 9}],
    ]
    options = {"thinking": True, "bos_token": "<s>"}
    arguments = json.dumps([prompts, str(tmp_path), TEMPLATE, options])
    done = subprocess.run([sys.executable, "-c", COUNT_AS_VERL, arguments], capture_output=True, text=True, check=True)
    length = length_function(str(tmp_path), TEMPLATE, options)
    counted = [length(messages) for messages in prompts]
    assert counted == [int(line) for line in done.stdout.split()]
    assert all(tokens <= at_most(messages) for tokens, messages in zip(counted, prompts, strict=True))
