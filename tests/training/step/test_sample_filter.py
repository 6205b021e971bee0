"""Which samples are kept."""

from types import SimpleNamespace

import pytest
import torch

from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.training.step.sample_filter import (
    Rules,
    check_truncation_is_reported,
    count_kept,
    has_advantage,
    select,
)
from verl_ext.training.step.samples import Samples


def kept(name, scores, mask_BT=None, **config):
    mask_BT = torch.ones(len(scores), 3) if mask_BT is None else mask_BT
    rewards_BT = torch.zeros(len(scores), 3)
    rewards_BT[:, -1] = torch.tensor(scores)
    advantages_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config)
    return has_advantage(advantages_BT, mask_BT).tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("psr", [True, False, False, True]),
        ("nsr", [False, True, True, False]),
        ("w_reinforce", [True] * 4),
        ("reinforce", [True] * 4),
    ],
)
def test_by_objective(name, expected):
    assert kept(name, [1.0, 0.0, 0.0, 1.0]) == expected


def test_an_all_wrong_group_is_kept_by_nsr():
    """The group filters of DAPO drop it; it carries NSR's signal."""
    assert kept("nsr", [0.0, 0.0, 0.0, 0.0]) == [True] * 4


def test_lambda_zero_drops_the_correct_ones():
    assert kept("w_reinforce", [1.0, 0.0], positive_advantage_weight=0.0) == [False, True]


def test_a_fully_masked_response_is_dropped():
    assert kept("nsr", [0.0, 0.0], torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])) == [False, True]


# ---------------------------------------------------------------------- all rules together

KEYS = ["a_0_0", "a_1_0", "a_2_0", "b_0_0", "b_1_0"]
KEEP_ALL = Rules(masks_truncated=False, smallest_group=1, drops_zero_advantage=False, keeps_groups_whole=False)
GRADED = {"correct": 1.0, "truncated": 0.0}


def samples_of(*, keys=KEYS, infos=None, mask=None) -> Samples:
    return Samples(
        keys=keys,
        prompts=[key[0] for key in keys],
        infos=infos or [GRADED] * len(keys),
        scores_BT=torch.zeros(len(keys), 2),
        mask_BT=torch.ones(len(keys), 2) if mask is None else torch.tensor(mask),
        log_probs_BT=None,
        ages=[0] * len(keys),
    )


def selected(rules: Rules, *, advantages=None, **given) -> str:
    """The rows that are kept, as in "0134"; ``advantages`` is one number for each row."""
    samples = samples_of(**given)
    mask_BT = samples.mask_BT

    def advantages_of(rows_K: torch.Tensor) -> torch.Tensor:
        assert advantages is not None, "the estimator is asked only for a filter"
        return torch.tensor(advantages)[rows_K].unsqueeze(-1) * mask_BT[rows_K]

    return "".join(str(row) for row, kept in enumerate(select(samples, rules, advantages_of).tolist()) if kept)


def test_without_rules_everything_is_kept():
    assert selected(KEEP_ALL) == "01234"


def test_ungraded_samples_leave_whatever_the_rules():
    assert selected(KEEP_ALL, infos=[GRADED, {"timed_out": 1.0}, GRADED, {"grader_error": 1.0}, GRADED]) == "024"


def test_truncated_samples_leave_where_they_are_masked():
    infos = [GRADED, GRADED | {"truncated": 1.0}, GRADED, GRADED, GRADED]
    assert selected(KEEP_ALL, infos=infos) == "01234"
    assert selected(KEEP_ALL._replace(masks_truncated=True), infos=infos) == "0234"


def test_a_prompt_with_too_few_sessions_leaves():
    """Prompt a has three samples; with two outputs in its first session it has two."""
    two = ["a_0_0", "a_0_1", *KEYS[2:]]
    assert selected(KEEP_ALL._replace(smallest_group=3)) == "012"
    assert selected(KEEP_ALL._replace(smallest_group=3), keys=two) == ""
    assert selected(KEEP_ALL._replace(smallest_group=2), keys=two) == "01234"


def test_samples_without_an_advantage_leave_by_themselves_or_with_their_group():
    dropping = KEEP_ALL._replace(drops_zero_advantage=True)
    advantages = [-1.0, 0.0, -1.0, 0.0, 0.0]
    assert selected(dropping, advantages=advantages) == "02"
    assert selected(dropping._replace(keeps_groups_whole=True), advantages=advantages) == "012"


def test_the_estimator_sees_what_is_left_of_the_other_rules():
    infos = [{"timed_out": 1.0}, GRADED, GRADED, GRADED, GRADED]
    advantages = [float("nan"), 0.0, -1.0, -1.0, 0.0]
    assert selected(KEEP_ALL._replace(drops_zero_advantage=True), infos=infos, advantages=advantages) == "23"


def test_samples_without_a_token_are_no_update():
    assert selected(KEEP_ALL, mask=[[0, 0]] * 5) == ""
    assert selected(KEEP_ALL, mask=[[0, 0]] * 4 + [[1, 0]]) == "01234"


def test_masking_needs_to_know_what_was_cut():
    check_truncation_is_reported([GRADED], SimpleNamespace(path="mine.py", name="score"))
    with pytest.raises(ValueError, match=r"mask_truncated=True needs .*path=mine.py \(name=score\) does not"):
        check_truncation_is_reported([GRADED, {}], SimpleNamespace(path="mine.py", name="score"))


def test_counting_what_is_kept():
    """Responses of 2, 1, 0, 2 and 2 tokens, of which the second to fourth are kept."""
    samples = samples_of(mask=[[1, 1], [1, 0], [0, 0], [1, 1], [1, 1]])
    kept = count_kept(samples, torch.tensor([False, True, True, True, False]))
    assert kept == ((3, 5), (3, 7), (2, 4))
