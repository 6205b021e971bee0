r"""The last tier: are two formulas equal? By value (``equality``); Math-Verify where that cannot tell.

Runs in worker processes only, which bound its time and memory. What ``expression``'s grammar cannot read goes to
Math-Verify, one answer at a time.
"""

import re
from fractions import Fraction
from functools import lru_cache, partial

from verl_ext.grading.answers.compare import same_structure
from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.answers.leaf import Leaf
from verl_ext.grading.answers.nodes import Collection, Node, Ratio, Relation, to_latex
from verl_ext.grading.answers.numbers import Exact, are_near, is_stated, is_terminating, read_exact
from verl_ext.grading.answers.spelling import normalize, normalize_pair
from verl_ext.grading.answers.statements import BOUND, INFINITY, without_blanks
from verl_ext.grading.answers.structure import read_structure
from verl_ext.grading.answers.tiers import compare_numbers, compare_strings, first_decision
from verl_ext.grading.formulas.equality import is_same_constant, real_value, subtract, vanishes
from verl_ext.grading.formulas.expression import ExpressionError, Operation, TooComplexError, names_of, parse
from verl_ext.grading.formulas.math_verify import compare_confirmed
from verl_ext.grading.formulas.relations import same_chain, same_relation
from verl_ext.grading.formulas.vectors import compare_vectors
from verl_ext.grading.verdict import Decision, Tier

LARGEST_STATED = 1e12
NUM_DECIMALS = 30
CONGRUENCE = re.compile(
    r"([^,]+?)\\equiv\s*([^,(]+?)\s*\(?\s*\\(?:pmod|bmod|mod|text\{\s*mod\s*\})\s*\{?\s*([^(){}]+?)\s*\}?\s*\)?"
)
LOG = re.compile(r"\\log(?![a-zA-Z_])")


def compare_symbolically(reference: str, answer: str, conventions: Conventions = DEFAULTS) -> Decision:
    """Decide what the tiers before could not. ``is_same`` is None where nothing here can read one of the two."""
    try:
        decision = first_decision(TIERS, reference, answer, conventions)
    except TooComplexError as error:
        return Decision(None, Tier.SYMBOLIC, f"too complex: {error}")
    return decision or Decision(None, Tier.SYMBOLIC, "not understood")


def compare_formulas(reference: str, answer: str, conventions: Conventions) -> Decision | None:
    """Typed answers, part by part, with their formulas compared by value."""
    is_same = same_structure(*normalize_pair(reference, answer), _leaf(conventions))
    return None if is_same is None else Decision(is_same, Tier.SYMBOLIC)


def compare_tuples(reference: str, answer: str, conventions: Conventions) -> Decision | None:
    """Sums and multiples of tuples and matrices."""
    return compare_vectors(reference, answer, _leaf(conventions))


def refuse_too_complex(reference: str, answer: str, _conventions: Conventions) -> None:
    """No decision, but a TooComplexError for a constant that would take too long to evaluate in any library."""
    for tree in (_parsed(normalize(reference)), _parsed(normalize(answer))):
        if tree is not None and not names_of(tree):
            real_value(tree, 1, LARGEST_STATED)


def ask_math_verify(reference: str, answer: str, conventions: Conventions) -> Decision | None:
    """Math-Verify's confirmed verdict, unless ``conventions`` ask for what it does not tell apart."""
    lists = [isinstance(read_structure(normalize(text)), Collection) for text in (reference, answer)]
    if conventions.list_order == "as_given" and all(lists):
        return None
    return compare_confirmed(reference, answer)


TIERS = (compare_strings, compare_numbers, compare_formulas, compare_tuples, refuse_too_complex, ask_math_verify)


def _leaf(conventions: Conventions) -> Leaf:
    return Leaf(partial(same_formula, conventions=conventions), conventions, may_be_rounded)


def may_be_rounded(formula: str, number: str) -> bool:
    """Whether a number can be about a constant, with a rough rounding; also where one of them cannot be read."""
    tree, approximation = _parsed(formula), read_exact(number)
    value = real_value(tree, NUM_DECIMALS, LARGEST_STATED) if tree is not None and not names_of(tree) else None
    return value is None or approximation is None or are_near(Exact(value, None, is_percent=False), approximation)


