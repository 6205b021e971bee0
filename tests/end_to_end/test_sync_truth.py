"""After a weight push the rollout engine answers as the actor does, however far the weights have moved.

Ten updates at a learning rate that moves a float32 model visibly; vLLM's probabilities of the sampled tokens are
compared with the actor's at every step. Stale or half-updated weights show at once: with this tiny model the gap is about
1e-9 in float32 and 1e-5 in bfloat16 when all is well, and 1e-3 after one update that vLLM did not hear of
(``lost_weights.LostWeightsExtension``).
"""

import json

import pytest

pytestmark = pytest.mark.slow

STACKS = ("plain", "two ranks", "adapter", "bfloat16, two threads")
"""Of ``stacks``: tied; untied on two ranks; an adapter that vLLM has as one. One that is merged into what is pushed:
``test_stages``."""
FLOAT32_NOISE = 1e-7
# Of a sequence's mean log-prob: bfloat16 moves that by about 1e-3 however sharp the policy is, and one update that vLLM did
# not hear of by 1e-1. What it moves a probability by grows with the probability.
BFLOAT16_NOISE = 1e-2
# Of one run's noise, times the first step's: it follows the probabilities, which grow as the policy sharpens, and the
# adapter, which is zero at first. Up to 6 was seen where all was well, a million after one update that vLLM did not hear of.
MOST_GROWTH = 30


@pytest.mark.parametrize("stack", STACKS)
def test_rollout_and_actor_agree_after_large_updates(run_of, stack):
    result = run_of(stack, "moving")
    assert result.code == 0, result.shown
    gaps = [step["training/rollout_probs_diff_mean"] for step in result.steps]
    entropies = [step["actor/entropy"] for step in result.steps]
    assert len(gaps) == 11
    assert abs(entropies[-1] - entropies[0]) > 0.02, f"the policy must have moved: {entropies}"
    if "bfloat16" in stack:
        gaps_of_logs = [step["rollout_corr/log_ppl_abs_diff"] for step in result.steps]
        assert max(gaps_of_logs) < BFLOAT16_NOISE, gaps_of_logs
    else:
        assert max(gaps) < FLOAT32_NOISE, gaps
    assert max(gaps[1:]) < MOST_GROWTH * gaps[0], f"no more than the noise before the first update: {gaps}"
    record = json.loads((result.folder / "run.json").read_text())
    assert record["versions"]["verl"] == "0.9.1"
