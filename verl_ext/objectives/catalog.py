"""The objectives of this package: one row each, from which everything else is derived.

The names that launcher and verl know, the estimators, the default of the filter, the checks of lambda and k, and the
catalogue in the documentation all come from here. Free of torch and verl.
"""

from verl_ext.objectives import (
    asymre,
    cw_nsr,
    lens,
    maxrl,
    pass_at_k_training,
    pkpo,
    qae,
    rs_grpo,
    unlikeliness,
    virtual_success,
)
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.objective import AnotherName, GroupRule, LikelihoodRule, Objective, SignRule, SignWeights

ROWS = (
    Objective(
        name="psr",
        formula=SignWeights(positive=1.0, negative=0.0),
        summary="+1 for a correct response, 0 for an incorrect one",
        paper="2506.01347",
    ),
    Objective(
        name="nsr",
        formula=SignWeights(positive=0.0, negative=1.0),
        summary="0 for a correct response, -1 for an incorrect one",
        paper="2506.01347",
    ),
    Objective(
        name="w_reinforce",
        formula=SignWeights(positive=1.0, negative=1.0),
        has_lambda=True,
        summary="+lambda for a correct response, -1 for an incorrect one",
        paper="2506.01347",
    ),
    Objective(
        name="reinforce",
        formula=SignWeights(positive=1.0, negative=1.0),
        summary="+1 for a correct response, -1 for an incorrect one",
        paper="2506.01347",
    ),
    Objective(
        name="psr_nsr",
        formula=AnotherName({"positive": "psr", "negative": "nsr", "weighted": "w_reinforce"}),
        summary="the paper's own name for psr, nsr and w_reinforce: algorithm.advantage picks one",
        paper="2506.01347",
    ),
    Objective(
        name=virtual_success.NAME,
        formula=GroupRule(virtual_success.formula_under),
        summary="GRPO with one more, correct response in every group, so that all-wrong groups count",
        paper="2509.18851",
    ),
    Objective(
        name=pass_at_k_training.NAME,
        formula=GroupRule(pass_at_k_training.formula_under),
        has_k=True,
        summary="the mean of GRPO's advantages over all subsets of k responses, each rewarded by its best",
        paper="2508.10751",
    ),
    Objective(
        name=pkpo.NAME,
        formula=GroupRule(pkpo.formula_under),
        has_k=True,
        summary="an unbiased policy gradient of pass@k",
        paper="2505.15201",
    ),
    Objective(
        name=qae.NAME,
        formula=GroupRule(qae.formula_under),
        summary="only correct responses to a hard prompt and only wrong ones to an easy one, over the standard deviation",
        paper="2509.22611",
    ),
    Objective(
        name=maxrl.NAME,
        formula=GroupRule(maxrl.formula_under),
        summary="the reward less the prompt's accuracy, divided by that accuracy",
        paper="2602.02710",
    ),
    Objective(
        name=rs_grpo.NAME,
        formula=GroupRule(rs_grpo.formula_under),
        summary="the gradient of log E[exp(beta r)] / beta, between the mean reward and the best one",
        paper="2509.24261",
    ),
    Objective(
        name=asymre.NAME,
        formula=SignRule(asymre.weights_under),
        summary="1 - V for a correct response, -V for an incorrect one",
        paper="2506.20520",
    ),
    Objective(
        name=cw_nsr.NAME,
        formula=LikelihoodRule(cw_nsr.formula_under, compares_responses=False, ignores_correct=True),
        summary="0 for a correct response, for an incorrect one minus the confidence that it was given with",
        paper="2605.07137",
    ),
    Objective(
        name=lens.NAME,
        formula=LikelihoodRule(lens.formula_under),
        summary="GRPO in which a wrong response costs more, the more likely it was, also where all are wrong",
        paper="2510.08696",
    ),
    Objective(
        name=unlikeliness.NAME,
        formula=LikelihoodRule(unlikeliness.formula_under),
        summary="GRPO in which a correct response is worth more, the less likely it was among those to its prompt",
        paper="2506.02355",
    ),
)

OBJECTIVES = {row.name: row for row in ROWS}


def objective_under(options: AlgorithmOptions) -> Objective | None:
    """The row that the options choose, which has a formula; None for an estimator that is not this package's.

    Raises:
        ValueError: ``algorithm.advantage`` picks none where it has to.
    """
    row = OBJECTIVES.get(options.adv_estimator)
    if row is None or not isinstance(row.formula, AnotherName):
        return row
    names = row.formula.of_advantage
    if options.advantage is None or options.advantage not in names:
        raise ValueError(
            f"algorithm.adv_estimator={row.name} needs algorithm.advantage to be one of {', '.join(names)}, "
            f"got {options.advantage}."
        )
    return OBJECTIVES[names[options.advantage]]


