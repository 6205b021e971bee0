"""The grader against Math-Verify and the paper's: verdicts on labeled cases, and speed.

    python benchmarks/grading.py                          all eight parts
    python benchmarks/grading.py cases gsm8k              some of: cases, rules, gsm8k, kinds, mutations, responses, evaluation,
                                                          busy
    python benchmarks/grading.py --cases DIR              folder of cases.jsonl and the others; default ../shared/grading
    python benchmarks/grading.py mutations --data DIR     folder of the data sets; --limit N references, --seed N, --show

Prints:
  cases       accuracy (wrong accepted + right rejected) by suite. Rows whose note says that their label is a convention, and
              no mathematical truth, are counted apart. Where another grader does better, the cases are shown
  rules       where each rule found the answer, and how often the verdict is the label: on the full texts of the cases; on the
              responses without their boxes, against the verdict with them; on solutions of GSM8K without their last line
  gsm8k       the same on solutions of GSM8K
  kinds       the same by kind of mistake, on rows that an earlier version of this grader had wrong
  mutations   near misses and rewrites of the references of MATH, by kind (``mutations``), pairs of references, and all
              references against themselves: how many the grader accepts
  responses   responses per second, one thread, nothing remembered: medians of runs that take turns
  evaluation  80 problems x 256 responses, deduplicated, with the workers on two cores
  busy        how many verdicts on cases and kinds differ between the machine as it is and beside 8 busy processes

Math-Verify is called as its documentation does: parse the reference, parse the whole response, verify. The paper's
verdicts are those of ``verl_ext.grading.paper.grader``; its time is that of its evaluation, which compares formulas in a
process forked for each, and waits for that up to a second. Such a process reads model output with sympy's
``parse_expr``, so here it gives up its rights first, which takes 2 ms.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import busy
import mutations
import oracle
from in_flight import for_each
from near_misses import NEAR_MISSES
from rewrites import REWRITES

from verl_ext.data.sources import load_rows
from verl_ext.grading import Reason, grade, grade_async, mathematics
from verl_ext.grading.answers import boxes, compare, extract, numbers, spelling, structure, units
from verl_ext.grading.paper import answer_text
from verl_ext.grading.paper import grader as paper_grader
from verl_ext.grading.paper.rules import same_answer, unknown
from verl_ext.grading.workers.decisions import DecisionCache
from verl_ext.grading.workers.pool import GraderPool
from verl_ext.host.threads import ONE_THREAD
from verl_ext.tasks.table import TASKS

ROOT = Path(__file__).resolve().parents[1]
NOT_MATHEMATICAL = ("convention", "wrong mathematically", "security payload", "letter extraction", "precision")
COMPUTER_ALGEBRA = frozenset({"kas", "doenet", "stack_algequiv"})
"""Suites of computer algebra systems; the others hold what language models write."""
NUM_RUNS = 3
NUM_PROBLEMS, NUM_SAMPLES = 80, 256
NUM_PAIRS = 22_828
DECIDED = (Reason.CORRECT, Reason.INCORRECT)
PAPER_SAMPLE = 600
"""Responses of the evaluation on which the paper's time is measured; 20,480 would take hours."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Grader:
    """A grader of benchmarks: response, reference and task to a truth value."""

    name: str
    is_correct: Callable[[str, str, str], bool]


def ours(response: str, reference: str, task: str) -> bool:
    try:
        return grade(response, reference, task, grader="default").is_correct
    except ValueError:  # a reference that is refused; a run checks its references before it begins
        return False


def paper(response: str, reference: str, task: str) -> bool:
    return grade(response, reference, task, grader="paper").is_correct


def math_verify(response: str, reference: str, _task: str) -> bool:
    from math_verify import parse, verify

    return bool(verify(parse_as_reference(reference), parse(response)))


def parse_as_reference(reference: str) -> Any:
    from math_verify import parse

    return parse(reference if "$" in reference or "boxed" in reference else f"${reference}$")


GRADERS = (Grader("ours", ours), Grader("math-verify", math_verify), Grader("paper", paper))


def read_rows(path: Path) -> list[Row]:
    if not path.is_file():
        raise SystemExit(f"There is no {path}: give the folder of the cases with --cases.")
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# Verdicts


