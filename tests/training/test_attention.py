"""Which attention a run gets, and what is refused before Ray starts."""

import pytest
from omegaconf import OmegaConf

from verl_ext.training import attention
from verl_ext.training.configuration import compose_config

MODEL = "actor_rollout_ref.model.override_config.attn_implementation"
CRITIC = "critic.model.override_config.attn_implementation"


def can_import(*packages):
    return lambda package: None if package in packages else f"ModuleNotFoundError: No module named '{package}'"


def composed(*overrides: str, device: str = "gpu"):
    return compose_config([*overrides, f"{CRITIC}=${{{MODEL}}}"], device=device)


def test_without_flash_attn_pytorchs_own_is_taken_for_actor_and_critic():
    """This environment has no flash-attn; verl's own default would be flash_attention_2."""
    config = compose_config([], device="gpu")
    assert OmegaConf.select(config, MODEL) == OmegaConf.select(config, CRITIC) == "packed_sdpa"
    attention.check_attention(config)
    assert attention.described(config).startswith("attention: packed_sdpa, PyTorch's own")


def test_on_a_cpu_prompts_are_shared_unless_logits_are_whole():
    config = compose_config(["critic.model.override_config.attn_implementation=auto"], device="cpu")
    assert OmegaConf.select(config, MODEL) == "shared_prompts_sdpa"
    assert OmegaConf.select(config, CRITIC) == "packed_sdpa"
    attention.check_attention(config)
    shared = "actor_rollout_ref.model.use_fused_kernels=True"
    assert "a prompt is computed once" in attention.described(compose_config([shared], device="cpu"))
    whole = "actor_rollout_ref.model.use_fused_kernels=False"
    assert "prompts are not shared" in attention.described(compose_config([whole], device="cpu"))
    of_user = compose_config([f"{MODEL}=packed_sdpa"], device="cpu")
    assert attention.described(of_user) == "attention: packed_sdpa, PyTorch's own"


def test_sharing_prompts_on_an_accelerator_is_refused():
    with pytest.raises(ValueError, match=rf"{MODEL}=shared_prompts_sdpa is for CPUs"):
        attention.check_attention(compose_config([f"{MODEL}=shared_prompts_sdpa"], device="gpu"))


@pytest.mark.parametrize(("device", "expected"), [("gpu", "flash_attention_2"), ("cpu", "shared_prompts_sdpa")])
def test_flash_attn_is_taken_where_it_can_be_imported(device, expected):
    config = OmegaConf.create(
        {
            "trainer": {"device": device},
            "actor_rollout_ref": {"model": {"override_config": {"attn_implementation": "auto"}}},
            "critic": {"model": {"override_config": {"attn_implementation": f"${{{MODEL}}}"}}},
        }
    )
    attention.choose(config, import_error=can_import("flash_attn"))
    assert OmegaConf.select(config, MODEL) == OmegaConf.select(config, CRITIC) == expected


def test_a_choice_of_the_users_stays():
    config = compose_config([f"{MODEL}=eager"], device="gpu")
    assert OmegaConf.select(config, MODEL) == OmegaConf.select(config, CRITIC) == "eager"
    assert attention.described(config) == "attention: eager"


@pytest.mark.parametrize("option", [MODEL, CRITIC])
def test_flash_attn_that_cannot_be_imported_is_refused(option):
    config = compose_config([f"{option}=flash_attention_2"], device="gpu")
    with pytest.raises(
        ValueError, match=rf"{option}=flash_attention_2 needs the package flash_attn, which cannot be"
    ) as e:
        attention.check_attention(config, import_error=can_import())
    assert "FLASH_ATTN=1 bash scripts/install.sh --gpu" in str(e.value)
    attention.check_attention(config, import_error=can_import("flash_attn"))


def test_a_package_that_is_there_and_broken_says_how(tmp_path, monkeypatch):
    """What flash-attn built for another torch does: it is found, and fails at its import."""
    (tmp_path / "flash_of_another_torch.py").write_text("raise OSError('undefined symbol: _ZN3c104cuda')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert attention.import_error("flash_of_another_torch") == "OSError: undefined symbol: _ZN3c104cuda"
    assert attention.import_error("json") is None


@pytest.mark.parametrize("options", list(attention.SEQUENCE_PARALLEL.values()))
def test_sequence_parallelism_without_flash_attn_is_refused(options):
    """verl splits rows inside flash-attn's function only: with another one each rank would attend to its part alone."""
    for option in options:
        with pytest.raises(ValueError, match="splits rows between ranks, which verl does with flash-attn only"):
            attention.check_attention(compose_config([f"{option}=2"], device="gpu"))
