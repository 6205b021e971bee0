"""What a row of the table of objectives says, and the kinds of formula that it may name. Free of torch and verl."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.groups import GroupFormula
from verl_ext.objectives.likelihoods import LikelihoodFormula


class SignWeights(NamedTuple):
    """A = +positive for a correct response, -negative for an incorrect one; both weights >= 0."""

    positive: float
    negative: float


@dataclass(frozen=True)
class SignRule:
    """Two weights that the options decide."""

    weights_under: Callable[[AlgorithmOptions], SignWeights]
    """The weights under the options; raises ValueError for options it cannot work with."""


@dataclass(frozen=True)
class GroupRule:
    """A formula of a prompt's number of samples and of correct ones."""

    formula_under: Callable[[AlgorithmOptions], GroupFormula]
    """The formula under the options; raises ValueError for options it cannot work with."""


@dataclass(frozen=True)
class LikelihoodRule:
    """A formula of the outcomes of a prompt's responses and of their likelihoods under the policy that sampled them."""

    formula_under: Callable[[AlgorithmOptions], LikelihoodFormula]
    """The formula under the options; raises ValueError for options it cannot work with."""
    compares_responses: bool = True
    """Whether a response's advantage depends on the others to its prompt."""
    ignores_correct: bool = False
    """Whether correct responses never have an advantage, and wrong ones do."""


@dataclass(frozen=True)
class TensorRule:
    """Any other formula: a function of tensors, imported when it is first called, since it needs torch.

    The function is ``advantages(rewards_BT, mask_BT, prompts, options) -> advantages_BT``: token-level rewards, 1 on
    generated tokens, the prompt id of each response (None where verl has none), and the ``AlgorithmOptions``.
    """

    function: str
    """``module:function``."""

    def load(self) -> Callable[..., Any]:
        module, _, name = self.function.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return function


@dataclass(frozen=True)
class AnotherName:
    """No formula of its own: ``algorithm.advantage`` picks the row."""

    of_advantage: Mapping[str, str]
    """Value of the option -> name of the row."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A row of the table."""

    name: str
    """Value of ``algorithm.adv_estimator``."""
    formula: SignWeights | SignRule | GroupRule | LikelihoodRule | TensorRule | AnotherName
    summary: str
    """What a correct and an incorrect response get, in a line."""
    paper: str | None = None
    """Its number on arXiv."""
    has_lambda: bool = False
    """Whether ``algorithm.positive_advantage_weight`` multiplies the weight of correct responses."""
    has_k: bool = False
    """Whether it trains pass@k with k = ``algorithm.pass_at_k``, and so needs groups of at least k."""
    needs_beyond_rewards: str | None = None
    """What its advantages depend on beside the rewards of one prompt and the rollout's log-probs, as in "needs values".

    None: on nothing, so that samples without an advantage may be dropped before anything else is computed.
    """

    @property
    def is_signed(self) -> bool:
        """Whether a response's advantage depends on its own outcome alone."""
        return isinstance(self.formula, SignWeights | SignRule)

    @property
    def is_grouped(self) -> bool:
        """Whether it is a formula of the outcomes of a prompt's responses."""
        return isinstance(self.formula, GroupRule)

    @property
    def reads_likelihoods(self) -> bool:
        """Whether it needs the rollout's log-probs."""
        return isinstance(self.formula, LikelihoodRule)

    @property
    def compares_responses(self) -> bool:
        """Whether a response's advantage may depend on the others to its prompt, which then have to stay together."""
        return self.formula.compares_responses if isinstance(self.formula, LikelihoodRule) else not self.is_signed

    @property
    def ignores_one_sign(self) -> bool:
        """Whether correct responses, or incorrect ones, never have an advantage: then the filter is on by default."""
        if isinstance(self.formula, LikelihoodRule):
            return self.formula.ignores_correct
        return isinstance(self.formula, SignWeights) and 0.0 in self.formula

    def smallest_group(self, options: AlgorithmOptions) -> int:
        """How many responses to a prompt it needs."""
        return options.pass_at_k or 1 if self.has_k else 1

    def weights_under(self, options: AlgorithmOptions) -> SignWeights:
        """The weights of a signed objective, corrected for the grader's errors where the options ask for it.

        Raises:
            ValueError: The objective cannot work with the options.
        """
        if isinstance(self.formula, SignRule):
            weights = self.formula.weights_under(options)
        else:
            assert isinstance(self.formula, SignWeights)
            scale = options.positive_advantage_weight if self.has_lambda else 1.0
            weights = self.formula._replace(positive=scale * self.formula.positive)
        return SignWeights(*options.noisy_grader.corrected(*weights))
