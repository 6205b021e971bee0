import pytest
import torch

from verl_ext.dynamics.next_token_of import next_token_of
from verl_ext.dynamics.policy import Policy
from verl_ext.small_model.build import TINY, random_model


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return Policy(random_model(tmp_path_factory.mktemp("model") / "tiny", architecture=TINY))


def test_next_token_is_the_softmax_of_the_last_logits(policy):
    ids = policy.prompt_ids("1 2 3 -> 7", "1+")
    assert policy.tokenizer.decode(ids).endswith("1+")
    logits_LV = policy.model(input_ids=torch.tensor([ids])).logits[0]
    torch.testing.assert_close(policy.next_token(ids), logits_LV[-1].double().softmax(dim=-1))


def test_the_most_probable_tokens_marked_right_or_wrong(policy):
    probability_V = policy.next_token(policy.prompt_ids("1 2 3 -> 7", "1+"))
    best = policy.tokenizer.decode([int(probability_V.argmax())]).strip()
    found = next_token_of(policy, "tiny", "1 2 3 -> 7", "1+", [best], num_tokens=4)
    assert [token.is_right for token in found.tokens] == [True, False, False, False]
    assert found.tokens[0].probability == pytest.approx(float(probability_V.max()))
    assert found.covered == pytest.approx(float(probability_V.topk(4).values.sum()))
    assert (found.model, found.prompt) == ("tiny", "1+ …")


def test_a_right_token_that_is_not_there_is_named(policy):
    with pytest.raises(ValueError, match=r"^green is not among the 4 most probable next tokens"):
        next_token_of(policy, "tiny", "1 2 3 -> 7", "1+", ["green"], num_tokens=4)