@dataclass
class Tally:
    num_rows: int = 0
    num_wrong: int = 0
    """Rows whose answer is wrong."""
    accepted: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        return 1 - (len(self.accepted) + len(self.rejected)) / self.num_rows

    def add(self, row: Row, is_correct: bool) -> None:
        self.num_rows += 1
        self.num_wrong += not row["expected"]
        if is_correct != row["expected"]:
            (self.accepted if is_correct else self.rejected).append(row)

    def __str__(self) -> str:
        return f"{self.accuracy:6.1%} ({len(self.accepted)}+{len(self.rejected)})"


def is_mathematical(row: Row) -> bool:
    note = row.get("note") or ""
    return not any(word in note for word in NOT_MATHEMATICAL)


def response_of(row: Row) -> str:
    pred = str(row["pred"])
    return pred if row.get("kind") == "full" or "boxed" in pred else boxed(pred)


def boxed(answer: str) -> str:
    return rf"\boxed{{{answer}}}"


def verdicts(rows: Iterable[Row], task: str) -> list[tuple[Row, dict[str, bool]]]:
    return [(row, {g.name: g.is_correct(response_of(row), str(row["gold"]), task) for g in GRADERS}) for row in rows]


def print_table(groups: dict[str, list[tuple[Row, dict[str, bool]]]]) -> None:
    print(f"{'':26}{'rows':>6}  " + "".join(f"{grader.name:>18}" for grader in GRADERS))
    for name, graded in groups.items():
        tallies = {grader.name: Tally() for grader in GRADERS}
        for row, by_grader in graded:
            for grader, is_correct in by_grader.items():
                tallies[grader].add(row, is_correct)
        print(f"{name:26}{len(graded):6}  " + "".join(f"{tallies[g.name]!s:>18}" for g in GRADERS))


def benchmark_cases(folder: Path) -> None:
    rows = read_rows(folder / "cases.jsonl")
    graded = verdicts(rows, "math")
    by_suite: dict[str, list[tuple[Row, dict[str, bool]]]] = defaultdict(list)
    for row, by_grader in graded:
        kind = "" if row["kind"] == "expr" else " (full)"
        name = f"{row['suite']}{kind}" if is_mathematical(row) else "convention, precision, .."
        by_suite[name].append((row, by_grader))
    print("\nCases: accuracy (wrong accepted + right rejected)")
    apart = {name: by_suite.pop(name) for name in list(by_suite) if name.startswith("convention")}
    print_table(dict(sorted(by_suite.items())) | apart)
    mathematical = [item for item in graded if is_mathematical(item[0])]
    written = [item for item in mathematical if item[0]["suite"] not in COMPUTER_ALGEBRA]
    print()
    print_table(
        {
            "LLM-style, expr": [item for item in written if item[0]["kind"] == "expr"],
            "LLM-style, full": [item for item in written if item[0]["kind"] == "full"],
            "LLM-style": written,
            "all": mathematical,
        }
    )
    wrong = [item for item in written if not item[0]["expected"]]
    for grader in GRADERS:
        accepted = sum(by_grader[grader.name] for _, by_grader in wrong)
        print(f"wrong answers accepted by {grader.name}: {accepted} of {len(wrong)} ({accepted / len(wrong):.1%})")
    print("\nWrong answers that ours accepts:")
    for row, by_grader in wrong:
        if by_grader["ours"]:
            print(f"  {row['id']}: {row['gold']!r:.70} and {row['pred']!r:.70}; {explanation(row)}")
    print_where_others_win(by_suite)


def print_where_others_win(by_suite: dict[str, list[tuple[Row, dict[str, bool]]]]) -> None:
    for suite, graded in sorted(by_suite.items()):
        num_right = {g.name: sum(by[g.name] == row["expected"] for row, by in graded) for g in GRADERS}
        for other in GRADERS[1:]:
            if num_right[other.name] <= num_right["ours"]:
                continue
            print(f"\n{other.name} does better on {suite}. Cases that it has right and ours has wrong:")
            for row, by_grader in graded:
                if by_grader[other.name] == row["expected"] != by_grader["ours"]:
                    found = explanation(row)
                    shown = f"{row['gold']!r:.70} and {row['pred']!r:.70}, expected {row['expected']}"
                    print(f"  {row['id']}: {shown}; ours: {found}" + (f" [{row['note']}]" if row.get("note") else ""))


def explanation(row: Row) -> str:
    try:
        verdict = grade(response_of(row), str(row["gold"]), "math", grader="default")
    except ValueError as error:
        return f"refused: {error}"
    return f"{verdict.reason}, {verdict.tier} {verdict.detail}".strip()


LAST_LINE = re.compile(r"\n\s*(?:A:|####)[^\n]*\s*$")


