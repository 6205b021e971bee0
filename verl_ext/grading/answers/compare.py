"""Are two answers the same? Strings first, then exact numbers, then typed answers part by part.

The same walk serves the caller's process and the worker's: what differs is the leaf, the comparison of two scalars
that no rule here decides. In the caller's process that leaf says "unknown", and only then a worker is asked. A tier
never loosens what an earlier one has decided.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise

from verl_ext.grading.answers import structure as st
from verl_ext.grading.answers.numbers import compare_exact, read_exact
from verl_ext.grading.answers.spelling import key, normalize
from verl_ext.grading.answers.units import without_units
from verl_ext.grading.verdict import Decision, Tier

Leaf = Callable[[str, str], bool | None]


def unknown(_reference: str, _answer: str) -> bool | None:
    """The leaf of a process that must not parse LaTeX."""
    return None


def compare(reference: str, answer: str, leaf: Leaf = unknown) -> Decision:
    """Compare two answers as their authors wrote them. Neither may be empty: nothing is not the same as nothing.

    Args:
        reference: The ground truth.
        answer: The extracted answer, within the limits.
        leaf: Compares two normalised scalars or relations; returns None where it cannot.
    """
    if not reference.strip() or not answer.strip():
        raise ValueError("An empty answer cannot be compared.")
    if key(reference) == key(answer) and key(answer):
        return Decision(True, Tier.STRING)
    left, right = normalize(reference), normalize(answer)
    if not key(reference) or not key(answer):
        return Decision(False, Tier.STRING, "nothing but punctuation")
    numbers = read_exact(left), read_exact(right)
    if numbers[0] is not None and numbers[1] is not None:
        return Decision(compare_exact(numbers[0], numbers[1]), Tier.EXACT)
    if _is_decimal_comma(right, left):
        return Decision(True, Tier.EXACT)
    is_same = _same_node(st.read_structure(left), st.read_structure(right), leaf)
    return Decision(is_same, Tier.TYPED if leaf is unknown else Tier.SYMBOLIC)


def _is_decimal_comma(left: str, right: str) -> bool:
    """``1,22`` is 1.22 where the other side says so; three digits behind the comma would be thousands."""
    whole, comma, decimals = left.partition(",")
    return bool(comma) and whole.lstrip("-").isdigit() and decimals.isdigit() and f"{whole}.{decimals}" == right


def _same_text(reference: str, answer: str, leaf: Leaf) -> bool | None:
    return _same_node(st.read_structure(reference), st.read_structure(answer), leaf)


def _same_node(reference: st.Node, answer: st.Node, leaf: Leaf) -> bool | None:
    if reference == answer and not isinstance(reference, st.Ratio):
        return True
    if isinstance(reference, st.Relation) or isinstance(answer, st.Relation):
        return _same_relation(reference, answer, leaf)
    # A set of one and a list of one are that one.
    if isinstance(reference, st.Collection) and len(reference.items) == 1:
        return _same_node(reference.items[0], answer, leaf)
    if isinstance(answer, st.Collection) and len(answer.items) == 1:
        return _same_node(reference, answer.items[0], leaf)
    match reference, answer:
        case st.Scalar(), st.Scalar():
            return _same_scalar(reference.text, answer.text, leaf)
        case st.Text(), st.Text():
            return _bare_words(reference.words) == _bare_words(answer.words)
        case (st.Text(), st.Scalar()) | (st.Scalar(), st.Text()):
            return _same_text_and_scalar(reference, answer)
        case (st.BaseNumber(), _) | (_, st.BaseNumber()):
            return _same_base_number(reference, answer, leaf)
        case st.Group(), st.Group():
            return _same_group(reference, answer, leaf)
        case st.Collection(), st.Collection():
            return _same_collection(reference, answer, leaf)
        case st.Matrix(), st.Matrix():
            return _same_matrix(reference, answer, leaf)
        case (st.Matrix(), st.Group()) | (st.Group(), st.Matrix()):
            return _same_vector(reference, answer, leaf)
        case st.Ratio(), st.Ratio():
            return _same_ratio(reference, answer, leaf)
        case (st.Scalar(), _) | (_, st.Scalar()):
            return _same_scalar_and_other(reference, answer, leaf)
    return False


def _same_pair(left: st.Node, right: st.Node, leaf: Leaf, *, is_swapped: bool) -> bool | None:
    """Compare with the reference first, which is ``right`` if they are swapped."""
    return _same_node(right, left, leaf) if is_swapped else _same_node(left, right, leaf)


def _same_scalar(reference: str, answer: str, leaf: Leaf) -> bool | None:
    (left, left_unit), (right, right_unit) = without_units(reference), without_units(answer)
    if left_unit and right_unit and left_unit != right_unit:
        return False
    if not left or not right:
        return False
    if "".join(left.split()) == "".join(right.split()) and key(left) == key(right):
        return True
    numbers = read_exact(left), read_exact(right)
    if numbers[0] is not None and numbers[1] is not None:
        return compare_exact(numbers[0], numbers[1])
    if (left, right) != (reference, answer):
        return _same_text(left, right, leaf)
    signs = _sign_of_infinity(left), _sign_of_infinity(right)
    if any(signs) and (all(signs) or any(number is not None for number in numbers)):
        return signs[0] == signs[1]
    return leaf(left, right)


def _sign_of_infinity(text: str) -> int:
    """1 or -1 for an infinite end of an interval, 0 for anything else."""
    bare = "".join(text.split())
    return {r"\infty": 1, r"+\infty": 1, r"-\infty": -1}.get(bare, 0)


def _bare_words(words: str) -> str:
    return "".join(char for char in words.lower() if char.isalnum())


OPERATORS = frozenset("+-*/^=<>|")


def _same_text_and_scalar(reference: st.Node, answer: st.Node) -> bool | None:
    text, other = (reference, answer) if isinstance(reference, st.Text) else (answer, reference)
    assert isinstance(text, st.Text)
    assert isinstance(other, st.Scalar)
    spelt = _bare_words(key(other.text))
    if spelt == _bare_words(text.words) and not OPERATORS.intersection(other.text):
        return True
    # A word is no formula, unless the other side shows that it is a product of just these letters.
    letters = "".join(char for char in spelt if char.isalpha())
    return None if sorted(letters) == sorted(_bare_words(text.words)) and spelt == letters else False


def _same_base_number(reference: st.Node, answer: st.Node, leaf: Leaf) -> bool | None:
    if isinstance(reference, st.BaseNumber) and isinstance(answer, st.BaseNumber):
        return reference.digits.lstrip("0") == answer.digits.lstrip("0") and reference.base == answer.base
    if isinstance(reference, st.BaseNumber) and isinstance(answer, st.Scalar):
        # A problem that asks for a number in base 5 is answered by its digits.
        return key(answer.text).upper() == reference.digits
    if isinstance(answer, st.BaseNumber) and isinstance(reference, st.Scalar) and answer.base == 10:
        return _same_text(reference.text, answer.digits, leaf)
    if isinstance(answer, st.BaseNumber) and isinstance(reference, st.Scalar):
        # x_1 is a name, 12_3 a number; a reference without a base may have left it to the question.
        return key(reference.text).upper() == answer.digits if answer.digits.isdigit() else None
    return False


def _same_group(reference: st.Group, answer: st.Group, leaf: Leaf) -> bool | None:
    if len(reference.items) != len(answer.items):
        return False
    brackets = (reference.opening, reference.closing), (answer.opening, answer.closing)
    # Two entries may be an interval, whose brackets say what belongs to it. More are a vector in either.
    is_half_open = reference.opening + reference.closing in {"(]", "[)"}
    if (len(reference.items) == 2 or is_half_open) and brackets[0] != brackets[1]:
        return False
    return _all_same(zip(reference.items, answer.items, strict=True), leaf)


def _all_same(pairs: Iterable[tuple[st.Node, st.Node]], leaf: Leaf) -> bool | None:
    is_known = True
    for left, right in pairs:
        is_same = _same_node(left, right, leaf)
        if is_same is False:
            return False
        is_known &= is_same is not None
    return True if is_known else None


def _same_collection(reference: st.Collection, answer: st.Collection, leaf: Leaf) -> bool | None:
    """Match the items one to one, in any order; as sets, a repetition counts once."""
    left, right = _distinct(reference.items), _distinct(answer.items)
    if len(left) != len(right):
        return False
    return _matching(left, right, leaf)


def _distinct(items: Sequence[st.Node]) -> list[st.Node]:
    distinct: list[st.Node] = []
    for item in items:
        if not any(_same_node(item, other, unknown) for other in distinct):
            distinct.append(item)
    return distinct


def _matching(left: Sequence[st.Node], right: Sequence[st.Node], leaf: Leaf) -> bool | None:
    table = [[_same_node(item, other, leaf) for other in right] for item in left]
    if _has_matching(table, lambda is_same: is_same is True):
        return True
    return None if _has_matching(table, lambda is_same: is_same is not False) else False


def _has_matching(table: Sequence[Sequence[bool | None]], is_edge: Callable[[bool | None], bool]) -> bool:
    """Whether every row gets a column of its own (Kuhn's augmenting paths)."""
    row_of: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, is_same in enumerate(table[row]):
            if is_edge(is_same) and column not in seen:
                seen.add(column)
                if column not in row_of or place(row_of[column], seen):
                    row_of[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(table)))


