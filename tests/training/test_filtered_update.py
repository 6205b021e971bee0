"""The update on the kept samples is the update on all samples, on the real FSDP2 engine."""

from pathlib import Path

import pytest
import torch

from tests.training.learner import updated_weights
from verl_ext.small_model.architecture import Architecture, random_weights
from verl_ext.small_model.tokenizer import build_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer(max_length=128)
    architecture = Architecture(hidden_size=64, num_layers=1, num_heads=2, num_key_value_heads=1, intermediate_size=64)
    random_weights(architecture, tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows_with(advantages: list[float]) -> list[dict]:
    generator = torch.Generator().manual_seed(1)

    def tokens(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(10, 200, (length,), generator=generator).tolist()

    return [
        {"prompt": tokens(3, 9), "response": tokens(1, 12), "advantage": advantage, "old_shift": 0.05 * (row % 5) - 0.1}
        for row, advantage in enumerate(advantages)
    ]


def num_tokens(rows: list[dict]) -> int:
    return sum(len(row["response"]) for row in rows)


MIXED = [-1.0, 0.0, -1.0, -1.0, 0.0, -1.0, 0.0]
ONE_LEFT = [0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0]
"""On two ranks, one of them keeps nothing and gets a padding row."""

CASES = {"mixed": MIXED, "one left": ONE_LEFT}


def filtered(rows: list[dict]) -> list[dict]:
    """The kept rows under ``algorithm.loss_normalizer=all``: their advantages carry the share of tokens that is left."""
    kept = [row for row in rows if row["advantage"]]
    share = num_tokens(kept) / num_tokens(rows)
    return [row | {"advantage": row["advantage"] * share} for row in kept]


@pytest.fixture(scope="module")
def weights(model):
    """Per number of ranks and case: weights after no update, after the unfiltered and after the filtered one."""
    results = {}
    for num_ranks in (1, 2):
        cases = []
        for advantages in CASES.values():
            rows = rows_with(advantages)
            cases += [[row | {"advantage": 0.0} for row in rows], rows, filtered(rows)]
        triples = iter(updated_weights(model, cases, num_ranks=num_ranks))
        results[num_ranks] = {name: (next(triples), next(triples), next(triples)) for name in CASES}
    return results


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("num_ranks", [1, 2])
def test_filtered_equals_unfiltered(weights, case, num_ranks):
    start, everything, kept = weights[num_ranks][case]
    moved = max(float((everything[name] - start[name]).abs().max()) for name in start)
    assert moved > 1e-4, "the update must move the weights for the comparison to mean anything"
    for name in start:
        torch.testing.assert_close(kept[name], everything[name], rtol=0, atol=1e-5 * moved)


def test_one_and_two_ranks_agree(weights):
    _, one, _ = weights[1]["mixed"]
    _, two, _ = weights[2]["mixed"]
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-7)