def without_boxes(response: str) -> str:
    """The response with what its boxes hold in their place."""
    end = len(response)
    for box in reversed(boxes.closed_boxes(response)):
        if box.end < end:
            response = response[: box.start] + box.content + response[box.end + 1 :]
            end = box.start
    return response


def texts_by_set(folder: Path) -> dict[str, list[Row]]:
    """Texts whose answer has to be found, with their label."""
    cases = [row for row in read_rows(folder / "cases.jsonl") if row["kind"] == "full" and is_mathematical(row)]
    responses = read_rows(folder / "qwen_math_responses.jsonl")
    solutions = read_rows(folder / "gsm8k_solutions.jsonl")
    return {
        "full texts of the cases": cases,
        "responses without their boxes": [
            row | {"pred": without_boxes(row["pred"]), "expected": ours(row["pred"], row["gold"], "math")}
            for row in responses
        ],
        "solutions without their last line": [
            row | {"pred": LAST_LINE.sub("", row["pred"])} for row in solutions if LAST_LINE.search(row["pred"])
        ],
    }


def benchmark_rules(folder: Path) -> None:
    print("\nRules that find the answer: rows, verdicts that are the label, wrong accepted, right rejected")
    for name, rows in texts_by_set(folder).items():
        for grader in ("default", "marked"):
            tallies: dict[str, Tally] = defaultdict(Tally)
            for row in rows:
                rule, is_correct = rule_and_verdict(row, grader)
                tallies[rule].add(row, is_correct)
                tallies["all"].add(row, is_correct)
            print(f"{name}, grader {grader}")
            for rule in (*extract.ALL_RULES, "none", "refused", "all"):
                if rule in tallies:
                    tally = tallies[rule]
                    num_wrong = len(tally.accepted) + len(tally.rejected)
                    print(
                        f"  {rule:12}{tally.num_rows:6}{tally.num_rows - num_wrong:6}  {tally.accuracy:6.1%}"
                        f" ({len(tally.accepted)}+{len(tally.rejected)})"
                    )


def rule_and_verdict(row: Row, grader: str) -> tuple[str, bool]:
    try:
        verdict = grade(row["pred"], str(row["gold"]), "math", grader=grader)
    except ValueError:  # the reference, as in ``ours``
        return "refused", False
    found_nothing = verdict.reason is Reason.NO_ANSWER
    return "none" if found_nothing else verdict.rule, verdict.is_correct


def benchmark_gsm8k(folder: Path) -> None:
    graded = verdicts([row | {"kind": "full"} for row in read_rows(folder / "gsm8k_solutions.jsonl")], "gsm8k")
    print("\nSolutions of GSM8K: accuracy (wrong accepted + right rejected)")
    print_table({"gsm8k_solutions": graded})
    for row, by_grader in graded:
        if by_grader["ours"] != row["expected"]:
            print(f"  {row['id']}: {row['gold']!r} and {row['pred'][-80:]!r}, expected {row['expected']}")


def benchmark_kinds(folder: Path) -> None:
    by_kind: dict[str, list[tuple[Row, dict[str, bool]]]] = defaultdict(list)
    for row in read_rows(folder / "kinds.jsonl"):
        as_case = {"gold": row["reference"], "pred": row["response"], "kind": "full", "expected": row["expected"]}
        by_kind[row["kind"]] += verdicts([as_case], row.get("task", "math"))
    print("\nKinds of mistakes: accuracy (wrong accepted + right rejected)")
    print_table(dict(sorted(by_kind.items())) | {"all": [item for graded in by_kind.values() for item in graded]})


# Mutations


async def reasons_of(pairs: Sequence[tuple[str, str]]) -> list[Reason]:
    """Of the second of each pair as an answer to the first."""
    reasons = dict[int, Reason]()

    async def grade_one(numbered: tuple[int, tuple[str, str]]) -> None:
        index, (reference, answer) = numbered
        verdict = await grade_async(boxed(answer), reference, "math", grader="default")
        reasons[index] = verdict.reason

    await for_each(enumerate(pairs), grade_one)
    return [reasons[index] for index in range(len(pairs))]


def references_of(folder: Path) -> dict[str, list[str]]:
    """Those of each data set with mathematical answers that is in the folder."""
    names = {name: task for name, task in TASKS.items() if task.grader == "math"}
    return {
        f"{name} {split}": [row.ground_truth for row in load_rows(name, folder, split)]
        for name, task in names.items()
        for split in task.num_rows
    }