def drops_zero_advantage(options: AlgorithmOptions) -> bool:
    """``algorithm.drop_zero_advantage``; when it is null, whether the objective ignores one sign altogether."""
    if options.drop_zero_advantage is not None:
        return options.drop_zero_advantage
    row = objective_under(options)
    return row is not None and row.ignores_one_sign


def check_objective(options: AlgorithmOptions) -> None:
    """The options fit the objective that they choose; an estimator that is not this package's passes, unless asymre's V is set.

    Raises:
        ValueError: They do not.
    """
    row = objective_under(options)
    if options.asymre_baseline is not None and (row is None or row.name != asymre.NAME):
        raise ValueError(
            f"algorithm.asymre_baseline={options.asymre_baseline:g} is for {asymre.NAME}; "
            f"algorithm.adv_estimator={options.adv_estimator} does not read it. Set it to null."
        )
    check_correction(options, row)
    check_group_normalize(options, row)
    if row is None:
        return
    if options.use_kl_in_reward and (row.is_signed or row.is_grouped or row.reads_likelihoods):
        raise ValueError(
            f"{options.adv_estimator} reads right or wrong from the reward, which algorithm.use_kl_in_reward=True changes. "
            "Set it to False, or penalize KL in the loss: actor_rollout_ref.actor.use_kl_loss=True."
        )
    if isinstance(row.formula, GroupRule | LikelihoodRule):
        row.formula.formula_under(options)
    if isinstance(row.formula, SignRule):
        row.formula.weights_under(options)


def check_correction(options: AlgorithmOptions, row: Objective | None) -> None:
    """``algorithm.noisy_grader.correction`` has two weights to correct; raises ValueError where it has not."""
    if options.noisy_grader.is_corrected and (row is None or not row.is_signed):
        signed = [each.name for each in ROWS if each.is_signed]
        why = "where responses are compared with each other, what it adds cancels"
        if row is not None and not row.compares_responses:
            why = "it weighs each wrong response by its likelihood"
        raise ValueError(
            f"algorithm.noisy_grader.correction={options.noisy_grader.correction} changes the weights of correct and wrong "
            f"responses, and algorithm.adv_estimator={options.adv_estimator} has no such two: {why}. Choose one of "
            f"{', '.join(signed)}, or set the correction to none."
        )


def check_group_normalize(options: AlgorithmOptions, row: Objective | None) -> None:
    """``algorithm.group_normalize`` has a signed objective to normalize for, and no correction; raises ValueError otherwise."""
    if not options.group_normalize:
        return
    if row is None or not row.is_signed:
        raise ValueError(
            f"algorithm.group_normalize=True is for objectives of one sign or two weights; algorithm.adv_estimator="
            f"{options.adv_estimator} has a rule of its own for a prompt's responses. Set it to False."
        )
    if options.noisy_grader.is_corrected:
        raise ValueError(
            f"algorithm.noisy_grader.correction={options.noisy_grader.correction} adds a constant to every advantage, which "
            "algorithm.group_normalize=True takes away again. Set one of them to none, or False."
        )


def check_weight_schedule(options: AlgorithmOptions) -> None:
    """The objective has the lambda that a schedule moves; raises ValueError when it does not."""
    schedule = options.positive_advantage_weight_schedule
    if schedule is None:
        return
    row = objective_under(options)
    if row is None or not row.has_lambda:
        raise ValueError(
            f"algorithm.positive_advantage_weight_schedule={schedule.shape} moves the weight of correct responses, which "
            f"algorithm.adv_estimator={options.adv_estimator} does not have. Choose {' or '.join(_with_lambda())}."
        )


def _with_lambda() -> list[str]:
    """How a reader can choose an objective that has a lambda."""
    ways = []
    for row in ROWS:
        if row.has_lambda:
            ways.append(row.name)
        if isinstance(row.formula, AnotherName):
            chosen = [value for value, name in row.formula.of_advantage.items() if OBJECTIVES[name].has_lambda]
            ways += [f"{row.name} with algorithm.advantage={value}" for value in chosen]
    return ways


def names_with_k() -> list[str]:
    """The objectives that read ``algorithm.pass_at_k``."""
    return [row.name for row in ROWS if row.has_k]