def _same_matrix(reference: st.Matrix, answer: st.Matrix, leaf: Leaf) -> bool | None:
    if [len(row) for row in reference.rows] != [len(row) for row in answer.rows]:
        return False
    cells = [pair for rows in zip(reference.rows, answer.rows, strict=True) for pair in zip(*rows, strict=True)]
    return _all_same(cells, leaf)


def _same_vector(reference: st.Node, answer: st.Node, leaf: Leaf) -> bool | None:
    """A column or a row written as a matrix against the same written as a tuple."""
    entries = []
    for node in (reference, answer):
        if isinstance(node, st.Group):
            if node.opening != "(" or node.closing != ")":
                return False
            entries.append(node.items)
        else:
            assert isinstance(node, st.Matrix)
            rows = node.rows
            is_column, is_row = all(len(row) == 1 for row in rows), len(rows) == 1
            if not (is_column or is_row):
                return False
            entries.append(rows[0] if is_row else tuple(row[0] for row in rows))
    if len(entries[0]) != len(entries[1]):
        return False
    return _all_same(zip(*entries, strict=True), leaf)


def _same_ratio(reference: st.Ratio, answer: st.Ratio, leaf: Leaf) -> bool | None:
    left, right = ([part.text for part in ratio.parts if isinstance(part, st.Scalar)] for ratio in (reference, answer))
    # A time may leave out its seconds.
    while len(left) != len(right) and max(left, right, key=len)[-1].strip("0") == "":
        max(left, right, key=len).pop()
    if len(left) != len(right):
        return False
    numbers = [read_exact(text) for text in (*left, *right)]
    if all(number is not None for number in numbers):
        values = [number.value for number in numbers if number is not None]
        tops, bottoms = values[: len(left)], values[len(left) :]
        return all(top * bottoms[0] == bottom * tops[0] for top, bottom in zip(tops, bottoms, strict=True))
    return _all_same(((st.Scalar(a), st.Scalar(b)) for a, b in zip(left, right, strict=True)), leaf)


