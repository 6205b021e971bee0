import pytest
import torch

from verl_ext.dynamics.policy import Policy
from verl_ext.small_model.build import TINY, random_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model folder with random weights."""
    return random_model(tmp_path_factory.mktemp("model") / "tiny", architecture=TINY)


@pytest.fixture(scope="session")
def policy(tiny):
    return Policy(tiny)


@pytest.fixture(scope="session")
def batch(policy):
    """Responses of different lengths to two prompts."""
    generator = torch.Generator().manual_seed(0)
    prompts = [policy.prompt_ids("1 2 3 = 6"), policy.prompt_ids("4 5")]
    texts = [["1+2+3", "6", "12"], ["4*5", "9", "4+5"]]
    assert policy.sample(prompts[0], 2, 3, generator).token_BT.shape[0] == 2
    return [policy.encoded(ids, answers) for ids, answers in zip(prompts, texts, strict=True)]