def benchmark_mutations(folder: Path, limit: int | None, seed: int, *, show: bool) -> None:
    references = references_of(folder)
    everything = [reference for of_set in references.values() for reference in of_set]
    print(f"\nReferences against themselves: {len(everything)}")
    reasons = asyncio.run(reasons_of([(reference, reference) for reference in everything]))
    rejected = [
        reference for reference, reason in zip(everything, reasons, strict=True) if reason is not Reason.CORRECT
    ]
    print(f"  rejected: {len(rejected)} {rejected or ''}")
    distinct = sorted({reference for split in ("train", "test") for reference in references[f"math {split}"]})
    chosen = sorted(random.Random(seed).sample(distinct, min(limit or len(distinct), len(distinct))))
    print(f"\nMutations of {len(chosen)} of {len(distinct)} different references of MATH, seed {seed}")
    for kinds, is_equal in ((NEAR_MISSES, False), (REWRITES, True)):
        made = list(mutations.mutants(kinds, chosen, seed))
        name = "rewrite" if is_equal else "near miss"
        print_mutations(name, made, is_equal=is_equal, show=show)
        again = list(mutations.respelled(made, REWRITES, seed))
        print_mutations(f"{name}, rewritten once more", again, is_equal=is_equal, show=show)
    print_pairs(chosen, seed)


def print_mutations(
    name: str, mutants: Sequence[tuple[mutations.Kind, str, str]], *, is_equal: bool, show: bool
) -> None:
    """A table by kind, and with ``show`` each mutant that got another verdict than it should."""
    reasons = asyncio.run(reasons_of([(reference, mutant) for _, reference, mutant in mutants]))
    by_kind = defaultdict[str, Counter[Reason]](Counter)
    for (kind, _, _), reason in zip(mutants, reasons, strict=True):
        by_kind[kind.name][reason] += 1
    print(f"\n{name:42}{'number':>8}{'accepted':>10}{'':8}other reasons than incorrect")
    total = sum(by_kind.values(), Counter[Reason]())
    for row, counts in (*by_kind.items(), ("all", total)):
        number, accepted = counts.total(), counts[Reason.CORRECT]
        others = ", ".join(f"{reason} {count}" for reason, count in counts.items() if reason not in DECIDED)
        print(f"{row:42}{number:8}{accepted:10}{accepted / number:8.2%} {others}".rstrip())
    for (kind, reference, mutant), reason in zip(mutants, reasons, strict=True) if show else ():
        if (reason is Reason.CORRECT) != is_equal and (is_equal or reason is not Reason.INCORRECT):
            print(f"  {kind.name}: {reference!r} and {mutant!r}: {reason}")


def print_pairs(references: Sequence[str], seed: int) -> None:
    """Pairs of different references that are called the same, and what the oracle says of them."""
    pairs = mutations.pairs(references, NUM_PAIRS, seed)
    reasons = asyncio.run(reasons_of(pairs))
    print(
        f"\n{len(pairs)} pairs of different references, {sum(reason is Reason.CORRECT for reason in reasons)} the same:"
    )
    for (left, right), reason in zip(pairs, reasons, strict=True):
        if reason is Reason.CORRECT:
            is_same = oracle.same(left, right)
            if is_same is not True:
                print(f"  {left!r} and {right!r}: {'values DIFFER' if is_same is False else 'to be looked at'}")


# Speed


def forget_everything() -> None:
    """Clear what the grader remembers in this process; ``one_worker`` keeps no decisions."""
    modules = (compare, numbers, mathematics, spelling, structure, units)
    for module in modules:
        for value in vars(module).values():
            if callable(getattr(value, "cache_clear", None)):
                value.cache_clear()


@cache
def one_worker() -> GraderPool:
    return GraderPool(num_workers=1).start(wait=True)


def grade_ours(rows: Sequence[Row]) -> list[bool]:
    """One after the other; nothing is remembered from one response to the next but what a worker parsed."""
    results = []
    for row in rows:
        forget_everything()
        begun = mathematics.start(
            row["pred"],
            mathematics.parse_reference(row["gold"]),
            is_truncated=False,
            fallbacks=mathematics.MATH_FALLBACKS,
        )
        if isinstance(begun, mathematics.Pending):
            begun = mathematics.finish(begun, one_worker().submit(begun.reference, begun.answer))
        results.append(begun.is_correct)
    return results


def grade_math_verify(rows: Sequence[Row]) -> list[bool]:
    return [math_verify(row["pred"], row["gold"], "math") for row in rows]


