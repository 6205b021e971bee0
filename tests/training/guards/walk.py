"""A run's metrics, step after step, past a guard; and the options of a run, as far as guards read them."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from verl_ext.training.configuration import CONFIG_DIR
from verl_ext.training.guards.guard import Guard


def trips(guard: Guard, rows: Iterable[Mapping[str, float]], first: int = 1) -> dict[int, str]:
    """What the guard says, by step."""
    found = {step: guard.see(step, row) for step, row in enumerate(rows, start=first)}
    return {step: trip.said for step, trip in found.items() if trip is not None}


@cache
def _defaults() -> Any:
    return OmegaConf.load(CONFIG_DIR / "trainer.yaml")


def options_with(*overrides: str) -> Any:
    """This package's own options with some of them changed, without verl's: composing all of them takes a second."""
    saved = {"load_contents": ["model", "optimizer", "extra"]}
    of_verl = {
        "trainer": {"resume_mode": "auto", "save_freq": 1, "test_freq": 1},
        "actor_rollout_ref": {"actor": {"fsdp_config": {"dtype": "bfloat16"}, "checkpoint": saved}},
        "critic": {"enable": False},
    }
    return OmegaConf.merge(_defaults(), of_verl, OmegaConf.from_dotlist(list(overrides)))
