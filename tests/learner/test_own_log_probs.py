"""An update whose old log-probs are its own is the update on log-probs that a pass beforehand has computed, to the bit."""

import random
from functools import cache
from itertools import chain, product

import pytest
import torch

from tests.learner.test_chunked_update import CHUNKED
from tests.learner.test_packed_update import PACKED
from tests.learner.test_shared_prompts_update import SHARED
from tests.objectives.grouped import UNDER_TEST, advantages_of
from tests.training.learner import Case, updates
from tests.training.test_filtered_update import MODES, model  # noqa: F401
from verl_ext.objectives.catalog import ROWS
from verl_ext.objectives.names import OUR_LOSSES, VERL_LOSSES
from verl_ext.objectives.objective import SignWeights

pytestmark = pytest.mark.slow

OBJECTIVES = [*((row.name, {}) for row in ROWS if isinstance(row.formula, SignWeights)), *UNDER_TEST]
LOSSES = {name: {"loss_mode": name} for name in (*VERL_LOSSES, *OUR_LOSSES) if name != "bypass_mode"}
LOSSES["dro"]["dro_beta"] = 1.0
"""bypass_mode takes the rollout's log-probs for old ones."""
LAYOUTS = {"shared prompts": (1, SHARED), "padded": (1, CHUNKED), "packed": (2, PACKED)}
"""Ranks and options of the model. Each prompt once with log-probs in chunks, as a CPU's runs have them; padded rows with the same
head, which ``attn_implementation=sdpa`` brings back; packed rows with whole logits, as accelerators have them."""
MAX_TOKENS = 40
"""Several micro-batches: two to four of the rows apart, and a prompt with its responses."""


