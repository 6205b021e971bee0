r"""What in a sentence can be its answer: bold pieces, formulas between marks or without, numbers with their units, choices.

``pick`` says which of them the sentence gives as its answer, and whether its words leave no doubt: what follows "is" or
"we get", the right side of an equality, or the only one there is.
"""

import re
from typing import NamedTuple

from verl_ext.grading.answers import wording
from verl_ext.grading.answers.brackets import braces, is_balanced
from verl_ext.grading.answers.passages import PROSE, formulas
from verl_ext.grading.answers.units import unit_of

BOLD = re.compile(r"\*\*(?P<stars>[^*\n]{1,200})\*\*|__(?P<lines>[^_\n]{1,200})__|\\textbf\{(?P<latex>[^{}]{1,200})\}")
LATIN = r"a-zA-Z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
TOKEN = re.compile(
    r"(?P<number>\d+(?::\d+)+|\d+(?:[.,'\u00a0\u202f\u066b\u066c]\d+)*(?: \d{3}(?!\d))*(?:,\d+)?|\.\d+)"
    r"|(?P<command>\\[a-zA-Z]+(?:\s?\[[^\[\]\n]{1,40}\])?|\\[%$,;!{}])"
    rf"|(?P<word>[{LATIN}]+(?:['’.][{LATIN}]+)*|[^\W\d_{LATIN}]+)"
    r"|(?P<blank>[^\S\n]+)"
    r"|(?P<sign>[-+*/^=<>≤≥≠≈()\[\]{}|!_·×÷√π∞°%‰$€£¥₹−–±∪∩∈²³½¼¾∛])"
    r"|(?P<other>.)",
    re.DOTALL,
)
CURRENCIES = "$€£¥₹"
DECIMAL_COMMA = re.compile(r"(?<![\d.,(\[{=])(?<!=\s)(\d+),(\d{1,2})(?![\d,.])")
"""In a sentence ``35,00`` is no list, which would have a blank."""
DOLLARS = re.compile(r"(?<!\w)(?:R|US|CA|AU|HK|NT|C|A)\$")
FUNCTIONS = frozenset("sqrt sin cos tan cot sec csc log ln exp pi infinity mod choose arcsin arccos arctan".split())
ENDS = frozenset("=<>≤≥≠≈-+*/^(×÷·−–±_√∪∩∈[{")
"""What a formula does not end with."""
LAYOUT = frozenset(r"\quad \qquad \, \; \! \hfill \newline \square \blacksquare \checkmark \noindent \par \qed".split())
"""Commands that only set what is beside them."""
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
NAME = re.compile(
    r"\\?[a-zA-Z]{1,8}(?:_\{?\w{1,3}\}?)?'*(?:\s*\(\s*[a-zA-Z](?:,\s*[a-zA-Z])?\s*\))?|\\(?:triangle|angle|overline|text)\b.{1,20}|[A-Z]{2,4}"
)
CHOICE = re.compile(r"\(?([A-J])\)|(?<!\w)([B-HJ])(?!\w)|(?<!\w)A(?=\s*$)|(?<!\w)A(?=[.,])")
JOIN = re.compile(
    r"\s*(?:,|;|、|،)?\s*(?:and|or|et|ou|und|oder|y|o|e|и|или|和|或|及|أو|و|또는|と|と)?\s*(?:,)?\s*", re.IGNORECASE
)
HAS_JOINT = re.compile(r"[,;、،]|\w")
IS, GIVES = (re.compile(wording.one_of(table), re.IGNORECASE) for table in (wording.IS, wording.GIVES))
BETWEEN_WORDS = frozenset(" ".join(wording.BETWEEN + wording.THEREFORE).split())
BOUND = re.compile(rf"\b(?:{'|'.join(wording.BOUND)})\b", re.IGNORECASE)
CLAUSE_START = re.compile(r"[,;，、]|\bthen\b|\bso\b")
PREMISE = re.compile(
    r"(?:^|\s|\()(?:if|when|since|because|as|where|given that|suppose|let|wenn|weil|da|si|puisque|car|comme|porque|como|ya que|se|poiché|если|так"
    r" как|поскольку)\s|如果|因为|因為|由于",
    re.IGNORECASE,
)
MAX_CLAUSE_CHARS = 120
MAX_BETWEEN_CHARS = 45
MAX_JOINED = 12
ARITHMETIC = re.compile(r"[\d\s.,+*/×÷·()^%$€£–-]*\d[\d\s.,+*/×÷·()^%$€£–-]*")
TIMES_BETWEEN = re.compile(r"(?<=\d)\s*x\s*(?=[$€£\d])")
LETTER, COMMAND = (
    re.compile(r"[^\W\d_]"),
    re.compile(r"\\(?!text|mathrm|mbox|pi(?![a-z])|theta|alpha|beta)[a-zA-Z]+|\\[$%]"),
)
ROWS = re.compile(r"\\\\(?:\[[^\]]{0,8}\])?")
ARROW = re.compile(
    r"\\(?:Rightarrow|implies|Longrightarrow|therefore|iff|Leftrightarrow|quad\\text\{so\}|quad)(?![a-zA-Z])|⇒|⟹|=>|→"
)
RELATION_FIRST = re.compile(r"^\s*(?:&\s*)?(?:=|\\approx|\\equiv)\s*(?:&\s*)?")
BROKEN = re.compile(r"\d[\d,.]*\s*(?!and\b|or\b)[a-zA-Z]+\s*[-+*/×÷–−]\s*$")
TIMES = re.compile(r"x\s*\d")
GROUPED = (
    (re.compile(r"(?<![\d.,])(\d{1,3})((?:[ \u00a0\u202f'’]\d{3})+)(?![\d])"), r"[ \u00a0\u202f'’]"),
    (re.compile(r"(?<![\d.,])(\d{1,3})((?:\.\d{3})+)(?=,\d)"), r"\."),
    (re.compile(r"(?<![\d.,])(\d{1,3})((?:\.\d{3}){2,})(?![\d.])"), r"\."),
)
"""Thousands that are certain, in the spellings of other languages: ``1 000``, ``1.000,5`` and ``1.000.000``."""


