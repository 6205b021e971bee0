"""The kinds of things that an answer can be, and what each is made of."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scalar:
    text: str


@dataclass(frozen=True)
class Text:
    """Words, in lower case and without punctuation."""

    words: str


@dataclass(frozen=True)
class BaseNumber:
    digits: str
    base: int


@dataclass(frozen=True)
class Group:
    """A tuple, a point, a vector or an interval: ordered, with the brackets that make an interval open or closed."""

    opening: str
    closing: str
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Collection:
    """A set or a list of several answers: order does not matter."""

    items: tuple["Node", ...]
    is_union: bool = field(default=False, compare=False)
    """Whether the items are sets themselves."""
    is_set: bool = field(default=False, compare=False)
    """Whether it stands in braces, and so has no order by itself."""
    is_either: bool = field(default=False, compare=False)
    """Whether an "or" stands between the items."""


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple["Node", ...], ...]


@dataclass(frozen=True)
class Cases:
    """The pieces of one function: a value, and where it has it."""

    pieces: tuple[tuple["Node", "Node"], ...]
    text: str = field(compare=False)


@dataclass(frozen=True)
class Ratio:
    parts: tuple[Scalar, ...]


@dataclass(frozen=True)
class Clock:
    """A time of day, or a ratio that looks like one if nothing says which half of the day."""

    hour: int
    minute: int
    second: int
    half: str
    """``a`` or ``p``, or nothing."""
    text: str

    def seconds(self) -> int:
        """The seconds since midnight."""
        hour = self.hour % 12 + 12 * (self.half == "p") if self.half else self.hour % 24
        return (hour * 60 + self.minute) * 60 + self.second


@dataclass(frozen=True)
class Relation:
    """``parts[0] operators[0] parts[1] operators[1] ...``, each part a normalized string."""

    operators: tuple[str, ...]
    parts: tuple[str, ...]
    text: str


Node = Scalar | Text | BaseNumber | Group | Collection | Matrix | Cases | Ratio | Clock | Relation
OTHERWISE = Text("otherwise")
"""The condition of a piece that has what the others leave."""


def to_latex(node: Node) -> str:
    """A text that reads as ``node``; of a ratio, the quotient that it equals."""
    match node:
        case Scalar() | Relation() | Clock() | Cases():
            return node.text
        case Ratio():
            return "/".join(f"({part.text})" for part in node.parts)
        case Text():
            return node.words
        case BaseNumber():
            return f"{node.digits}_{{{node.base}}}"
        case Group():
            return node.opening + ",".join(map(to_latex, node.items)) + node.closing
        case Collection():
            return r"\{" + ",".join(map(to_latex, node.items)) + r"\}"
    rows = r"\\".join("&".join(map(to_latex, row)) for row in node.rows)
    return rf"\begin{{matrix}}{rows}\end{{matrix}}"