def rows_of(number: int, name: str, options: dict) -> list[dict]:
    """Three prompts of four responses of random lengths and outcomes, under an objective."""
    draw = random.Random(number)
    outcomes = [[draw.random() < 0.5 for _ in range(4)] for _ in range(3)]
    advantages = chain.from_iterable(advantages_of(name, group, **options).tolist() for group in outcomes)

    def tokens(low: int, high: int) -> list[int]:
        return [draw.randint(10, 199) for _ in range(draw.randint(low, high))]

    prompts = [tokens(3, 9) for _ in outcomes]
    return [
        {"prompt": prompts[number // 4], "response": tokens(1, 12), "advantage": advantage, "old_shift": 0.0}
        for number, advantage in enumerate(advantages)
    ]


def options_of(number: int, loss: str) -> dict:
    """Every loss with each way of averaging over the responses in turn, with and without a bonus for entropy."""
    mode = list(MODES)[number % len(MODES)]
    return LOSSES[loss] | MODES[mode] | {"entropy_coeff": 0.01 * (number % 2)}


@pytest.fixture(scope="module")
def results(model):  # noqa: F811
    """Of a layout, per (objective, loss): the update on computed log-probs, and the one on its own."""
    names, cases = [], []
    for number, (place, loss) in enumerate(product(range(0, len(OBJECTIVES), 5), LOSSES)):
        objective, of_objective = OBJECTIVES[(number + place) % len(OBJECTIVES)]  # each loss meets three of them
        rows, options = rows_of(number, objective, of_objective), options_of(number, loss)
        cases += [Case(rows, options), Case(rows, options, {"own_log_probs": True})]
        names.append((objective, *of_objective.values(), loss))
    assert {name[0] for name in names} == {name for name, _ in OBJECTIVES}

    @cache
    def made_in(layout):
        num_ranks, options = LAYOUTS[layout]
        made = updates(model, cases, num_ranks=num_ranks, model_options=options, max_tokens=MAX_TOKENS)
        return dict(zip(names, zip(made[::2], made[1::2], strict=True), strict=True))

    return made_in


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_update_is_the_same_to_the_bit(results, layout):
    num_moved = 0
    first, _ = next(iter(results(layout).values()))
    for name, (computed, own) in results(layout).items():
        assert all(torch.equal(own.weights[key], weight) for key, weight in computed.weights.items()), name
        num_moved += any(not torch.equal(first.weights[key], weight) for key, weight in computed.weights.items())
    assert num_moved > 0.9 * len(results(layout))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_logged_is_the_same(results, layout):
    for name, (computed, own) in results(layout).items():
        logged = {key for key in computed.metrics if not key.startswith("perf/") and key != "mfu"}
        assert own.metrics.keys() - computed.metrics.keys() == {"rollout_gap"}
        for key in logged:
            assert own.metrics[key] == computed.metrics[key], (name, key)
        assert own.metrics["rollout_gap"] == [0.0]


# ---------------------------------------------------------------------- a rollout with other weights

SHIFT = 0.5
RIGHT = [{"prompt": [11, 12], "response": [30 + n, 40], "advantage": -1.0, "old_shift": 0.0} for n in range(4)]
STALE = [row | {"rollout_shift": SHIFT * (number % 2)} for number, row in enumerate(RIGHT)]
"""On two ranks, one of them has all that is wrong."""
GAP_OF_OTHERS = 0.25
SAID = {"own_log_probs": True}
WATCHED = {
    "right": Case(RIGHT, {}, SAID | {"max_rollout_gap": 1e-9}),
    "stale": Case(STALE, {}, SAID | {"max_rollout_gap": 1e-5}),
    "stale, no limit": Case(STALE, {}, SAID),
    "stale within the limit": Case(STALE, {}, SAID | {"max_rollout_gap": 0.02}),
    "others are stale": Case(
        RIGHT, {}, SAID | {"max_rollout_gap": 0.02, "num_kept_tokens": 10, "gap_of_others": GAP_OF_OTHERS}
    ),
    "others are right": Case(RIGHT, {}, SAID | {"max_rollout_gap": 0.02, "num_kept_tokens": 10, "gap_of_others": 0.0}),
    "others are no number": Case(
        RIGHT, {}, SAID | {"max_rollout_gap": 0.02, "num_kept_tokens": 10, "gap_of_others": float("nan")}
    ),
    "no advantage": Case([row | {"advantage": 0.0} for row in RIGHT], {}, SAID),
}


@pytest.fixture(scope="module")
def watched(model):  # noqa: F811
    @cache
    def made_in(layout):
        num_ranks, options = LAYOUTS[layout]
        made = updates(model, list(WATCHED.values()), num_ranks=num_ranks, model_options=options)
        return dict(zip(WATCHED, made, strict=True))

    return made_in


def has_moved(watched, layout: str, name: str) -> bool:
    start = watched(layout)["no advantage"].weights
    return any(not torch.equal(weight, start[key]) for key, weight in watched(layout)[name].weights.items())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["stale", "others are stale", "others are no number"])
def test_stale_weights_are_not_learned_from(watched, layout, name):
    """Nor is any number reported of the update that was not made."""
    assert not has_moved(watched, layout, name)
    assert watched(layout)[name].metrics.keys() == {"rollout_gap"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["right", "stale, no limit", "stale within the limit", "others are right"])
def test_what_may_be_learned_from_is(watched, layout, name):
    assert has_moved(watched, layout, name)
    assert watched(layout)[name].metrics["grad_norm"][0] > 0


def test_the_gap_is_that_of_all_ranks_and_of_the_others(watched):
    """Half of the tokens are off by a factor of exp(0.5); eight tokens here, two elsewhere."""
    own = watched("padded")["stale"].own["old_log_probs"]
    probs = torch.cat([row for number, row in enumerate(own) if number % 2]).double().exp()
    expected = float(probs.sum()) * (2.718281828459045**SHIFT - 1) / 8
    for layout in LAYOUTS:
        (gap,) = watched(layout)["stale"].metrics["rollout_gap"]
        assert gap == pytest.approx(expected, rel=1e-5)
        (gap,) = watched(layout)["others are stale"].metrics["rollout_gap"]
        assert gap == pytest.approx(GAP_OF_OTHERS * 2 / 10)


def test_the_entropy_comes_along(watched):
    """A model of random weights is nearly uniform over its vocabulary."""
    entropies = torch.cat(watched("shared prompts")["right"].own["entropy"])
    assert len(entropies) == 8
    assert ((entropies > 5) & (entropies < 7)).all()
