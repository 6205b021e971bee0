"""The units, magnitudes and counted things that ``units`` knows.

A table and not a library of units (pint): that takes "points" and "grade" for units, and is slow to start in a process that
has to stay light, since every worker of a training asks here.
"""

from fractions import Fraction
from typing import Any

Row = tuple[Fraction, tuple[tuple[str, int], ...]]

PREFIXES = {"n": "1e-9", "\u03bc": "1e-6", "\u00b5": "1e-6", "m": "1e-3", "c": "1e-2", "d": "1e-1", "k": "1e3"}
PREFIXES |= {"M": "1e6", "G": "1e9", "T": "1e12"}
PREFIX_NAMES = {"nano": "1e-9", "micro": "1e-6", "milli": "1e-3", "centi": "1e-2", "deci": "1e-1", "kilo": "1e3"}
PREFIX_NAMES |= {"mega": "1e6", "giga": "1e9"}
METRIC = (
    ("m", "meter metre", "1", "m"),
    ("g", "gram gramme", "1", "g"),
    ("s", "second", "1", "s"),
    ("A", "ampere amp", "1", "A"),
    ("K", "kelvin", "1", "K"),
    ("mol", "mole", "1", "mol"),
    ("L l", "liter litre", "1/1000", "m 3"),
    ("N", "newton", "1000", "g m s -2"),
    ("J", "joule", "1000", "g m 2 s -2"),
    ("W", "watt", "1000", "g m 2 s -3"),
    ("Pa", "pascal", "1000", "g m -1 s -2"),
    ("Hz", "hertz", "1", "s -1"),
    ("V", "volt", "1000", "g m 2 s -3 A -1"),
    ("\u03a9 \u2126", "ohm", "1000", "g m 2 s -3 A -2"),
    ("T", "tesla", "1000", "g s -2 A -1"),
    ("eV", "electronvolt", "1", "eV"),
    ("cal", "calorie", "1", "cal"),
    ("B", "byte", "8", "bit"),
)
"""Symbols, names, size and powers of base units; each also with every prefix."""
OTHER_UNITS = (
    ("in inch inches", "254/10000", "m"),
    ("ft foot feet", "3048/10000", "m"),
    ("yd yard", "9144/10000", "m"),
    ("mi mile", "1609344/1000", "m"),
    ("acre", "40468564224/10000000", "m 2"),
    ("ha hectare", "10000", "m 2"),
    ("gal gallon", "3785411784/1000000000000", "m 3"),
    ("cc", "1/1000000", "m 3"),
    ("mph", "1609344/3600000", "m s -1"),
    ("kph kmph", "1000/3600", "m s -1"),
    ("gm gms", "1", "g"),
    ("lb pound", "45359237/100000", "g"),
    ("oz ounce", "45359237/1600000", "g"),
    ("ton tonne", "1", "ton"),
    ("sec", "1", "s"),
    ("min minute", "60", "s"),
    ("h hr hour", "3600", "s"),
    ("d day", "86400", "s"),
    ("week wk", "604800", "s"),
    ("month", "1", "month"),
    ("year yr", "12", "month"),
    ("decade", "120", "month"),
    ("erg", "1/10000", "g m 2 s -2"),
    ("atm", "1", "atm"),
    ("dollar usd buck", "1", "usd"),
    ("cent", "1/100", "usd"),
    ("euro eur", "1", "eur"),
    ("gbp sterling", "1", "gbp"),
    ("yuan rmb cny", "1", "cny"),
    ("jiao", "1/10", "cny"),
    ("rupee inr", "1", "inr"),
    ("yen jpy", "1", "jpy"),
    ("deg degree", "1", "deg"),
    ("radian rad", "1", "rad"),
    ("C celsius", "1", "celsius"),
    ("F fahrenheit", "1", "fahrenheit"),
    ("bit", "1", "bit"),
    ("unit", "1", "unit"),
)
MAGNITUDES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
MAGNITUDES |= {"hundreds": 100, "thousands": 10**3, "millions": 10**6, "billions": 10**9, "trillions": 10**12}
MAGNITUDES |= {"dozens": 12, "lakh": 10**5, "crore": 10**7, "mio": 10**6}
FILLERS = frozenset("of the a an in on total each altogether distinct different possible th whole".split())
COUNTED = frozenset(
    "acorn animal answer apple arrangement arrow ball balloon banana bag basket bead bean bear bicycle bill bird block board"
    " boat book bottle bowl box boy brick bucket bus button cake candle candy car card cat chair chapter chicken child choice"
    " chocolate circle class clip clock coach coin color combination committee computer cookie couple course cow crate crayon"
    " cube cup customer dap day diagonal digit dish divisor dog doll door dot dress driver duck edge egg element employee"
    " envelope face factor family farmer fish flag flight flower friend fruit function game girl glass goal goat grade grader"
    " grape group guest handshake hat home horse house inhabitant integer intersection item jar job key king kitten lamp"
    " lap leaf leg lemon lesson letter lily line locker lollipop magazine man marble match meal member mile-marker minor"
    " month movie muffin multiple mug notebook number nut orange order outcome outfit packet page painting pair pancake"
    " parent part participant passenger path peach pear pen pencil penny people permutation person phone picture piece pig pizza"
    " place plant plate player point pole pony post potato present prime prisoner problem puppy question rabbit ray rectangle"
    " region ribbon ring road rock root rope rose route row sandwich seat segment sequence set sheep shelf shell shirt shoe"
    " shop side sister slice sock solution song spoon square-unit stamp star step stick sticker stone store story strawberry"
    " student subset table teacher team term test ticket tile time tourist toy train tree triangle triple trip truck tulip"
    " turtle value vehicle vertex video visitor vote walk way wheel window woman word worker zero".split()
)  # fmt: skip
SINGULARS = {
    "people": "person",
    "children": "child",
    "men": "man",
    "women": "woman",
    "vertices": "vertex",
    "dice": "die",
}
SINGULARS |= {"leaves": "leaf", "shelves": "shelf", "boxes": "box", "classes": "class", "pennies": "penny"}
OTHER_SCRIPTS = {
    "\u767e": "hundred", "\u5343": "thousand", "\u4e07": "hundred hundred", "\u842c": "hundred hundred",
    "\u4ebf": "hundred million", "\u5104": "hundred million",
    "\u89d2": "jiao",
    "\u5143": "yuan", "\u7f8e\u5143": "dollar", "\u6b27\u5143": "euro", "\u5186": "yen", "\u5206\u949f": "minute",
    "\u5c0f\u65f6": "hour", "\u79d2": "second", "\u5929": "day", "\u65e5": "day", "\u5468": "week", "\u5e74": "year",
    "\u7c73": "meter", "\u5398\u7c73": "centimeter", "\u5343\u7c73": "kilometer", "\u516c\u91cc": "kilometer",
    "\u6beb\u7c73": "millimeter", "\u514b": "gram", "\u5343\u514b": "kilogram", "\u516c\u65a4": "kilogram",
    "\u5347": "liter", "\u5ea6": "degree", "\u5e73\u65b9": "square", "\u7acb\u65b9": "cubic",
    "\u4e2a": "item", "\u500b": "item", "\u4eba": "person", "\u6b21": "time", "\u79cd": "way", "\u7a2e": "way",
    "\u53ea": "item", "\u672c": "item", "\u5f20": "item", "\u5c81": "year", "\u9898": "problem", "\u9875": "page",
    "\u0441\u043c": "cm", "\u043c": "m", "\u043a\u043c": "km", "\u043a\u0433": "kg", "\u0433": "g", "\u0447": "h",
    "\u043c\u0438\u043d": "min", "\u0440\u0443\u0431": "ruble", "\u0440\u0443\u0431\u043b\u0435\u0439": "ruble",
}  # fmt: skip
"""Names in other scripts, by the words of this table that they stand for."""


