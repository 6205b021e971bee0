"""What verl finds after loading the plugin, and what it does not when there is an accelerator."""

import json
import subprocess
import sys

import pytest

from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.names import (
    OUR_ESTIMATORS,
    OUR_LOSSES,
    OUR_TRAINERS,
    VERL_ESTIMATORS,
    VERL_LOSSES,
    VERL_TRAINERS,
)

PROBE = """
import json, sys
import verl
before = sorted(m for m in sys.modules if m.startswith("verl_ext"))
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.v1 import get_trainer_cls, trainer_base
from verl.workers.engine.base import EngineRegistry
import verl.workers.engine
from verl.utils.device import get_device_name
print("RESULT" + json.dumps({
    "before": before,
    "estimators": sorted(core_algos.ADV_ESTIMATOR_REGISTRY),
    "losses": sorted(core_algos.POLICY_LOSS_REGISTRY),
    "trainers": sorted(trainer_base.TRAINER_REGISTRY),
    "trainer": get_trainer_cls("sign_filter_sync").__name__,
    "engines": sorted(str(key) for key in EngineRegistry._engines["language_model"]["fsdp2"]),
    "cpu_modules": sorted(m for m in sys.modules if m.startswith("verl_ext.cpu")),
}))
"""


def probe(platform: str | None) -> dict:
    import os

    env = {name: value for name, value in os.environ.items() if name != "VERL_PLATFORM"}
    env |= {} if platform is None else {"VERL_PLATFORM": platform}
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    return json.loads(line.removeprefix("RESULT"))


@pytest.fixture(scope="module")
def on_cpu() -> dict:
    return probe("cpu")


def test_verl_knows_the_estimators(on_cpu):
    assert set(OUR_ESTIMATORS) <= set(on_cpu["estimators"])


def test_the_names_of_verls_own_estimators_are_current(on_cpu):
    """The check before a launch lists them without importing verl."""
    assert set(on_cpu["estimators"]) == {*OUR_ESTIMATORS, *VERL_ESTIMATORS}


def test_the_names_of_losses_and_trainers_are_current(on_cpu):
    """verl 0.9.1's own registries."""
    assert on_cpu["losses"] == sorted([*OUR_LOSSES, *VERL_LOSSES])
    assert on_cpu["trainers"] == sorted([*OUR_TRAINERS, *VERL_TRAINERS])
    assert on_cpu["trainer"] == "SignFilterTrainer"


def test_the_cpu_has_an_engine(on_cpu):
    assert "cpu" in on_cpu["engines"]


def test_importing_verl_loads_no_estimator_yet(on_cpu):
    """Rollout servers and reward workers import verl too; they do not pay for what they do not use."""
    assert not [name for name in on_cpu["before"] if name.startswith(("verl_ext.objectives", "verl_ext.training"))]


def test_nothing_of_the_cpu_backend_loads_elsewhere():
    elsewhere = probe("nvidia")
    assert elsewhere["cpu_modules"] == []
    assert "cpu" not in elsewhere["engines"]
    assert set(OUR_ESTIMATORS) <= set(elsewhere["estimators"])


def test_verls_own_entry_point_composes_our_configuration():
    """``python -m verl.trainer.main_ppo --config-path verl_ext/training/config --config-name trainer device=cpu``."""
    code = """
import verl_ext.plugin
from pathlib import Path
from hydra import compose, initialize_config_dir
from importlib.util import find_spec
verl = Path(find_spec("verl").origin).parent / "trainer/config"
with initialize_config_dir(config_dir=str(Path(verl_ext.plugin.__file__).parent / "training/config"), version_base=None):
    config = compose("trainer", overrides=["device=cpu", f"hydra.searchpath=[file://{verl}]"])
print(config.ray_kwargs.ray_init.runtime_env.env_vars.VERL_PLATFORM)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "cpu\n", done.stderr


def test_the_lists_of_names_agree():
    assert set(OUR_ESTIMATORS) == set(ESTIMATORS)
