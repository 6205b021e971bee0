r"""Show that a change of the grader moves no verdict: write all verdicts before and after it, and compare the two files.

    python benchmarks/verdicts.py write before.jsonl --source ../before    the grader of another checkout
    python benchmarks/verdicts.py write after.jsonl                        the grader of this one
    python benchmarks/verdicts.py compare before.jsonl after.jsonl         exits with 1 if a verdict differs
    python benchmarks/verdicts.py mistakes before.jsonl after.jsonl        labels missed, by suite and kind of mistake

The default and the paper's grader grade every row of the labeled cases; the default one also grades seeded mutations of
their answers and references, and of golden rows. The cases depend on the seed and the files alone, not on the
code under test, so that two checkouts grade the same ones.

``compare`` counts verdicts by reason and shows differences. A row that timed out on either side is counted apart: a slow
comparison may just fit its time once and not the next time.
"""

import argparse
import asyncio
import json
import os
import random
import re
import string
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from in_flight import for_each

ROOT = Path(__file__).resolve().parents[1]
CASES = ("cases", "kinds", "qwen_math_responses", "gsm8k_solutions")
GRADERS = ("default", "paper")
VERDICT = ("reason", "answer", "rule", "tier", "detail")

Row = dict[str, Any]
Mutation = Callable[[random.Random, str], str]


@dataclass(frozen=True)
class Case:
    """One call of the grader."""

    origin: str
    """The file and row it comes from, or the mutations that made it."""
    response: str
    reference: str
    task: str = "math"
    grader: str = "default"
    is_truncated: bool = False

    @property
    def key(self) -> str:
        return f"{self.grader} {self.origin} {sha256(repr(asdict(self)).encode()).hexdigest()[:12]}"


# The labeled cases


def read_rows(path: Path) -> list[Row]:
    if not path.is_file():
        raise SystemExit(
            f"There is no {path}. Name the folder of the cases with --cases, the golden rows with --golden."
        )
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def boxed(answer: str) -> str:
    return answer if "boxed" in answer else rf"\boxed{{{answer}}}"


def case_of(name: str, index: int, row: Row, grader: str) -> Case:
    response = str(row["response"] if "response" in row else row["pred"])
    reference = str(row["reference"] if "reference" in row else row["gold"])
    task = row.get("task") or ("gsm8k" if name == "gsm8k_solutions" else "math")
    response = boxed(response) if name == "cases" and row["kind"] == "expr" else response
    return Case(f"{name}:{index}", response, reference, task, grader)


def labeled_cases(folder: Path) -> Iterator[Case]:
    for grader in GRADERS:
        for name in CASES:
            for index, row in enumerate(read_rows(folder / f"{name}.jsonl")):
                yield case_of(name, index, row, grader)


# Mutations of an answer or a reference

COMMANDS = (
    r"\frac",
    r"\sqrt",
    r"\pi",
    r"\,",
    r"\cdot",
    r"\left",
    r"\text",
    r"\infty",
    r"\pm",
    r"\circ",
    r"\cup",
    "^",
    "_",
)
UNITS = (r"\text{ cm}", " meters", "%", r"\%", r"^\circ", r"\text{ dollars}", "$", " hours", r"\text{ cm}^2")
UNUSUAL = "\u2212\u00d7\u221e\u03c0\u00bd\uff15\u00a0\u200b|&;:!~"
LEFT_RIGHT = ((r"\left(", r"\right)"), (r"\left[", r"\right)"), (r"\left\{", r"\right\}"), (r"\left|", r"\right|"))


def place(generator: random.Random, text: str) -> int:
    return generator.randrange(len(text) + 1)


def drop_character(generator: random.Random, text: str) -> str:
    at = place(generator, text)
    return text[:at] + text[at + 1 :]


def double_character(generator: random.Random, text: str) -> str:
    at = place(generator, text)
    return text[:at] + text[at : at + 1] + text[at:]


def swap_characters(generator: random.Random, text: str) -> str:
    at = place(generator, text)
    return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]


def insert_character(generator: random.Random, text: str) -> str:
    at = place(generator, text)
    return text[:at] + generator.choice(string.printable[:95] + UNUSUAL) + text[at:]


def insert_command(generator: random.Random, text: str) -> str:
    at = place(generator, text)
    return text[:at] + generator.choice(COMMANDS) + text[at:]


def change_digit(generator: random.Random, text: str) -> str:
    return change_one_of("0123456789", generator, text)


def change_bracket(generator: random.Random, text: str) -> str:
    return change_one_of("()[]{}|", generator, text)


def change_operator(generator: random.Random, text: str) -> str:
    return change_one_of("+-*/^=<>,", generator, text)


def change_one_of(alphabet: str, generator: random.Random, text: str) -> str:
    places = [index for index, char in enumerate(text) if char in alphabet]
    if not places:
        return text + generator.choice(alphabet)
    at = generator.choice(places)
    return text[:at] + generator.choice(alphabet) + text[at + 1 :]