class Candidate(NamedTuple):
    start: int
    end: int
    text: str
    kind: str
    """bold, formula, plain (numbers and formulas without marks), equality (the right side of one without marks), choice, or
    name: a formula that only names something."""


class Picked(NamedTuple):
    text: str
    is_sure: bool
    """Whether the words of the sentence say that it is the answer."""


def plain_number(text: str) -> str:
    """With numbers in groups of thousands, as other languages write them, without their marks."""
    for pattern, mark in GROUPED:
        text = pattern.sub(lambda match, mark=mark: match[1] + re.sub(mark, "", match[2]), text)  # type: ignore[misc]
    text = DOLLARS.sub("$", text)
    return text.replace("\u066c", "").replace("\u066b", ".")


def formula_answer(content: str) -> str:
    """What a formula ends with: its last row, and what its last arrow leads to."""
    text = content.strip()
    if r"\begin" in text and r"\end" in text:
        inner = re.fullmatch(
            r"\\begin\{(?:aligned|align\*?|split|gathered)\}(.*)\\end\{[a-z]+\*?\}[\s.,]*", text, re.DOTALL
        )
        text = inner[1] if inner else text
    if r"\begin" not in text:
        rows = [row for row in ROWS.split(text) if row.strip(" &.,\n")]
        text = rows[-1] if rows else text
        text = RELATION_FIRST.sub("", text).replace("&", "")
        parts = [part for part in ARROW.split(text) if part.strip(" .,")]
        text = parts[-1] if parts else text
    return _right_side(text.strip().strip(",;").rstrip(".").strip())


def _right_side(text: str) -> str:
    """Of an equality whose left sides hold no name, and so only compute, the last side."""
    left, equals, right = text.rpartition("=")
    if not equals or left.endswith(("!", "<", ">", "\\ne", ":")) or not right.strip() or not is_balanced(braces(right)):
        return text
    return text if LETTER.search(COMMAND.sub(" ", left)) else right.strip()


