"""The gap of a step's tokens by hand, where it is largest, and what padding and broken numbers do to it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.training.step.token_gaps import StepGaps, TokenGap, read, step_gaps, write


def gaps_of(actor, rollout, mask, tokens=None):
    tokens = torch.arange(torch.tensor(mask).numel()).reshape(torch.tensor(mask).shape) if tokens is None else tokens
    return step_gaps(
        3,
        torch.tensor(actor).log(),
        torch.tensor(rollout).log(),
        torch.tensor(mask),
        tokens,
        [f"prompt_{row}" for row in range(len(actor))],
        decode=lambda ids: f"<{ids[0]}>",
    )


def test_a_worked_example():
    """Two responses of two tokens; the third place of the first row is padding, whatever stands there."""
    found = gaps_of([[0.5, 0.25, 0.9], [0.1, 0.8, 0.2]], [[0.5, 0.5, 0.1], [0.2, 0.8, 0.2]], [[1, 1, 0], [1, 1, 1]])
    assert (found.step, found.num_tokens) == (3, 5)
    assert found.mean == pytest.approx((0.25 + 0.1) / 5)
    assert found.max == pytest.approx(0.25)
    assert found.log_ratio_max == pytest.approx(math.log(2))
    first, second, _ = found.largest
    assert first == TokenGap("prompt_0", 1, 1, "<1>", pytest.approx(0.5), pytest.approx(0.25))
    assert (second.sample, second.place) == ("prompt_1", 0)


def test_a_probability_that_is_no_number_is_the_largest_gap():
    found = gaps_of([[0.5, math.nan, 0.1]], [[0.1, 0.5, 0.1]], [[1, 1, 1]])
    assert math.isnan(found.max)
    assert found.largest[0].place == 1


def test_a_row_of_padding_has_no_token():
    found = gaps_of([[0.5]], [[0.1]], [[0]])
    assert (found.num_tokens, found.mean, found.max, found.largest) == (0, 0.0, 0.0, [])


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1), st.booleans()), min_size=1, max_size=12))
def test_the_largest_is_the_largest_of_what_is_real(tokens):
    actor, rollout, mask = ([one[part] for one in tokens] for part in range(3))
    found = gaps_of([actor], [rollout], [[int(one) for one in mask]])
    real = [abs(a - r) for a, r, is_real in tokens if is_real]
    assert found.num_tokens == len(real)
    assert found.max == pytest.approx(max(real, default=0.0), abs=1e-6)
    assert found.mean == pytest.approx(sum(real) / max(len(real), 1), abs=1e-6)


def test_what_is_written_is_read(tmp_path):
    gaps = [gaps_of([[0.5]], [[0.25]], [[1]]), gaps_of([[0.5]], [[0.5]], [[1]])]
    for one in gaps:
        write(tmp_path / "deep" / "gaps.jsonl", one)
    assert read(tmp_path / "deep" / "gaps.jsonl") == gaps
    assert isinstance(gaps[0], StepGaps)