def drop_brace(generator: random.Random, text: str) -> str:
    places = [index for index, char in enumerate(text) if char in "{}"]
    at = generator.choice(places) if places else len(text)
    return text[:at] + text[at + 1 :]


def wrap_in_text(generator: random.Random, text: str) -> str:
    return rf"\{generator.choice(('text', 'mathrm', 'textbf', 'mbox'))}{{{text}}}"


def wrap_in_box(_generator: random.Random, text: str) -> str:
    return rf"\boxed{{{text}}}"


def wrap_in_left_right(generator: random.Random, text: str) -> str:
    left, right = generator.choice(LEFT_RIGHT)
    return f"{left} {text} {right}"


def wrap_in_brackets(generator: random.Random, text: str) -> str:
    return generator.choice("([{$") + text + generator.choice(")]}$")


def append_unit(generator: random.Random, text: str) -> str:
    return text + generator.choice(UNITS)


def negate(_generator: random.Random, text: str) -> str:
    return text[1:] if text.startswith("-") else f"-{text}"


def name_it(generator: random.Random, text: str) -> str:
    return f"{generator.choice(('x', 'f(x)', 'y ', 'n', 'A'))}={text}"


def reorder_parts(generator: random.Random, text: str) -> str:
    parts = text.split(",")
    generator.shuffle(parts)
    return ",".join(parts)


def change_case(_generator: random.Random, text: str) -> str:
    return text.swapcase()


def double_backslashes(_generator: random.Random, text: str) -> str:
    return text.replace("\\", "\\\\")


MUTATIONS: tuple[Mutation, ...] = (
    drop_character, double_character, swap_characters, insert_character, insert_command, change_digit, change_bracket,
    change_operator, drop_brace, wrap_in_text, wrap_in_box, wrap_in_left_right, wrap_in_brackets, append_unit, negate,
    name_it, reorder_parts, change_case, double_backslashes,
)  # fmt: skip


# Mutations of a whole response

FRAMES = {
    "box": r"So the answer is \boxed{{{0}}}.",
    "bare box": r"\boxed{{{0}}}",
    "phrase": "Adding up, the answer is {0}.",
    "bold": "Therefore **{0}**",
    "formula": "It follows that\n\\[ x = {0} \\]",
    "dollars": "We get ${0}$.",
    "brackets": r"The result is \({0}\)",
    "hashes": "So it is.\n#### {0}",
    "second box": r"First \boxed{{7}}, then \boxed{{{0}}}.",
    "box before": r"\boxed{{{0}}} and \boxed{{",
    "fbox": r"so \fbox{{{0}}}",
    "nothing": "{0}",
}


def mutated(generator: random.Random, text: str) -> tuple[str, list[str]]:
    """``text`` after one to three mutations, and their names."""
    chosen = generator.choices(MUTATIONS, k=generator.choice((1, 1, 2, 3)))
    for mutate in chosen:
        text = mutate(generator, text)
    return text, [mutate.__name__ for mutate in chosen]


def cut(generator: random.Random, response: str) -> str:
    return response[: place(generator, response)]


# Cases made by mutation


def answer_pairs(folder: Path, golden: Path) -> list[tuple[str, str]]:
    """References with answers to them, right or wrong."""
    pairs = [(str(row["gold"]), str(row["pred"])) for row in read_rows(folder / "cases.jsonl") if row["kind"] == "expr"]
    pairs += [(str(row["reference"]), inside_of(row["response"])) for row in read_rows(folder / "kinds.jsonl")]
    pairs += [(str(row["reference"]), str(row["answer"])) for row in read_rows(golden) if "answer" in row]
    for name in ("qwen_math_responses", "gsm8k_solutions"):
        pairs += [(str(row["gold"]), inside_of(row["pred"])) for row in read_rows(folder / f"{name}.jsonl")[::8]]
    return pairs


def inside_of(response: str) -> str:
    """What the last box holds, or the last line; cut where that is long."""
    _, box, text = response.rpartition(r"\boxed{")
    if not box:
        return response.strip().rpartition("\n")[2][:200]
    depth = 1
    for at, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if not depth:
            return text[:at][:200]
    return text[:200]


def mutated_cases(folder: Path, golden: Path, number: int, seed: int) -> Iterator[Case]:
    pairs = answer_pairs(folder, golden)
    solutions = [case_of(name, 0, row, "default") for name in CASES[2:] for row in read_rows(folder / f"{name}.jsonl")]
    for index in range(number):
        generator = random.Random(f"{seed} {index}")
        kind = generator.random()
        if kind < 0.05:
            case = mutated_expression(generator)
        elif kind < 0.1:
            case = mutated_solution(generator, generator.choice(solutions))
        else:
            case = mutated_answer(generator, pairs)
        yield Case(
            f"mutation:{index} {case.origin}", case.response, case.reference, case.task, "default", case.is_truncated
        )