def candidates(text: str) -> list[Candidate]:
    """Everything in a sentence that can be an answer, in order."""
    taken = [False] * len(text)
    found: list[Candidate] = []
    spans = formulas(text)
    for span in spans:
        answer = formula_answer(span.content)
        if answer:
            kind = "name" if NAME.fullmatch(answer) and not CHOICE.fullmatch(answer) else "formula"
            found.append(Candidate(span.start, span.end, answer, kind))
        taken[span.start : span.end] = [True] * (span.end - span.start)
    for match in BOLD.finditer(text):
        content = (match["stars"] or match["lines"] or match["latex"]).strip()
        inside = [each for each in found if match.start() <= each.start and each.end <= match.end()]
        crosses = len(inside) < sum(each.start < match.end() and match.start() < each.end for each in found)
        if _is_answer_in_bold(content) and not crosses:
            found = [each for each in found if each not in inside]
            found.append(Candidate(match.start(), match.end(), content, "bold"))
            taken[match.start() : match.end()] = [True] * (match.end() - match.start())
    found += _plain(text, taken)
    return sorted(found)


def _is_answer_in_bold(content: str) -> bool:
    if content.endswith((":", "：")) or PROSE.search(content):
        return False
    return any(map(str.isdigit, content)) or bool(CHOICE.fullmatch(content)) or "$" in content or "\\" in content


class _Run:
    """A formula without marks that is being read."""

    def __init__(self) -> None:
        self.start = self.end = -1
        self.depth = 0
        self.has_value = False
        self.only_letters = True


def _plain(text: str, taken: list[bool]) -> list[Candidate]:
    """Numbers and formulas without marks, in one pass over the words of the sentence."""
    tokens = list(TOKEN.finditer(text))
    found: list[Candidate] = []
    index = 0
    while index < len(tokens):
        last = _end_of_run(tokens, index, taken)
        if last == index:
            index += 1
            continue
        candidate, index = _candidate(text, tokens, index, last)
        if candidate:
            found.append(candidate)
    return found


def _is_mathematical(token: re.Match[str], previous: re.Match[str] | None) -> bool:
    kind = token.lastgroup
    if kind == "word":
        word = token[0]
        if word.lower() in FUNCTIONS:
            return True
        return (
            len(word) == 1
            and (word.isascii() or "\u0370" <= word < "\u0400")
            and (word not in wording.ARTICLES or _is_operator(previous))
        )
    return kind in {"number", "command", "sign"}


def _is_operator(token: re.Match[str] | None) -> bool:
    return token is not None and token[0] in "=+-*/^<>(×·−"


def _end_of_run(tokens: list[re.Match[str]], index: int, taken: list[bool]) -> int:
    """Where the formula that starts with a token ends; the same index where none starts."""
    depth, previous = 0, None
    position = index
    while position < len(tokens) and not taken[tokens[position].start()]:
        token = tokens[position]
        if token.lastgroup == "blank" or token[0] in LAYOUT:
            position += 1
            continue
        if token[0] in {",", ";"} and depth > 0:
            position += 1
            continue
        # Braces of a command may hold words: \text{ cm}.
        in_text = token.lastgroup == "word" and depth > 0 and _holds_words(tokens, index, position)
        if not (_is_mathematical(token, previous) or in_text or _is_assigned(tokens, position)):
            break
        depth += token[0] in OPENING
        if token[0] in CLOSING:
            if depth == 0:
                break
            depth -= 1
        previous = token
        position += 1
    return position


def _is_assigned(tokens: list[re.Match[str]], position: int) -> bool:
    """Whether a word of one letter is a name after all, because a sign follows: y = 4."""
    following = next((token[0] for token in tokens[position + 1 : position + 3] if token.lastgroup != "blank"), "")
    return len(tokens[position][0]) == 1 and tokens[position][0].isascii() and following in {"=", "<", ">"}


def _holds_words(tokens: list[re.Match[str]], index: int, position: int) -> bool:
    return any(
        token[0].startswith(r"\text") or token[0].startswith(r"\math")
        for token in tokens[max(index, position - 6) : position]
    )