def _same_scalar_and_other(reference: st.Node, answer: st.Node, leaf: Leaf) -> bool | None:
    scalar, other = (reference, answer) if isinstance(reference, st.Scalar) else (answer, reference)
    assert isinstance(scalar, st.Scalar)
    text = without_units(scalar.text)[0]
    if isinstance(other, st.Text):
        return _same_text_and_scalar(reference, answer)
    if text != scalar.text and not isinstance(st.read_structure(text), st.Scalar):
        # "(1,2) cm"
        return _same_pair(st.read_structure(text), other, leaf, is_swapped=scalar is answer)
    if read_exact(text) is not None:
        return False
    # Two values, or a structure that brackets hide: only the worker's parser can tell.
    if isinstance(other, st.Ratio | st.Matrix):
        return leaf(_text_of(reference), _text_of(answer))
    return False if isinstance(other, st.Collection | st.Group) and not _is_opaque(text) else None


def _is_opaque(text: str) -> bool:
    """A scalar with brackets or matrices inside may evaluate to something else: a sum of vectors, a product of sets."""
    return "," in text or r"\begin" in text


def _text_of(node: st.Node) -> str:
    match node:
        case st.Scalar():
            return node.text
        case st.Relation():
            return node.text
        case st.Ratio():
            return "/".join(f"({_text_of(part)})" for part in node.parts)
        case st.Text():
            return node.words
        case st.BaseNumber():
            return f"{node.digits}_{{{node.base}}}"
        case st.Group():
            return node.opening + ",".join(map(_text_of, node.items)) + node.closing
        case st.Collection():
            return r"\{" + ",".join(map(_text_of, node.items)) + r"\}"
    rows = r"\\".join("&".join(map(_text_of, row)) for row in node.rows)
    return rf"\begin{{matrix}}{rows}\end{{matrix}}"