def mutated_answer(generator: random.Random, pairs: list[tuple[str, str]]) -> Case:
    reference, answer = generator.choice(pairs)
    if generator.random() < 0.5:
        answer = reference
    names = []
    if generator.random() < 0.1:
        answer, names = f"{answer}, {generator.choice(pairs)[1]}", ["join_two_answers"]
    if generator.random() < 0.8:
        answer, more = mutated(generator, answer)
    else:
        reference, more = mutated(generator, reference)
        more = [f"{name} of the reference" for name in more]
    frame = generator.choice(tuple(FRAMES)) if generator.random() < 0.4 else "bare box"
    response, is_cut = FRAMES[frame].format(answer), generator.random() < 0.05
    if is_cut:
        response = cut(generator, response)
    task = generator.choice(("math", "math", "math", "gsm8k"))
    origin = ", ".join([*names, *more, frame, *["cut"] * is_cut])
    return Case(origin, response, reference, task, is_truncated=is_cut and generator.random() < 0.8)


def mutated_solution(generator: random.Random, solution: Case) -> Case:
    response = solution.response
    change = generator.choice(("cut", "second box", "change_digit", "drop_brace", "insert_command", "without boxes"))
    if change == "cut":
        response = cut(generator, response)
    elif change == "second box":
        response += rf" \boxed{{{mutated(generator, solution.reference)[0]}}}"
    elif change == "without boxes":
        response = re.sub(r"\\boxed", "", response)
    else:  # near the end, where the answer is
        mutate = {"change_digit": change_digit, "drop_brace": drop_brace, "insert_command": insert_command}[change]
        response = response[:-80] + mutate(generator, response[-80:])
    is_truncated = change == "cut" and generator.random() < 0.8
    return Case(f"solution, {change}", response, solution.reference, solution.task, is_truncated=is_truncated)


def mutated_expression(generator: random.Random) -> Case:
    """Countdown: an expression, mutated in two of three cases, whose target is its value."""
    numbers = [generator.randrange(1, 100) for _ in range(generator.choice((3, 4)))]
    text, value = str(numbers[0]), Fraction(numbers[0])
    for number in numbers[1:]:
        symbol = generator.choice("+-*/")
        value = {"+": value + number, "-": value - number, "*": value * number, "/": value / number}[symbol]
        text = f"({text}{symbol}{number})" if generator.random() < 0.7 else f"{number}{symbol}{text}"
    target = int(value) + generator.choice((0, 0, 1))
    names = ["as it is"]
    if generator.random() < 0.66:
        mutate = generator.choice(MUTATIONS[:8])
        text, names = mutate(generator, text), [mutate.__name__]
    response = text if generator.random() < 0.3 else f"<think>{text}</think> <answer> {text} </answer>"
    is_cut = generator.random() < 0.1
    if is_cut:
        response, names = cut(generator, response), [*names, "cut"]
    reference = json.dumps({"numbers": numbers, "target": target})
    return Case(f"countdown, {', '.join(names)}", response, reference, "countdown", is_truncated=is_cut)


# Grading


async def write_verdicts(cases: Iterator[Case], file: TextIO) -> Counter[str]:
    """Grade all of them at once, as far as the workers come; a line for each, in the order in which they are done."""
    from verl_ext.grading import grade_async

    reasons: Counter[str] = Counter()

    async def write_one(case: Case) -> None:
        try:
            verdict = await grade_async(
                case.response, case.reference, case.task, is_truncated=case.is_truncated, grader=case.grader
            )
            fields = {name: getattr(verdict, name) for name in VERDICT}
        except ValueError as error:  # a reference that no answer can be compared with
            fields = dict.fromkeys(VERDICT) | {"reason": "refused", "detail": str(error)}
        reasons[fields["reason"]] += 1
        shown = {"reference": case.reference[:300], "response": case.response[-300:]}
        file.write(json.dumps({"key": case.key, **shown, **fields}) + "\n")

    await for_each(cases, write_one)
    return reasons


def write(options: argparse.Namespace) -> int:
    folder, golden, output = (path.resolve() for path in (options.cases, options.golden, options.file))
    # The workers of the grader, started by python -m, must find the same checkout.
    os.chdir(options.source)
    sys.path.insert(0, os.getcwd())
    os.environ.setdefault("VERL_EXT_GRADER_WORKERS", str(os.cpu_count() or 1))
    import verl_ext

    print(f"Grading with {Path(verl_ext.__file__).parent}", file=sys.stderr)

    def cases() -> Iterator[Case]:
        yield from labeled_cases(folder)
        yield from mutated_cases(folder, golden, options.mutations, options.seed)

    with output.open("w", encoding="utf-8") as file:
        reasons = asyncio.run(write_verdicts(cases(), file))
    print(f"{sum(reasons.values())} verdicts: {', '.join(f'{name} {count}' for name, count in reasons.most_common())}")
    return 0