def grade_as_the_paper(rows: Sequence[Row]) -> list[bool]:
    return [grade_one_as_the_paper(row["pred"], row["gold"]) for row in rows]


def grade_one_as_the_paper(response: str, reference: str) -> bool:
    answer = answer_text.normalize(answer_text.extract(response)[0])
    target = paper_grader.parse_reference(reference)
    # Components of lists and matrices it compares in its own process; here, all of a comparison is in the child.
    decided = same_answer(answer, target, unknown)
    return compare_in_forked_process(answer, target) if decided is None else decided


FORK_SECONDS: list[float] = []
"""Of each forked comparison of this process."""


def compare_in_forked_process(answer: str, reference: str) -> bool:
    """Fork, wait up to a second, kill. What the libraries load late is loaded anew in each child, as in the paper's code."""
    began = time.perf_counter()
    context = multiprocessing.get_context("fork")
    verdicts = context.SimpleQueue()
    child = context.Process(target=put_verdict, args=(answer, reference, verdicts))
    child.start()
    child.join(1.0)
    FORK_SECONDS.append(time.perf_counter() - began)
    if child.is_alive():
        child.terminate()
        child.join()
        return False
    return not verdicts.empty() and bool(verdicts.get())


def put_verdict(answer: str, reference: str, verdicts: Any) -> None:
    """In the child, without rights."""
    from verl_ext.grading.paper import paper_formulas
    from verl_ext.grading.workers import sandbox

    sandbox.give_up_rights()
    verdicts.put(same_answer(answer, reference, paper_formulas.equal_formulas))


SPEED = {"ours": grade_ours, "math-verify": grade_math_verify, "paper": grade_as_the_paper}


def timed(name: str, rows: Sequence[Row]) -> tuple[list[bool], float, list[float]]:
    """In the grader's own process: verdicts, seconds after its imports, and those of each forked comparison."""
    load_libraries(name)
    began = time.perf_counter()
    results = SPEED[name](rows)
    return results, time.perf_counter() - began, FORK_SECONDS


def print_forks(forks: Sequence[float]) -> None:
    stopped = sum(each >= 1.0 for each in forks)
    print(
        f"  forked comparisons of the paper's: {len(forks)}, {median(forks):.2f} s in the middle, {stopped} stopped at 1 s"
    )


def benchmark_responses(folder: Path) -> None:
    rows = read_rows(folder / "qwen_math_responses.jsonl")
    seconds: dict[str, list[float]] = defaultdict(list)
    results: dict[str, list[bool]] = {}
    for _ in range(NUM_RUNS):
        for name in SPEED:
            # A new process each time: what one grader has parsed is not ready for another, nor for its next run.
            with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
                results[name], spent, forks = process.submit(timed, name, rows).result()
            seconds[name].append(spent)
    print(f"\n{len(rows)} responses of Qwen to {len({row['gold'] for row in rows})} references, one thread, no cache")
    middle = {name: median(values) for name, values in seconds.items()}
    for name, value in middle.items():
        runs = ", ".join(f"{len(rows) / each:.0f}" for each in seconds[name])
        differ = [index for index, row in enumerate(rows) if results[name][index] != row["expected"]]
        print(
            f"  {name:12} {len(rows) / value:8.0f} responses/s (runs {runs}), {value / middle['ours']:6.1f} x our time, "
            f"{len(differ)} verdicts that are not the label"
        )
    print_forks(forks)
    for index, row in enumerate(rows):
        said = {name: results[name][index] for name in SPEED}
        if set(said.values()) != {row["expected"]}:
            answer = extract.extract_answer(row["pred"], ()) or ("", "")
            print(f"  {row['id']}: {row['gold']!r} and {answer[0]!r}, label {row['expected']}, {said}")


