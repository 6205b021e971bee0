"""The numerics contract's options, verdicts and table; ``tests/end_to_end/test_numerics.py`` makes real runs."""

import json
import math

import pytest

from tests.training.conftest import save_byte_tokenizer
from verl_ext.doctor.__main__ import main
from verl_ext.doctor.numerics_result import BFLOAT16, FLOAT32, Numerics, read_numerics, table
from verl_ext.doctor.numerics_runs import ADAPTER, FULL, MERGED, Case, Measure, overrides_of, write_data
from verl_ext.training.configuration import compose_config
from verl_ext.training.step.token_gaps import StepGaps, TokenGap

CASE = Case(model="tiny", path="tiny", weights=FULL)


def step(number=1, mean=1e-9, largest=1e-8, tokens=1000):
    worst = TokenGap("prompt_0", 7, 65, "A|", 0.5, 0.5 + largest)
    return StepGaps(number, tokens, mean, largest, largest, [worst])


def numerics(*steps, precision="float32", ratio=1e-6, clipped=0.0):
    return Numerics(CASE, precision, steps or (step(1), step(2)), ratio, clipped)


def test_a_healthy_pair_has_no_fault():
    assert list(numerics().faults()) == []
    assert list(numerics(step(1, 0.007, 0.2), step(2, 0.008, 0.3), precision="bfloat16", ratio=0.05).faults()) == []


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (numerics(step(1, mean=2 * FLOAT32.mean)), "mean gap 2e-05 > 1e-05"),
        (numerics(step(1, largest=2e-3)), "largest gap 0.002 > 0.001"),
        (numerics(step(1, mean=0.03, largest=0.1), precision="bfloat16"), "mean gap 0.03 > 0.02"),
        (numerics(ratio=0.01), "ratio off 1 by 0.01 > 0.001"),
        (numerics(clipped=0.02), "clipped 0.02 > 0"),
        (numerics(step(1, 1e-8), step(2, 2e-6)), "grows from 1e-08 to 2e-06 though no weight has moved"),
        (numerics(step(1, math.nan)), "mean gap nan > 1e-05"),
        (numerics(ratio=math.nan), "ratio off 1 by nan > 0.001"),
        (numerics(step(1, 0.0, 0.0, tokens=0)), "no token was compared"),
    ],
)
def test_each_fault_is_named(found, fault):
    assert fault in list(found.faults())


def test_float32_noise_may_grow():
    assert list(numerics(step(1, 1e-10), step(2, 9e-8)).faults()) == []
    assert BFLOAT16.ratio < 0.2, "within the clip"


def test_steps_are_weighed_by_their_tokens():
    found = numerics(step(1, 1e-9, tokens=100), step(2, 4e-9, tokens=200))
    assert found.mean == pytest.approx(3e-9)
    assert found.num_tokens == 300


def test_the_table():
    wrong = numerics(step(1, 1e-9), step(2, 1e-9, 0.25))
    lines = table([numerics(), wrong, CASE]).splitlines()
    assert lines[2].endswith("| 0% | ok |")
    assert (
        '| tiny | full | float32 | 2,000 | 1.0e-09 | 2.5e-01 | step 2, token 7 `"A\\|"` 0.5000 / 0.7500 |' in lines[3]
    )
    assert lines[3].endswith("| FAILS: largest gap 0.25 > 0.001 |")
    assert lines[4] == "| tiny | full | | | | | | | | the run failed |"
    assert {line.replace("\\|", "").count("|") for line in lines} == {11}


def test_a_run_without_numbers_is_said(tmp_path):
    with pytest.raises(ValueError, match="has no numbers of a run"):
        read_numerics(CASE, tmp_path)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 128}
    config = {"model_type": "qwen2", "vocab_size": 256, "max_position_embeddings": 512, **sizes}
    (folder / "config.json").write_text(json.dumps(config))
    save_byte_tokenizer(folder)
    return folder


def test_the_runs_options_are_options(model, tmp_path):
    """Two updates a step on old log-probs of a pass before them, at rate 0; the caller's options win."""
    measure = Measure(folder=tmp_path, steps=2, tokens=32, dtype="bfloat16", options=("data.train_batch_size=6",))
    write_data(tmp_path, 2)
    case = Case(model="m", path=str(model), weights=MERGED, adapter=tmp_path / "adapter")
    config = compose_config(overrides_of(case, measure), device="cpu")
    assert config.actor_rollout_ref.actor.optim.lr == 0.0
    assert config.algorithm.one_pass is False
    assert config.data.train_batch_size == 6
    assert config.data.max_prompt_length == 48
    assert config.actor_rollout_ref.rollout.dtype == "bfloat16"
    assert config.actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype == "bfloat16"
    assert config.actor_rollout_ref.model.lora.merge is True
    plain = overrides_of(Case(model="m", path=str(model), weights=FULL), measure)
    assert not [option for option in plain if "lora" in option]
    assert ADAPTER != MERGED


def test_a_model_without_a_chat_template_gets_its_prompts_as_they_are(model, tmp_path):
    (model / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    options = overrides_of(Case(model="m", path=str(model), weights=FULL), Measure(folder=tmp_path))
    assert "actor_rollout_ref.model.custom_chat_template='{{ messages[0].content }}'" in options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name models with --model"),
        (["--model", "m", "--weights", "half"], "there is no 'half', only full, lora, merged"),
        (["--model", "m", "--gpu"], "--gpu is no option of numerics"),
        (["--model", "/no/such/model"], "--model /no/such/model is neither a folder nor in the Hugging Face cache"),
        (["--model", "m", "--steps", "0"], "--steps and --tokens must be >= 1, got 0"),
    ],
)
def test_a_mistake_in_the_command(arguments, message, capsys):
    assert main(["numerics", *arguments]) == 2
    assert message in capsys.readouterr().err
