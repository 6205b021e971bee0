"""What came back from the rollout: in which order, and how much is missing."""

from verl_ext.training.step.arrivals import count_missing, data_order, without_prompt


def test_prompts_sessions_and_outputs_are_in_order_and_strangers_last():
    keys = ["z_0_0", "a_10_0", "a_2_1", "b_0_0", "a_2_0", "y_0_0"]
    ordered = [keys[row] for row in data_order(keys, ["b", "a"])]
    assert ordered == ["b_0_0", "a_2_0", "a_2_1", "a_10_0", "z_0_0", "y_0_0"]


def test_a_prompt_id_may_hold_underscores():
    assert data_order(["p_1_0_0", "p_0_1_0"], ["p_0", "p_1"]) == [1, 0]


def missing(keys, failed=(), num_submitted=None, num_replaced=0):
    metrics = count_missing(
        keys,
        failed=failed,
        num_submitted={"p0": 2, "p1": 3} if num_submitted is None else num_submitted,
        default_num_samples=4,
        num_replaced=num_replaced,
    )
    return metrics["train/prompts"], metrics["train/failed_prompts"], metrics["train/missing_samples"]


def failed_ratio(keys, **options):
    counted = {"failed": (), "num_submitted": {"p0": 2, "p1": 3}, "num_replaced": 0} | options
    return count_missing(keys, default_num_samples=4, **counted)["train/failed_ratio"]


P0, P1 = ["p0_0_0", "p0_1_0"], ["p1_0_0", "p1_1_0", "p1_2_0", "p1_2_1"]


def test_nothing_is_missing():
    """The last session of p1 has two outputs."""
    assert missing([*P0, *P1]) == (2, 0, 0)


def test_a_failed_prompt_may_have_come_back_in_part():
    assert missing([*P0, *P1[:1]], failed={"p1"}) == (2, 1, 2)


def test_a_failed_prompt_that_did_not_come_back_counts():
    assert missing(P0, failed={"p1"}) == (2, 1, 3)


def test_a_prompt_of_an_earlier_step_has_the_default_number():
    assert missing(P0, num_submitted={}) == (1, 0, 2)


def test_prompts_that_verl_replaced_have_failed():
    assert missing(P0, num_replaced=2) == (3, 2, 0)


def test_the_share_of_prompts_that_are_not_whole():
    """One that lacks a sample without a word counts as one that failed, and one that did both counts once."""
    assert failed_ratio([*P0, *P1]) == 0
    assert failed_ratio([*P0, *P1[:2]]) == 0.5
    assert failed_ratio([*P0, *P1[:1]], failed={"p1"}) == 0.5
    assert failed_ratio(P0, failed={"p1"}) == 0.5
    assert failed_ratio([*P0, *P1], num_replaced=2) == 0.5
    assert failed_ratio([], failed={"p0", "p1"}) == 1


def test_whether_a_prompt_of_an_earlier_launch_is_whole_is_not_known():
    assert failed_ratio(P0, num_submitted={}) == 0


def test_outputs_without_their_prompt_are_those_of_a_step_that_is_over():
    prompts = {"p1": {"is_prompt": True}, "p2": {"is_prompt": True}}
    outputs = {key: {"status": "success"} for key in ("p1_0_0", "p1_1_0", "p0_0_0", "p0_0_1")}
    assert without_prompt(prompts | outputs) == ["p0_0_0", "p0_0_1"]
    assert without_prompt({}) == []
