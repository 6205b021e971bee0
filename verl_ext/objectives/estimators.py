"""The objectives in the calling convention of verl's advantage estimators.

An estimator takes ``token_level_rewards`` (B, T), ``response_mask`` (B, T), ``config`` (verl's ``algorithm`` section, a
mapping) and ``index`` (B prompt ids), and returns ``(advantages, returns)``, both (B, T). For these objectives a return
is the advantage itself. Those that weigh responses by their likelihood take ``rollout_log_probs`` (B, T) too, which
``verl_ext.patches`` brings. B = responses in the batch, T = response tokens, right-padded.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from verl_ext.objectives.algorithm_options import AlgorithmOptions, Section
from verl_ext.objectives.catalog import OBJECTIVES, check_objective, objective_under
from verl_ext.objectives.group_normalized import normalized
from verl_ext.objectives.groups import GroupFormula, group_advantages
from verl_ext.objectives.likelihoods import GradedResponse, LikelihoodFormula, advantages_by_prompt
from verl_ext.objectives.objective import GroupRule, LikelihoodRule, SignRule, SignWeights, TensorRule
from verl_ext.objectives.outcome import is_correct, outcome_scores
from verl_ext.objectives.signed import signed_advantages

Estimator = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Prompts = Sequence[Any] | None


def make_estimator(name: str) -> Estimator:
    """The verl advantage estimator of the objective ``name``.

    It raises ValueError for options that do not fit the objective, for a schedule of lambda, which only this package's
    trainer moves, and for what the objective itself refuses: a score other than -1, 0 and 1, a group that is too small,
    log-probs that are not there.
    """

    def estimator(
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        config: Section | None = None,
        index: Prompts = None,
        rollout_log_probs: torch.Tensor | None = None,
        **_unused: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        options = AlgorithmOptions.read({} if config is None else config, adv_estimator=name)
        advantages_BT = advantages(token_level_rewards, response_mask, index, options, rollout_log_probs)
        return advantages_BT, advantages_BT

    estimator.__name__ = estimator.__qualname__ = name
    estimator.__doc__ = f"{name}: {OBJECTIVES[name].summary}."
    return estimator


def advantages(
    rewards_BT: torch.Tensor,
    mask_BT: torch.Tensor,
    prompts: Prompts,
    options: AlgorithmOptions,
    log_probs_BT: torch.Tensor | None = None,
) -> torch.Tensor:
    """The advantages (B, T) of the objective that the options choose, which has to be one of the table."""
    check_objective(options)
    row = objective_under(options)
    assert row is not None
    if row.is_signed and options.positive_advantage_weight_schedule is not None:
        raise ValueError(
            f"algorithm.positive_advantage_weight_schedule={options.positive_advantage_weight_schedule.shape} needs a "
            "trainer that sets the weight of each step: set trainer.v1.trainer_mode=sign_filter_sync, or the schedule to "
            "null."
        )
    match row.formula:
        case SignWeights() | SignRule() if options.group_normalize:
            formula = normalized(row.weights_under(options))
            return _grouped(rewards_BT, mask_BT, prompts, options, formula)
        case SignWeights() | SignRule():
            is_correct_B = _outcomes(rewards_BT, prompts, options)
            return signed_advantages(is_correct_B, mask_BT, row.weights_under(options))
        case GroupRule():
            return _grouped(rewards_BT, mask_BT, prompts, options, row.formula.formula_under(options))
        case LikelihoodRule():
            by_likelihood = row.formula.formula_under(options)
            return _by_likelihood(rewards_BT, mask_BT, prompts, options, log_probs_BT, by_likelihood)
        case TensorRule():
            result: torch.Tensor = row.formula.load()(rewards_BT, mask_BT, prompts, options)
            return result
        case _:
            raise AssertionError(f"{row.name} has no formula")


def _known(prompts: Prompts, options: AlgorithmOptions) -> Sequence[Any]:
    if prompts is None:
        raise ValueError(
            f"{options.adv_estimator} compares the responses to one prompt: pass index, the prompt id of each response."
        )
    return list(prompts)


def _outcomes(rewards_BT: torch.Tensor, prompts: Prompts, options: AlgorithmOptions) -> torch.Tensor:
    names = None if prompts is None else [f"prompt {uid}" for uid in prompts]
    return is_correct(outcome_scores(rewards_BT), names=names, estimator=options.adv_estimator)


def _grouped(
    rewards_BT: torch.Tensor, mask_BT: torch.Tensor, prompts: Prompts, options: AlgorithmOptions, formula: GroupFormula
) -> torch.Tensor:
    prompts = _known(prompts, options)
    is_correct_B = _outcomes(rewards_BT, prompts, options)
    is_trained_B = (mask_BT != 0).any(dim=-1)
    of_response = group_advantages(is_correct_B.tolist(), prompts, is_trained_B.tolist(), formula)
    return rewards_BT.new_tensor(of_response).unsqueeze(-1) * mask_BT


def _by_likelihood(
    rewards_BT: torch.Tensor,
    mask_BT: torch.Tensor,
    prompts: Prompts,
    options: AlgorithmOptions,
    log_probs_BT: torch.Tensor | None,
    formula: LikelihoodFormula,
) -> torch.Tensor:
    """Numbers, not tensors: no gradient goes through a likelihood."""
    prompts = _known(prompts, options)
    if log_probs_BT is None:
        raise ValueError(
            f"algorithm.adv_estimator={options.adv_estimator} weighs responses by their likelihood under the policy that "
            "sampled them, and there are no rollout_log_probs. Set actor_rollout_ref.rollout.calculate_log_probs=True, and "
            "trainer.v1.trainer_mode=sign_filter_sync: verl's older trainer (trainer.use_v1=False) does not hand them on."
        )
    is_correct_B = _outcomes(rewards_BT, prompts, options)
    is_token_BT = mask_BT != 0
    log_prob_B = torch.where(is_token_BT, log_probs_BT, 0.0).sum(dim=-1, dtype=torch.float64)
    if not bool(log_prob_B.isfinite().all()):
        row = int((~log_prob_B.isfinite()).nonzero()[0])
        raise ValueError(
            f"{options.adv_estimator} weighs responses by their likelihood, and the rollout's log-probs at row {row} (prompt "
            f"{prompts[row]}) add up to {float(log_prob_B[row])}. Broken weights are one cause: see actor/grad_norm."
        )
    responses = [
        GradedResponse(correct, log_prob, num_tokens) if num_tokens else None
        for correct, log_prob, num_tokens in zip(
            is_correct_B.tolist(), log_prob_B.tolist(), is_token_BT.sum(dim=-1).tolist(), strict=True
        )
    ]
    of_response = advantages_by_prompt(responses, prompts, formula)
    return rewards_BT.new_tensor(of_response).unsqueeze(-1) * mask_BT


ESTIMATORS: dict[str, Estimator] = {name: make_estimator(name) for name in OBJECTIVES}
