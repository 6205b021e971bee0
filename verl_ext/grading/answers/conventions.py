"""Where mathematics does not decide, these do: named options of a task, each with a default.

The defaults are what people who ask the questions of the data sets here let pass. A task names others
(``verl_ext.tasks.task.Task.conventions``), a run names them for all its mathematical tasks
(VERL_EXT_GRADER_CONVENTIONS). The table with reasons is in docs/grading.md.
"""

from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal, get_args, get_type_hints


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What counts as the same answer. Raises ValueError for a value that an option does not have."""

    list_order: Literal["any", "as_given"] = "any"
    """Whether a list in another order is the same answer. A tuple always has an order."""
    units: Literal["optional", "required"] = "optional"
    """Whether a unit that the reference carries may be left out. Two units have to be one quantity either way."""
    counted: Literal["optional", "required"] = "optional"
    """Whether what was counted (5 apples) may be left out. Two sides that both say it have to agree either way."""
    percent: Literal["either", "hundredth"] = "either"
    """What a percent sign that only one side carries is: nothing or a hundredth, or always a hundredth."""
    decimals: Literal["stated", "exact"] = "stated"
    """Whether three or more stated decimals are a number that no decimal spells, or only an approximation of it."""
    rounding: Literal["any", "near"] = "any"
    r"""Whether what an answer is said to be about (``1/3 \approx 1.3``) has to be near it. It has to where the reference
    says it too."""
    ratio: Literal["quotient", "ratio"] = "quotient"
    """Whether the ratio of two numbers is also their quotient."""
    half_of_day: Literal["optional", "required"] = "optional"
    """Whether a time that the reference gives with a.m. or p.m. may come without."""
    choice: Literal["letter_or_text", "letter"] = "letter_or_text"
    """Whether the text behind the letter of a choice is an answer without the letter, on either side."""
    condition: Literal["optional", "required"] = "optional"
    """Whether "for all x > 0" may be left out, or added."""
    named_parts: Literal["tuple", "names"] = "tuple"
    """Whether x = 3, y = -1 is also the tuple (3,-1)."""
    vector: Literal["either", "as_written"] = "either"
    """Whether a column or row of a matrix is also a tuple."""
    form: Literal["any", "as_reference"] = "any"
    """Whether an answer has to have the form of the reference (``forms``): expanded, factored, a reduced fraction."""

    def __post_init__(self) -> None:
        for option, value in changed(self).items():
            _checked(option, value)

    def __str__(self) -> str:
        """The options that are no defaults, as ``read_conventions`` reads them."""
        return ",".join(f"{option}={value}" for option, value in changed(self).items())


OPTIONS: dict[str, tuple[str, ...]] = {name: get_args(hint) for name, hint in get_type_hints(Conventions).items()}
"""Every option with its values, the default first."""


def changed(conventions: Conventions) -> dict[str, str]:
    """The options that differ from their defaults."""
    values = {each.name: (getattr(conventions, each.name), each.default) for each in fields(conventions)}
    return {name: value for name, (value, default) in values.items() if value != default}


DEFAULTS = Conventions()


def read_options(text: str) -> dict[str, str]:
    """The options of ``list_order=as_given,units=required``, of which some may be defaults; blanks do not matter.

    Raises:
        ValueError: There is no such option or value, or an option stands there twice; says what there is.
    """
    given: dict[str, str] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        option, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"{item!r} is no convention: write option=value, such as list_order=as_given.")
        if option in given:
            raise ValueError(f"the convention {option} stands there twice.")
        given[option] = _checked(option, value)
    return given


@lru_cache(maxsize=64)
def read_conventions(text: str, base: Conventions = DEFAULTS) -> Conventions:
    """``base`` with the options of ``text``. Raises as ``read_options``."""
    return replace(base, **read_options(text))  # type: ignore[arg-type]  # checked


def _checked(option: str, value: str) -> str:
    if option not in OPTIONS:
        nearest = get_close_matches(option, OPTIONS, n=1, cutoff=0.5)
        hint = f"Did you mean {nearest[0]}?" if nearest else f"There is {', '.join(OPTIONS)}."
        raise ValueError(f"there is no convention {option!r}. {hint}")
    if value not in OPTIONS[option]:
        raise ValueError(f"the convention {option} is {' or '.join(OPTIONS[option])}, not {value!r}.")
    return value