# Mistakes


def group_of(name: str, row: Row) -> str:
    """The suite of a labeled row, or its kind of mistake."""
    if name == "kinds":
        return f"kind: {row['kind']}"
    return f"{row['suite']}{' (full)' if name == 'cases' and row['kind'] == 'full' else ''}"


def mistakes(options: argparse.Namespace) -> int:
    """How often the default grader missed the label of ``cases`` and ``kinds``, in each of the files."""
    files = [read_verdicts(path) for path in options.files]
    tables: dict[str, list[Counter[str]]] = defaultdict(lambda: [Counter() for _ in files])
    num_rows: Counter[str] = Counter()
    for name in CASES[:2]:
        for index, row in enumerate(read_rows(options.cases / f"{name}.jsonl")):
            key = case_of(name, index, row, GRADERS[0]).key
            if missing := [str(path) for path, rows in zip(options.files, files, strict=True) if key not in rows]:
                raise SystemExit(f"{missing[0]} has no verdict on row {index} of {name}: write it with these cases.")
            for group in (group_of(name, row), f"all of {name}"):
                num_rows[group] += 1
                for rows, counts in zip(files, tables[group], strict=True):
                    counts[mistake(rows[key]["reason"], row["expected"])] += 1
    print(f"{'wrong accepted + right rejected':48}{'rows':>6}" + "".join(f"{path.stem:>16}" for path in options.files))
    for group, each in sorted(tables.items(), key=lambda item: (item[0].startswith("all"), item[0])):
        shown = (f"{counts['accepted']} + {counts['rejected']}" for counts in each)
        print(f"{group:48}{num_rows[group]:6}" + "".join(f"{text:>16}" for text in shown))
    return 0


def mistake(reason: str, expected: bool) -> str:
    if (reason == "correct") == expected:
        return "none"
    return "rejected" if expected else "accepted"


# Comparing


def read_verdicts(path: Path) -> dict[str, Row]:
    return {row["key"]: row for row in read_rows(path)}


def compare(options: argparse.Namespace) -> int:
    before, after = (read_verdicts(path) for path in options.files)
    counts = [Counter(row["reason"] for row in rows.values()) for rows in (before, after)]
    for reason in sorted(set().union(*counts)):
        print(f"{reason:14} {counts[0][reason]:8} {counts[1][reason]:8}")
    differ, late = [], 0
    for key in sorted(before.keys() & after.keys()):
        pair = before[key], after[key]
        if any(row["reason"] == "timed_out" for row in pair):
            late += 1
        elif any(pair[0][name] != pair[1][name] for name in VERDICT):
            differ.append(pair)
    for pair in differ[: options.show]:
        print(f"\n{pair[0]['key']}\n  reference {pair[0]['reference']!r}\n  response  {pair[0]['response']!r}")
        for row in pair:
            print(f"  {', '.join(f'{name} {row[name]!r}' for name in VERDICT)}")
    only_one = len(before.keys() ^ after.keys())
    print(f"\n{len(before)} and {len(after)} verdicts, {late} timed out on a side, {len(differ)} of the others differ")
    if only_one:
        print(
            f"{only_one} cases are in one file only: write both with the same cases, golden rows, seed and --mutations."
        )
    return int(bool(differ or only_one))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    writing = commands.add_parser("write", help="grade all cases and write their verdicts")
    writing.add_argument("file", type=Path, metavar="FILE")
    writing.add_argument("--cases", type=Path, default=ROOT.parent / "shared" / "grading", metavar="DIR")
    writing.add_argument("--golden", type=Path, default=ROOT / "tests" / "grading" / "golden.jsonl", metavar="FILE")
    writing.add_argument("--mutations", type=int, default=100_000, metavar="N")
    writing.add_argument("--seed", type=int, default=0)
    writing.add_argument("--source", type=Path, default=ROOT, metavar="DIR", help="the checkout whose grader is used")
    writing.set_defaults(run=write)
    comparing = commands.add_parser("compare", help="compare two files of verdicts")
    comparing.add_argument("files", type=Path, nargs=2, metavar="FILE")
    comparing.add_argument("--show", type=int, default=20, metavar="N", help="differences to print")
    comparing.set_defaults(run=compare)
    labels = commands.add_parser("mistakes", help="labels that each file of verdicts misses, by kind")
    labels.add_argument("files", type=Path, nargs="+", metavar="FILE")
    labels.add_argument("--cases", type=Path, default=ROOT.parent / "shared" / "grading", metavar="DIR")
    labels.set_defaults(run=mistakes)
    options = parser.parse_args()
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