def _candidate(text: str, tokens: list[re.Match[str]], first: int, end: int) -> tuple[Candidate | None, int]:
    """The formula of the tokens from ``first`` up to ``end``, with its unit, and the token where reading goes on."""
    last = end
    while last > first and (tokens[last - 1].lastgroup == "blank" or tokens[last - 1][0] in ENDS | LAYOUT):
        last -= 1
    while first < last and (
        tokens[first].lastgroup == "blank" or tokens[first][0] in LAYOUT or tokens[first][0] in "=*/^)]}|!_%°+<>≈"
    ):
        first += 1
    if first >= last:
        return None, max(end, first)
    kinds = {token.lastgroup for token in tokens[first:last]}
    if not kinds & {"number", "command"} and not any(token[0] in "=π∞√½" for token in tokens[first:last]):
        letter = CHOICE.fullmatch("".join(token[0] for token in tokens[first:last]).strip())
        kind = "choice" if letter else "name"
        content = text[tokens[first].start() : tokens[last - 1].end()].strip()
        return Candidate(tokens[first].start(), tokens[last - 1].end(), content, kind), end
    if _is_label(text, tokens, first, last):
        return None, end
    last -= _num_tokens_of_unit(tokens[first:last])
    stop = last
    if tokens[last - 1].lastgroup == "number" or tokens[last - 1][0] in CURRENCIES + "})":
        stop = _with_unit(tokens, last)
    content = text[tokens[first].start() : tokens[last - 1].end()]
    unit = text[tokens[last - 1].end() : tokens[stop - 1].end()]
    content += rf"\text{{{unit}}}" if any(map(str.isalpha, unit)) and "\\" not in unit else unit
    goes_on = bool(
        TIMES.match(content) or BROKEN.search(text, max(0, tokens[first].start() - 30), tokens[first].start())
    )
    answer = _plain_answer(content, goes_on=goes_on)
    kind = "equality" if "=" in content and "=" not in answer else "plain"
    return Candidate(tokens[first].start(), tokens[stop - 1].end(), answer, kind), max(stop, end)


def _is_label(text: str, tokens: list[re.Match[str]], first: int, last: int) -> bool:
    """Whether the number is that of a step, a case or an item of a list."""
    before = text[: tokens[first].start()].rstrip(" *#(")
    word = re.search(r"([^\W\d_]+)\.?$", before[-20:])
    if word and word[1].lower() in wording.LABELS:
        return True
    starts_line = not before or before.endswith("\n")
    following = text[tokens[last - 1].end() : tokens[last - 1].end() + 2]
    return (
        starts_line
        and last - first == 1
        and len(tokens[first][0]) <= 2
        and following[:1] in {".", ")"}
        and following[1:2] == " "
    )


def _with_unit(tokens: list[re.Match[str]], index: int) -> int:
    """The end of what belongs to a number before ``index``: units, percent, millions."""
    end = position = index
    while position < len(tokens) and position < index + 9:
        token = tokens[position]
        word = token[0].lower().rstrip(".")
        if token.lastgroup == "blank" or (token[0] in "/^" and end == position):
            position += 1
            continue
        if token.lastgroup == "number" and tokens[position - 1][0] == "^":
            end = position = position + 1
            continue
        if token[0] in {"²", "³"} and end == position > index:
            end = position = position + 1
            continue
        if token[0][0] in wording.KEPT_CHARACTERS + CURRENCIES or _belongs(token, word):
            end = position = position + 1
            continue
        break
    return end


def _num_tokens_of_unit(tokens: list[re.Match[str]]) -> int:
    """How many tokens at the end are a unit of one letter with its blank and power: ``6 m`` in a sentence is no product."""
    num_powers = sum(token[0] in {"²", "³"} for token in tokens[-1:])
    rest = tokens[: len(tokens) - num_powers]
    if len(rest) < 2 or rest[-1].lastgroup != "word" or not _belongs(rest[-1], rest[-1][0].lower()):
        return 0
    num_blanks = rest[-2].lastgroup == "blank"
    before = rest[: len(rest) - 1 - num_blanks]
    return 1 + num_blanks + num_powers if before and before[-1].lastgroup == "number" else 0


def _belongs(token: re.Match[str], word: str) -> bool:
    if token.lastgroup != "word":
        return False
    is_unit = unit_of(token[0]) is not None and word not in wording.UNITS_OF_TWO_MEANINGS
    return (
        is_unit
        or word in wording.KEPT_WORDS
        or word in {"square", "cubic", "squared", "cubed", "per", "percent", "pct"}
    )