def _powers(definition: str) -> tuple[tuple[str, int], ...]:
    """``g m 2 s -2`` as powers of base units."""
    powers: dict[str, int] = {}
    name = ""
    for word in definition.split():
        if word.lstrip("-").isdigit():
            powers[name] = int(word)
        else:
            name, powers[word] = word, 1
    return tuple(sorted(powers.items()))


def _all_units() -> dict[str, Row]:
    units: dict[str, Any] = {}
    for names, size, definition in OTHER_UNITS:
        row = Fraction(size), _powers(definition)
        units |= {name + ending: row for name in names.split() for ending in ("", "s" if len(name) > 1 else "")}
    for symbols, names, size, definition in METRIC:
        powers = _powers(definition)
        for prefix, factor in (("", "1"), *PREFIXES.items()):
            for symbol in symbols.split():
                units.setdefault(prefix + symbol, (Fraction(size) * Fraction(factor), powers))
        for prefix, factor in (("", "1"), *PREFIX_NAMES.items()):
            row = Fraction(size) * Fraction(factor), powers
            units |= {prefix + name + ending: row for name in names.split() for ending in ("", "s")}
    return {**units, "cms": units["cm"], "kms": units["km"], "kgs": units["kg"], "ruble": (Fraction(1), (("rub", 1),))}


UNITS = _all_units()
"""Every name and symbol, with its size in base units and their powers."""