def same_formula(reference: str, answer: str, conventions: Conventions = DEFAULTS) -> bool | None:
    """Compare two normalized scalars, equations, inequalities or congruences; None if one of them cannot be read."""
    congruences = CONGRUENCE.fullmatch(reference), CONGRUENCE.fullmatch(answer)
    if congruences[0] or congruences[1]:
        return _same_congruence(congruences[0], congruences[1])
    reference, answer = _with_one_logarithm(reference, answer), _with_one_logarithm(answer, reference)
    left, right = read_structure(reference), read_structure(answer)
    if isinstance(left, Relation) and isinstance(right, Relation):
        return _same_relation(left, right, conventions)
    if isinstance(left, Relation) or isinstance(right, Relation):
        return None
    if INFINITY in reference or INFINITY in answer:
        is_bound = BOUND.search(reference) or BOUND.search(answer)  # of a sum or a limit, which may be finite
        return False if not is_bound and (_is_constant(reference) or _is_constant(answer)) else None
    return _same_scalar(_as_formula(left, reference), _as_formula(right, answer), conventions)


def _same_congruence(reference: re.Match[str] | None, answer: re.Match[str] | None) -> bool | None:
    r"""``x \equiv 10 \pmod 7`` is ``x \equiv 3 \pmod 7``; the left sides and the moduli are the same."""
    if reference is None or answer is None:
        return None
    (left, *texts), (other_left, *other_texts) = reference.groups(), answer.groups()
    numbers = [read_exact(text) for text in (*texts, *other_texts)]
    values = [number.value for number in numbers if number is not None]
    if len(values) < len(numbers) or 0 in values[1::2]:
        return None
    residue, modulus, other_residue, other_modulus = values
    is_same_class = abs(modulus) == abs(other_modulus) and (residue - other_residue) % modulus == 0
    return is_same_class and without_blanks(left) == without_blanks(other_left)


def _with_one_logarithm(text: str, other: str) -> str:
    r"""With ``\log`` as ``\lg`` beside a ``\lg``: its base is 10 there, and that of ``\ln`` elsewhere."""
    return LOG.sub(r"\\lg", text) if r"\lg" in other and r"\ln" not in text + other else text


def _as_formula(node: Node, text: str) -> str:
    return to_latex(node) if isinstance(node, Ratio) else text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Operation | None:
    try:
        return parse(text)
    except ExpressionError:
        return None


def _is_constant(text: str) -> bool:
    tree = _parsed(text)
    return tree is not None and not names_of(tree)


def _same_scalar(reference: str, answer: str, conventions: Conventions) -> bool | None:
    """Whether two formulas agree wherever both have a value; None if one cannot be read or is hardly anywhere defined."""
    left, right = _parsed(reference), _parsed(answer)
    if left is None or right is None:
        return None
    if names_of(left) | names_of(right):
        return vanishes(subtract(left, right), [left, right])
    is_same = is_same_constant(left, right)
    if is_same is False and conventions.decimals == "stated":
        return _is_stated_decimal(reference, right) or _is_stated_decimal(answer, left)
    return is_same


def _is_stated_decimal(decimal: str, tree: Operation) -> bool:
    """Whether ``decimal`` is an irrational value to the three or more digits behind its point."""
    number = read_exact(decimal)
    if number is None or number.num_decimals is None or number.is_percent or tree.kind == "number":
        return False
    value = real_value(tree, NUM_DECIMALS, LARGEST_STATED)
    if value is None:
        return False
    # 0.125 for 1/8 is exact, and 0.13 for it is not rounding but another number.
    nearest = value.limit_denominator(10**9)
    if is_terminating(nearest) and abs(nearest - value) < Fraction(1, 10**25):
        return False
    return is_stated(number.value, number.num_decimals, value)


def _same_relation(reference: Relation, answer: Relation, conventions: Conventions) -> bool | None:
    if len(reference.parts) == len(answer.parts) == 2:
        sides = [_parsed(part) for part in (*reference.parts, *answer.parts)]
        if None in sides:
            return None
        left, right, other_left, other_right = (side for side in sides if side is not None)
        return same_relation((left, reference.operators[0], right), (other_left, answer.operators[0], other_right))
    return same_chain(reference, answer, partial(_same_scalar, conventions=conventions))