def benchmark_evaluation(folder: Path) -> None:
    """As many responses as the paper draws, resampled from the real ones of each problem."""
    problems: dict[str, list[Row]] = defaultdict(list)
    for row in read_rows(folder / "qwen_math_responses.jsonl"):
        problems[row["id"].rsplit("-", 1)[0]].append(row)
    generator = random.Random(256)
    chosen = generator.sample(sorted(problems), NUM_PROBLEMS)
    rows = [row for name in chosen for row in generator.choices(problems[name], k=NUM_SAMPLES)]
    generator.shuffle(rows)
    seconds: dict[str, list[float]] = defaultdict(list)
    sample = generator.sample(rows, PAPER_SAMPLE)
    for _ in range(NUM_RUNS):
        forget_everything()
        with GraderPool(num_workers=2) as pool:
            pool.start(wait=True)
            began = time.perf_counter()
            results = grade_with_cache(rows, DecisionCache(pool))
            seconds["ours"].append(time.perf_counter() - began)
        with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
            theirs, spent, forks = process.submit(timed, "paper", sample).result()
        seconds["paper"].append(spent * len(rows) / len(sample))
    middle = {name: median(values) for name, values in seconds.items()}
    print(f"\n{NUM_PROBLEMS} problems x {NUM_SAMPLES} responses, resampled from the real ones of each problem")
    print(f"  ours  {middle['ours']:8.2f} s, two workers, equal pairs once; {sum(results) / len(rows):.1%} correct")
    print(
        f"  paper {middle['paper']:8.2f} s, scaled from {len(sample)} of the {len(rows)}; {sum(theirs) / len(sample):.1%} "
        f"correct; {middle['paper'] / middle['ours']:.0f} x our time"
    )
    print_forks(forks)


def benchmark_busy(folder: Path) -> None:
    """The same cases twice, each time in a process of its own; their time is that of all in turn."""
    cases = [(response_of(row), str(row["gold"]), "math") for row in read_rows(folder / "cases.jsonl")]
    cases += [(row["response"], row["reference"], row.get("task", "math")) for row in read_rows(folder / "kinds.jsonl")]
    began = time.perf_counter()
    reasons = busy.reasons_in_fresh_process(cases)
    middle = time.perf_counter()
    with busy.busy_processes(busy.NUM_BUSY):
        loaded = busy.reasons_in_fresh_process(cases)
    seconds = middle - began, time.perf_counter() - middle
    print(f"\nCases and kinds, {seconds[0]:.0f} s, and beside {busy.NUM_BUSY} busy processes, {seconds[1]:.0f} s:")
    busy.print_changes(cases, reasons, loaded)


def grade_with_cache(rows: Sequence[Row], cache: DecisionCache) -> list[bool]:
    """What an evaluation does: all that needs no worker at once, the rest as the workers come to it."""
    begun = [
        mathematics.start(
            row["pred"],
            mathematics.parse_reference(row["gold"]),
            is_truncated=False,
            fallbacks=mathematics.MATH_FALLBACKS,
        )
        for row in rows
    ]
    futures = {
        index: cache.submit(item.reference, item.answer)
        for index, item in enumerate(begun)
        if isinstance(item, mathematics.Pending)
    }
    return [
        mathematics.finish(item, futures[index]).is_correct
        if isinstance(item, mathematics.Pending)
        else item.reason is Reason.CORRECT
        for index, item in enumerate(begun)
    ]


def load_libraries(name: str) -> None:
    """So that no grader's first response pays for imports. The paper's evaluation has imported them and parsed nothing."""
    # The paper's child can start no threads, and OpenBLAS ends a process in which it wants some and gets none.
    os.environ.update(ONE_THREAD)
    if name == "ours":
        one_worker()
    elif name == "paper":
        from sympy.parsing.latex import parse_latex

        from verl_ext.grading.paper import paper_formulas
        from verl_ext.grading.workers import sandbox

        # The paper's first attempt at every formula. It fails with the antlr that verl needs, too, and takes its time.
        paper_formulas.PARSERS = (parse_latex, *paper_formulas.PARSERS)
        assert paper_formulas.namespace()
        assert sandbox.NEEDS
    else:
        assert math_verify(r"\boxed{\sqrt{8}}", r"2\sqrt{2}", "math")


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "cases": lambda options: benchmark_cases(options.cases),
    "rules": lambda options: benchmark_rules(options.cases),
    "gsm8k": lambda options: benchmark_gsm8k(options.cases),
    "kinds": lambda options: benchmark_kinds(options.cases),
    "mutations": lambda options: benchmark_mutations(options.data, options.limit, options.seed, show=options.show),
    "responses": lambda options: benchmark_responses(options.cases),
    "evaluation": lambda options: benchmark_evaluation(options.cases),
    "busy": lambda options: benchmark_busy(options.cases),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; all without one")
    parser.add_argument("--cases", type=Path, default=ROOT.parent / "shared" / "grading", metavar="DIR")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", metavar="DIR")
    parser.add_argument("--limit", type=int, metavar="N", help="references to mutate; all without it")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the mutations")
    parser.add_argument("--show", action="store_true", help="print the mutants whose verdict is not the expected one")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there is {', '.join(PARTS)}.")
    for name in options.parts or PARTS:
        PARTS[name](options)


if __name__ == "__main__":
    main()