def _plain_answer(content: str, *, goes_on: bool) -> str:
    """Of an equality between numbers the right side; numbers without marks of thousands."""
    content = ARROW.split(content)[-1]
    left, equals, right = content.rpartition("=")
    computes = (
        goes_on
        or ARITHMETIC.fullmatch(TIMES_BETWEEN.sub("*", left.replace("=", " ")))
        or not any(map(str.isalnum, left))
    )
    return DECIMAL_COMMA.sub(
        r"\1.\2", plain_number((right if equals and right.strip() and computes else content).strip())
    )


def joined(text: str, found: list[Candidate], first: int) -> str:
    """The candidate at ``first`` with those behind it that only "and", "or" or a comma part from it."""
    texts = [found[first].text]
    for index in range(first + 1, min(len(found), first + MAX_JOINED)):
        gap = text[found[index - 1].end : found[index].start].replace("*", "")
        if not JOIN.fullmatch(gap) or not HAS_JOINT.search(gap) or found[index].kind == "name":
            break
        texts.append(found[index].text)
    return texts[0] if len(texts) == 1 else ", ".join(texts)


def _backwards(text: str, found: list[Candidate], last: int) -> int:
    """The first of the candidates that are joined to the one at ``last``."""
    first = last
    while first > 0 and last - first < MAX_JOINED:
        gap = text[found[first - 1].end : found[first].start].replace("*", "")
        if not JOIN.fullmatch(gap) or not HAS_JOINT.search(gap) or found[first - 1].kind == "name":
            break
        first -= 1
    return first


def _bound_between(gap: str) -> str | None:
    """What of a gap belongs to the answer: nothing, or a bound; None where the gap holds anything else."""
    if len(gap) > MAX_BETWEEN_CHARS or wording.NOT.search(gap) or any(map(str.isdigit, gap)):
        return None
    bound = BOUND.search(gap)
    rest = BOUND.sub(" ", gap).lower()
    words = re.findall(r"[^\W\d_]+", rest)
    return (f"{bound[0]} " if bound else "") if all(word in BETWEEN_WORDS for word in words) else None


def is_nothing_between(gap: str) -> bool:
    """Whether a gap holds no word that changes what follows it."""
    return _bound_between(gap) == ""


def _is_premise(text: str, position: int) -> bool:
    """Whether the clause says what is given, or why: "if there are 3", "since x is 2"."""
    clause = CLAUSE_START.split(text[max(0, position - MAX_CLAUSE_CHARS) : position])[-1]
    return bool(PREMISE.search(clause))


def said(text: str, found: list[Candidate], pattern: re.Pattern[str], start: int = 0) -> str | None:
    """The candidate that follows the last match of a pattern with nothing of weight between, and those joined to it."""
    for match in reversed(list(pattern.finditer(text, start))):
        if any(each.start <= match.start() < each.end for each in found) or _is_premise(text, match.start()):
            continue
        index = next((index for index, each in enumerate(found) if each.start >= match.end()), None)
        if index is None:
            continue
        bound = _bound_between(text[match.end() : found[index].start])
        if bound is not None:
            return bound + joined(text, found, index)
    return None


LINK = re.compile(
    rf"{wording.one_of(wording.IS)}|[:：=≈]|\b(?:i\.e\.|namely|that is|d\.h\.|es decir|c'est-à-dire),?", re.IGNORECASE
)
SUBJECT = re.compile(
    rf"[\s,*.;:—–-]*(?:that\s|which\s)?{wording.one_of(wording.IS)}\s+(?:the|our|your|its|la|le|die|der|das|el|o|il)?\b",
    re.IGNORECASE,
)
THEREFORE = re.compile(wording.one_of(wording.THEREFORE), re.IGNORECASE)


def _is_aside(text: str, candidate: Candidate) -> bool:
    """Whether a number only says when, for whom or of what."""
    return bool(ASIDE.search(text, max(0, candidate.start - MAX_ASIDE_CHARS), candidate.start))


