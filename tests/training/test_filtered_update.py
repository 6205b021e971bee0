"""The update on the kept samples is the update on all samples, and padding has no part in it, on the real FSDP2 engine."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from tests.training.learner import Case, updates
from verl_ext.small_model.architecture import Architecture, random_weights
from verl_ext.small_model.tokenizer import build_tokenizer
from verl_ext.training.step.loss_share import kept_share

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


MODES = {
    "token-mean": {"loss_agg_mode": "token-mean"},
    "seq-mean-token-sum": {"loss_agg_mode": "seq-mean-token-sum"},
    "seq-mean-token-mean": {"loss_agg_mode": "seq-mean-token-mean"},
    "seq-mean-token-sum-norm": {"loss_agg_mode": "seq-mean-token-sum-norm", "loss_scale_factor": 12},
    "token-sum": {"loss_agg_mode": "token-sum"},
}


def filtered(rows: list[dict], options: dict) -> Case:
    """The kept rows under ``algorithm.loss_normalizer=all``, as the trainer hands them to the workers."""
    kept = [row for row in rows if row["advantage"]]
    actor = OmegaConf.create({"policy_loss": {"loss_mode": "vanilla"}} | options)
    tokens, responses = (num_tokens(kept), num_tokens(rows)), (len(kept), len(rows))
    return Case(kept, options, {"advantage_factor": kept_share(actor, tokens=tokens, responses=responses)})


THREE = [{"prompt": [11, 12], "response": [30 + n, 40 + n], "advantage": -1.0, "old_shift": 0.0} for n in range(3)]
"""Of one length, so that the paper's loss, a mean within micro-batches, does not depend on the rank they are on."""
PAPER = {"loss_mode": "paper", "clip_ratio": 0.2}
OTHERS = {
    "paper": Case(THREE, PAPER),
    "paper, 3 of a mini-batch of 4": Case(THREE, PAPER, {"whole_size": 4}),
    "entropy, 3 of 4": Case(THREE, PAPER | {"entropy_coeff": 0.01}, {"whole_size": 4}),
    "entropy": Case(THREE, PAPER | {"entropy_coeff": 0.01}),
    "schedule stays": Case(THREE, PAPER, {"steps_schedule": False}),
    "broken": Case([row | {"advantage": float("nan")} for row in THREE]),
}


@pytest.fixture(scope="module")
def results(model):
    """Per number of ranks: per loss and case the updates on nothing, everything and the kept rows; and the others."""
    cases, names = [], []
    for mode, options in MODES.items():
        for name, advantages in CASES.items():
            rows = rows_with(advantages)
            nothing = Case([row | {"advantage": 0.0} for row in rows], options)
            cases += [nothing, Case(rows, options), filtered(rows, options)]
            names += [(mode, name, which) for which in ("nothing", "everything", "kept")]
    cases, names = [*cases, *OTHERS.values()], [*names, *OTHERS]
    return {ranks: dict(zip(names, updates(model, cases, num_ranks=ranks), strict=True)) for ranks in (1, 2)}


def moves(results, num_ranks, name):
    """What an update changes, per weight."""
    start = results[num_ranks]["token-mean", "mixed", "nothing"].weights
    return {key: value - start[key] for key, value in results[num_ranks][name].weights.items()}


def assert_same_move(left, right, tolerance=1e-5):
    size = max(float(value.abs().max()) for value in right.values())
    assert size > 1e-4, "the update must move the weights for the comparison to mean anything"
    for name, value in right.items():
        torch.testing.assert_close(left[name], value, rtol=0, atol=tolerance * size)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_ranks", [1, 2])
def test_filtered_equals_unfiltered(results, num_ranks, mode, case):
    assert_same_move(
        moves(results, num_ranks, (mode, case, "kept")), moves(results, num_ranks, (mode, case, "everything"))
    )
    kept, everything = (results[num_ranks][mode, case, which].metrics for which in ("kept", "everything"))
    assert kept["actor/pg_loss"] == pytest.approx(everything["actor/pg_loss"], rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_one_and_two_ranks_agree(results, mode):
    """Seven rows on two ranks come with a row of padding."""
    one, two = (moves(results, num_ranks, (mode, "mixed", "everything")) for num_ranks in (1, 2))
    assert_same_move(one, two, tolerance=1e-4)


@pytest.mark.parametrize("name", ["paper", "entropy", "paper, 3 of a mini-batch of 4"])
def test_padding_does_not_dilute_the_papers_loss(results, name):
    """Three rows and one of padding on two ranks weigh as three rows on one: 1, not 3/4; or 3/4, not 9/16."""
    assert_same_move(moves(results, 2, name), moves(results, 1, name), tolerance=1e-4)
    assert results[2][name].metrics["actor/pg_loss"] == pytest.approx(
        results[1][name].metrics["actor/pg_loss"], rel=1e-4
    )


@pytest.mark.parametrize("num_ranks", [1, 2])
@pytest.mark.parametrize(
    ("rest", "whole"), [("paper, 3 of a mini-batch of 4", "paper"), ("entropy, 3 of 4", "entropy")]
)
def test_the_rest_of_the_papers_mini_batches_weighs_its_share(results, num_ranks, rest, whole):
    """The whole loss does, entropy bonus included; what is reported is the loss before that."""
    expected = {name: value * 3 / 4 for name, value in moves(results, num_ranks, whole).items()}
    assert_same_move(moves(results, num_ranks, rest), expected)
    for metric in ("actor/pg_loss", "loss", "actor/entropy_loss"):
        if metric in results[num_ranks][whole].metrics:
            of_rest, of_whole = (results[num_ranks][name].metrics[metric] for name in (rest, whole))
            assert of_rest == pytest.approx(of_whole, rel=1e-5)
    gradient, of_whole = (results[num_ranks][name].metrics["grad_norm"][0] for name in (rest, whole))
    assert gradient == pytest.approx(of_whole * 3 / 4, rel=1e-4)


def test_the_schedule_moves_with_the_last_part_of_a_step(results):
    assert "lr" in results[1]["paper"].metrics
    assert "lr" not in results[1]["schedule stays"].metrics


def test_verl_reports_a_broken_update_and_skips_it(results):
    """What the guard of updates that are no numbers looks at."""
    assert not torch.tensor(results[1]["broken"].metrics["grad_norm"]).isfinite().any()
    assert all((move == 0).all() for move in moves(results, 1, "broken").values())
