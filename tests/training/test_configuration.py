"""What is composed is what hydra composes, though it reads the files of a choice once."""

import pytest
from hydra.errors import HydraException

from verl_ext.training import configuration
from verl_ext.training.configuration import GROUPS

READ_ONCE = {
    "values": [
        "device=cpu", "data.seed=3", "data.seed=5", "+data.mine={a: [1, x]}", "++data.seed=7", "precision=float32",
        "~actor_rollout_ref.rollout.multi_turn", "algorithm.rollout_correction={rollout_is: token}",
        "actor_rollout_ref.model.path=${data.train_files}", "trainer.logger=[]", "data.train_files='a, b.parquet'",
    ],
    "a preset and a recipe": ["device=gpu", "preset=qwen3-4b", "recipe=ppo", "critic.optim.lr=1e-3"],
}  # fmt: skip
READ_AGAIN = {
    "a choice of verl's": ["device=cpu", "data.seed=3", "model_engine=dp"],
    "a folder's name for a section": ["device=cpu", "data.seed=3", "data={seed: 4}"],
    "hydra's own": ["device=cpu", "hydra.job.name=mine"],
    "a file in another place": ["device=cpu", "+model@actor_rollout_ref.other=hf_model"],
}
REFUSED = [
    ["device=cpu", "data.seed=1,2"],
    ["device=cpu", "data.sed=1"],
    ["device=cpu", "data.seed={"],
    ["device=cpu", "+data.train_batch_size=1"],
    ["device=cpu", "=1"],
]


@pytest.mark.parametrize("case", READ_ONCE)
def test_it_is_what_hydra_composes(case, monkeypatch):
    overrides = READ_ONCE[case]
    expected = configuration._composed_by_hydra(tuple(overrides))
    configuration._composed_of_files(tuple(word for word in overrides if word.partition("=")[0] in GROUPS))
    monkeypatch.setattr(configuration, "_composed_by_hydra", None)  # would fail if it were called again
    config = configuration._compose(overrides)
    assert config == expected
    assert config._get_flag("struct")


@pytest.mark.parametrize("case", READ_AGAIN)
def test_what_may_choose_files_is_left_to_hydra(case, monkeypatch):
    monkeypatch.setattr(configuration, "_composed_by_hydra", lambda overrides: ["hydra's", *overrides])
    assert configuration._compose(READ_AGAIN[case]) == ["hydra's", *READ_AGAIN[case]]


def test_who_changes_a_configuration_changes_no_other():
    first = configuration._compose(["device=cpu", "data.seed=3"])
    first.data.seed = 4
    first.trainer.logger.append("mine")
    second = configuration._compose(["device=cpu"])
    assert second.data.seed is None
    assert "mine" not in second.trainer.logger


@pytest.mark.parametrize("overrides", REFUSED, ids=" ".join)
def test_what_hydra_refuses_is_refused_with_its_words(overrides):
    with pytest.raises((HydraException, ValueError)) as expected:
        configuration._composed_by_hydra(tuple(overrides))
    with pytest.raises((HydraException, ValueError)) as error:
        configuration._compose(overrides)
    assert (type(error.value), str(error.value)) == (type(expected.value), str(expected.value))