def _is_negated(text: str, found: list[Candidate], index: int) -> bool:
    """Whether "not" stands before a candidate, with nothing but words between, or "is not" behind it."""
    start = max(found[index - 1].end if index else 0, found[index].start - MAX_NEGATION_CHARS)
    negation = NOT_BEFORE.search(text, start, found[index].start)
    # "What is not on the bottom is 18": another verb, and no longer denied.
    is_denied = negation is not None and not IS.search(DIRECTLY.sub("", wording.NOT.split(negation[0])[-1]))
    is_part = MODIFIED.search(text, start, found[index].start) or text.startswith(" divides", found[index].end)
    return is_denied or bool(is_part) or bool(NOT_BEHIND.match(text, found[index].end))


NOT_BEFORE = re.compile(rf"(?:{wording.NOT.pattern})[^,;.:，]*$", re.IGNORECASE)
NOT_BEHIND = re.compile(
    rf"\s*(?:{wording.one_of(wording.IS)}|does|do|can|could)?\s*(?:{wording.NOT.pattern})", re.IGNORECASE
)
MODIFIED = re.compile(
    r"\b(?:(?:divisible|divided|multiplied) by|(?:multiples?|half|power|factors?|divisors?|roots?) of|twice|double|modulo|mod)\s+[$]?$",
    re.IGNORECASE,
)
"""What makes the number behind it a part of another one."""
DIRECTLY = re.compile(rf"^(?:\s*{wording.one_of(wording.IS)})+", re.IGNORECASE)
MAX_NEGATION_CHARS, MAX_ASIDE_CHARS = 25, 30
ASIDE_BEHIND = re.compile(r"\s*[^\W\d_]{0,8}?\s*(?:後|后|以内|之后|之前|뒤|후|동안|later\b|ago\b)")
ASIDE = re.compile(
    rf"(?:(?<!\w)(?:{'|'.join(sorted(map(re.escape, wording.ASIDE.split()), key=len, reverse=True))})|\bof\s+(?:the|all|his|her|their|its))"
    r"\s+(?:[^\W\d_]{1,4}\s+)?[$€£]?$",
    re.IGNORECASE,
)


def says(text: str) -> str | None:
    """What a sentence says its answer is in so many words: an equality, or behind "is", "we get" or "so"."""
    found = _affirmed(text, candidates(text))
    valued = [each for each in found if each.kind not in {"name", "choice"}]
    equalities = [each for each in valued if each.kind == "equality"]
    linked = [each for each in found if each.kind == "choice" or each in valued] if valued else found
    whole = [each for each in valued if each.kind == "formula" or set(each.text) & set("=<>≤≥")]
    answer = said(text, linked, LINK, equalities[-1].end if equalities else 0)
    if answer is None:
        answer = equalities[-1].text if equalities else said(text, valued, GIVES) or said(text, whole, THEREFORE)
    return answer


def _affirmed(text: str, found: list[Candidate]) -> list[Candidate]:
    """The candidates that are not denied, and of these, where there are others, not those that say when."""
    affirmed = [each for index, each in enumerate(found) if not _is_negated(text, found, index)]
    return [each for each in affirmed if not ASIDE_BEHIND.match(text, each.end)] or affirmed


def pick(text: str) -> Picked | None:
    """The answer that a sentence gives, or None where it holds nothing that could be one."""
    everything = candidates(text)
    found = _affirmed(text, everything)
    if everything and not found:
        return Picked("", is_sure=False)
    bold = [index for index, each in enumerate(found) if each.kind == "bold"]
    if bold:
        return Picked(joined(text, found, _backwards(text, found, bold[-1])), is_sure=True)
    answer = says(text)
    if answer is not None:
        return Picked(answer, is_sure=True)
    valued = [each for each in found if each.kind not in {"name", "choice"}]
    return _by_place(text, valued) if valued else None


def _by_place(text: str, valued: list[Candidate]) -> Picked:
    """The answer of a sentence whose words do not point at it: its only value, its subject, or its last value."""
    main = [each for each in valued if not _is_aside(text, each)]
    if len(valued) == 1 or len(main) == 1:
        return Picked((main or valued)[0].text, is_sure=True)
    opening = THEREFORE.sub("", text[: valued[0].start])
    is_subject = all(word.lower() in BETWEEN_WORDS for word in re.findall(r"\w+", opening))
    if is_subject and SUBJECT.match(text, valued[0].end):
        return Picked(valued[0].text, is_sure=True)
    first = _backwards(text, valued, len(valued) - 1)
    return Picked(joined(text, valued, first), is_sure=first == 0)
