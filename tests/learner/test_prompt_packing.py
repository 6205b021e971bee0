"""Samples of a prompt are in one micro-batch as far as they fit."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.learner.prompt_packing import RowSize, pack

ROWS = st.lists(st.builds(RowSize, st.integers(0, 3), st.just(0), st.integers(1, 9)), min_size=1, max_size=20)
PROMPTS = st.lists(st.integers(1, 9), min_size=4, max_size=4)


def cost(rows):
    return sum({row.prompt: row.num_prompt for row in rows}.values()) + sum(row.num_response - 1 for row in rows)


@given(ROWS, PROMPTS, st.integers(18, 60), st.data())
def test_every_row_is_in_one_micro_batch_within_the_budget(rows, prompts, budget, data):
    rows = [RowSize(row.prompt, prompts[row.prompt], row.num_response) for row in rows]
    num_batches = data.draw(st.integers(1, len(rows)))
    batches = pack(rows, budget, num_batches=num_batches)
    assert sorted(number for batch in batches for number in batch) == list(range(len(rows)))
    assert len(batches) >= num_batches
    assert all(batches)
    assert all(cost([rows[number] for number in batch]) <= budget for batch in batches)
    assert all(sum(rows[number].num_tokens for number in batch) <= 4 * budget for batch in batches)
    alone = pack(rows, budget)
    for prompt, count in Counter(row.prompt for row in rows).items():
        of_prompt = [row for row in rows if row.prompt == prompt]
        if cost(of_prompt) <= budget and sum(row.num_tokens for row in of_prompt) <= 4 * budget:
            assert sum(any(rows[number].prompt == prompt for number in batch) for batch in alone) == 1, (prompt, count)


def test_a_row_that_fits_nowhere_is_refused():
    with pytest.raises(ValueError, match="A sample has 9 tokens, and a micro-batch holds 8"):
        pack([RowSize("a", 4, 5)], 8)
    with pytest.raises(ValueError, match="1 rows cannot be 2 micro-batches"):
        pack([RowSize("a", 4, 5)], 9, num_batches=2)