def _same_relation(reference: st.Node, answer: st.Node, leaf: Leaf) -> bool | None:
    same_text = partial(_same_text, leaf=leaf)
    if isinstance(reference, st.Relation) and isinstance(answer, st.Relation):
        if "".join(reference.text.split()) == "".join(answer.text.split()):
            return True
        intervals = st.interval_of(reference), st.interval_of(answer)
        if intervals[0] is not None and intervals[1] is not None:
            return _same_node(intervals[0], intervals[1], leaf)
        values = st.value_of(reference), st.value_of(answer)
        if values[0] is not None and values[1] is not None:
            is_same = same_text(values[0], values[1])
            names = st.name_of(reference), st.name_of(answer)
            if is_same is True and _may_name_the_same(*names):
                return True
            if names[0] == names[1] and names[0] is not None and is_same is False and not _mentions(values, names[0]):
                return False
        mixed = _interval_against_membership(reference, answer, leaf)
        return mixed if mixed is not None else leaf(reference.text, answer.text)
    relation, other = (reference, answer) if isinstance(reference, st.Relation) else (answer, reference)
    assert isinstance(relation, st.Relation)
    assert not isinstance(other, st.Relation)
    interval = st.interval_of(relation)
    if interval is not None:
        if not isinstance(other, st.Group | st.Collection):
            return False
        return _same_pair(interval, other, leaf, is_swapped=relation is answer)
    value = st.value_of(relation)
    if value is None:
        return False
    if st.name_of(relation) is None and relation.operators[0] == "=":
        # An identity between numbers counts for what it ends on only if it holds: 17 mod 5 = 2, and not 1 = 2 = 42.
        holds = [_same_text(one, other, leaf) for one, other in pairwise(relation.parts)]
        if False in holds or None in holds:
            return False if False in holds else None
    node = st.read_structure(value)
    if isinstance(node, st.Relation):
        return None
    return _same_pair(node, other, leaf, is_swapped=relation is answer)


def _may_name_the_same(left: str | None, right: str | None) -> bool:
    """``y = 2x`` and ``f(x) = 2x``, but not ``x = 3`` and ``y = 3``."""
    if left == right or left is None or right is None:
        return True
    return ("(" in left) != ("(" in right)


def _mentions(values: Sequence[str | None], name: str | None) -> bool:
    return name is None or any(name in (value or "") for value in values)


def _interval_against_membership(reference: st.Relation, answer: st.Relation, leaf: Leaf) -> bool | None:
    r"""``x \in [1,2]`` against ``1 <= x <= 2``."""
    for relation, other in ((reference, answer), (answer, reference)):
        interval, member = st.interval_of(relation), st.value_of(other)
        if interval is not None and member is not None and other.operators == (r"\in",):
            node = st.read_structure(member)
            return _same_pair(interval, node, leaf, is_swapped=relation is answer)
    return None
