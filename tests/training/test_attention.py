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


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_without_flash_attn_pytorchs_own_is_taken_for_actor_and_critic(device):
    """This environment has no flash-attn; verl's own default would be flash_attention_2."""
    config = compose_config([], device=device)
    assert OmegaConf.select(config, MODEL) == OmegaConf.select(config, CRITIC) == "packed_sdpa"
    attention.check_attention(config)
    assert attention.described(config).startswith("attention: packed_sdpa, PyTorch's own")


@pytest.mark.parametrize(("device", "expected"), [("gpu", "flash_attention_2"), ("cpu", "packed_sdpa")])
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
