import math

import pytest
import torch

from verl_ext.dynamics.next_token_of import next_token_of
from verl_ext.dynamics.policy import response_logits, response_probabilities
from verl_ext.learner.token_statistics import token_entropy, token_log_probs

QUESTION = [{"role": "user", "content": "1 2 3 = 7"}]


def test_next_token_is_the_softmax_of_the_last_logits(policy):
    ids = policy.prompt_ids(QUESTION, "1+")
    assert policy.tokenizer.decode(ids).endswith("1+")
    logits_LV = policy.model(input_ids=torch.tensor([ids])).logits[0]
    torch.testing.assert_close(policy.next_token(ids), logits_LV[-1].double().softmax(dim=-1))


def test_the_most_probable_tokens_marked_right_or_wrong(policy):
    probability_V = policy.next_token(policy.prompt_ids(QUESTION, "1+"))
    best = policy.tokenizer.decode([int(probability_V.argmax())]).strip()
    found = next_token_of(policy, "tiny", "1 2 3 = 7", "1+", [best], num_tokens=4)
    assert [token.is_right for token in found.tokens] == [True, False, False, False]
    assert found.tokens[0].probability == pytest.approx(float(probability_V.max()))
    assert found.covered == pytest.approx(float(probability_V.topk(4).values.sum()))
    assert (found.model, found.prompt) == ("tiny", "1+ …")


def test_a_right_token_that_is_not_there_is_named(policy):
    with pytest.raises(ValueError, match=r"^green is not among the 4 most probable next tokens"):
        next_token_of(policy, "tiny", "1 2 3 = 7", "1+", ["green"], num_tokens=4)


def one_by_one(policy, responses):
    """(log-prob, entropy) of every generated token, from its own prefix and nothing else."""
    for row, mask in zip(responses.token_BT, responses.mask_BT, strict=True):
        tokens = row[mask].tolist()
        for place, token in enumerate(tokens):
            probability_V = policy.next_token([*responses.prompt_ids, *tokens[:place]])
            entropy = -sum(p * math.log(p) for p in probability_V.tolist() if p)
            yield math.log(float(probability_V[token])), entropy


def test_entropy_and_log_probs_belong_to_their_tokens(policy, batch):
    """Responses of different lengths in one batch, the last first: none gets the numbers of another."""
    for responses in batch:
        turned = responses._replace(token_BT=responses.token_BT.flip(0), mask_BT=responses.mask_BT.flip(0))
        logits_BTV = response_logits(policy.model, turned.prompt_ids, turned.token_BT)
        log_prob_BT, entropy_BT = token_log_probs(logits_BTV, turned.token_BT), token_entropy(logits_BTV)
        expected = torch.tensor(list(one_by_one(policy, turned)))
        torch.testing.assert_close(log_prob_BT[turned.mask_BT], expected[:, 0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(entropy_BT[turned.mask_BT], expected[:, 1], atol=1e-4, rtol=1e-4)


def test_the_probability_of_an_answer_is_that_of_its_tokens_and_its_end(policy, batch):
    for responses in batch:
        parts = list(one_by_one(policy, responses))
        for number, probability in enumerate(response_probabilities(policy, responses)):
            start, size = int(responses.mask_BT[:number].sum()), int(responses.mask_BT[number].sum())
            expected = math.exp(sum(log_prob for log_prob, _ in parts[start : start + size]))
            assert probability == pytest.approx(expected, rel=1e-3)
    assert len(policy.tokenizer("1+2+3")["input_ids"]) + 1 == int(batch[0].mask_BT[0].sum())


def test_sampled_responses_end_where_their_mask_does(policy):
    end = policy.tokenizer.eos_token_id
    ids = policy.prompt_ids(QUESTION)
    responses = policy.sample(ids, 200, 40, torch.Generator().manual_seed(1))
    again = policy.sample(ids, 200, 40, torch.Generator().manual_seed(1))
    assert torch.equal(responses.token_BT, again.token_BT)
    assert set(responses.is_truncated) == {True, False}
    for row, mask, is_truncated in zip(responses.token_BT, responses.mask_BT, responses.is_truncated, strict=True):
        tokens = row.tolist()
        length = 40 if is_truncated else tokens.index(end) + 1
        assert mask.tolist() == [place < length for place in range(len(tokens))]
        assert is_truncated == (end not in tokens)
