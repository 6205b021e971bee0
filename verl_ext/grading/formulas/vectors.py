r"""Arithmetic of tuples and matrices, part by part: ``\frac12(2,4)`` and ``(0,1)+(1,1)`` are ``(1,2)``; ``-(1,2)`` is not."""

from itertools import chain

from verl_ext.grading.answers.brackets import brackets, is_balanced
from verl_ext.grading.answers.leaf import Leaf
from verl_ext.grading.answers.nodes import Scalar
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.answers.structure import MATRIX, read_structure, signed_terms, split_multiple
from verl_ext.grading.verdict import Decision, Tier, all_true

BEGIN_MATRIX = r"\begin{matrix}"
MIN_COMPONENTS = 2

Rows = list[list[str]]
"""Formulas; those of a tuple are a column."""


def compare_vectors(reference: str, answer: str, leaf: Leaf) -> Decision | None:
    """Two sums of multiples of tuples or of matrices; None if one is none."""
    texts = normalize(reference), normalize(answer)
    left, right = map(read_vector, texts)
    if left is None or right is None:
        return None
    is_one_notation = (BEGIN_MATRIX in texts[0]) == (BEGIN_MATRIX in texts[1]) or leaf.conventions.vector == "either"
    if not is_one_notation or _shape(left) != _shape(right):
        return Decision(False, Tier.SYMBOLIC, "vectors")
    pairs = zip(chain(*left), chain(*right), strict=True)
    is_same = all_true([leaf(*pair) for pair in pairs])
    return None if is_same is None else Decision(is_same, Tier.SYMBOLIC, "vectors")


def _shape(rows: Rows) -> list[int]:
    return [len(row) for row in rows]


def read_vector(text: str) -> Rows | None:
    """The components of a sum of multiples of tuples or of matrices, as formulas; None if the text is none."""
    if not is_balanced(brackets(text)):
        return None
    terms = [_read_term(term) for term in signed_terms(text)]
    read = [term for term in terms if term is not None]
    if not read or len(read) < len(terms) or any(_shape(term) != _shape(read[0]) for term in read):
        return None
    return [["+".join(parts) for parts in zip(*rows, strict=True)] for rows in zip(*read, strict=True)]


def _read_term(text: str) -> Rows | None:
    multiple = split_multiple(text)
    factor, rows = (multiple[0], [[entry] for entry in multiple[1]]) if multiple else _multiple_of_matrix(text)
    entries = list(chain(*rows))
    if len(entries) < MIN_COMPONENTS or not all(isinstance(read_structure(entry), Scalar) for entry in entries):
        return None
    return [[f"({factor})({entry})" for entry in row] for row in rows]


def _multiple_of_matrix(text: str) -> tuple[str, Rows]:
    r"""The factor and the rows of ``\frac12\begin{matrix}..``; no rows for anything else."""
    factor, begin, rest = text.partition(BEGIN_MATRIX)
    factor = factor.rstrip()
    bracket = factor[-1:] if factor[-1:] in {"(", "["} else ""
    matrix = MATRIX.fullmatch(bracket + begin + rest)
    factor = factor.removesuffix(bracket).rstrip(" *")
    if matrix is None or "," in factor or BEGIN_MATRIX in matrix[1]:  # the last is a product of matrices
        return "", []
    rows = [[cell.strip() for cell in row.split("&")] for row in matrix[1].split(r"\\") if row.strip()]
    return (f"{factor}1" if factor in {"", "+", "-"} else factor), rows
