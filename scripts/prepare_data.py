#!/usr/bin/env python
r"""Make the parquet files verl trains on: <task>_train.parquet and <task>_test.parquet.

python scripts/prepare_data.py math --out data --template qwen
python scripts/prepare_data.py MATH-500 --out data --data_dir DIR
python scripts/prepare_data.py math --out data --stratified_fraction 0.25 --seed 0
python scripts/prepare_data.py math --out data --validation_share 0.05
python scripts/prepare_data.py countdown --out data --short
python scripts/prepare_data.py countdown --out data --from hub --num_train 100000
python scripts/prepare_data.py reasoning_gym/chain_sum --out data --option min_terms=2 --option max_terms=3 --bare

The data sets come from the Hugging Face hub, or from a folder of local copies (--data_dir, or the setting VERL_EXT_DATA).
No row is left out, unless --stratified_fraction asks for a part, which has the whole's share of every level and subject.
--validation_share holds out a part of the training problems, to choose checkpoints by: not the test set.
What was corrected, cannot be graded or comes twice is printed, and is in report.json beside the files with every detail.
Prompts that are too long are left to verl: data.filter_overlong_prompts=True, which knows the tokenizer.

Tasks are named as for eval/eval.py: math500 and MATH-500 are the same.

Templates: chat asks for \boxed{} in a user message, for the model's own chat template; qwen, qwen3_no_thinking and llama
are the paper's raw prompts and need actor_rollout_ref.model.custom_chat_template (see verl_ext/tasks/templates.py); none is
the bare question.
"""

import argparse
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from verl_ext.data.audit import (
    corrected_references,
    respelled_references,
    same_questions,
    ungradable_references,
    write_report,
)
from verl_ext.data.held_out import VALIDATION, held_out
from verl_ext.data.parquet import write_checked
from verl_ext.data.rows import VerlRow, make_problem_row, make_row
from verl_ext.data.sources import Row, problems_of, read_source
from verl_ext.data.stratified import strata_of, stratified_places
from verl_ext.host.command_line import CommandParser, path_option, print_any_text
from verl_ext.tasks import TASKS, Task, task_named
from verl_ext.tasks.countdown import (
    COUNTDOWN,
    CountdownProblem,
    generate_problems,
    load_problems,
    long_prompt,
    short_prompt,
)
from verl_ext.tasks.gym_tasks import INSTRUCTIONS, PREFIX, GymProblem, generate, parsed_options, shown
from verl_ext.tasks.task import SourceRow, Split
from verl_ext.tasks.templates import BOX_INSTRUCTION, TEMPLATES, render_prompt

FRACTION = "--stratified_fraction"
SHARE = "--validation_share"
MAX_PRINTED = 40
"""Findings of one kind on the screen; report.json has all."""


def add_task_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data_dir", type=path_option, help="folder of local copies (default: VERL_EXT_DATA, else the hub)"
    )
    parser.add_argument("--template", choices=TEMPLATES, default="chat", help="default: %(default)s")
    parser.add_argument(
        FRACTION,
        metavar="SHARE",
        help="draw this share of each split, above 0 and at most 1, with the split's proportions of level and subject",
    )
    parser.add_argument("--seed", type=int, help=f"of {FRACTION} and {SHARE} (default: 0)")


def add_refused_fraction(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(FRACTION, help=argparse.SUPPRESS)


def refuse_fraction(arguments: argparse.Namespace, name: str) -> None:
    if arguments.stratified_fraction is not None:
        raise ValueError(
            f"{FRACTION} draws by level and subject, which problems of {name} do not have. Ask for fewer with --num_train "
            "and --num_test."
        )


@dataclass(frozen=True)
class Problems:
    """Those of a split that go into its file."""

    rows: Sequence[Row]
    source_rows: Sequence[SourceRow]
    where: str
    num_all: int
    """Of the split."""
    drawn: Mapping[str, list[int]] | None = None
    """Level and subject -> how many of how many were drawn; None where all are taken."""


def read_problems(task: Task, arguments: argparse.Namespace) -> dict[Split, Problems]:
    """The problems of each split, all or those that are drawn."""
    whole: dict[Split, Problems] = {}
    for split in task.num_rows:
        source_rows, where = read_source(task, arguments.data_dir, split)
        whole[split] = Problems(problems_of(task, source_rows, split, where), source_rows, where, len(source_rows))
    if arguments.stratified_fraction is None:
        if arguments.seed is not None and arguments.validation_share is None:
            raise ValueError(f"--seed is that of {FRACTION}, which is not given: all problems are taken.")
        return whole
    fraction = parsed_fraction(arguments.stratified_fraction)
    twins = []
    if {"train", "test"} <= whole.keys():
        # A question of both splits is left to the test side where its level and subject have others.
        twins = [one["index"] for one in same_questions(whole["train"].rows, whole["test"].rows)]
    return {
        split: drawn(problems, fraction, arguments.seed or 0, split, twins if split == "train" else ())
        for split, problems in whole.items()
    }


def parsed_fraction(text: str, option: str = FRACTION) -> Fraction:
    try:
        fraction = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{option} must be a number above 0 and at most 1, got {text}.") from None
    if not 0 < fraction <= 1:
        raise ValueError(f"{option} must be above 0 and at most 1, got {text}.")
    return fraction


def hold_out(files: dict[Path, list[VerlRow]], arguments: argparse.Namespace, findings: dict[str, Any]) -> list[str]:
    """Move the part that is asked for from the training file to one of its own, beside it; returns a line about it."""
    if arguments.validation_share is None:
        return []
    path = next((path for path in files if path.stem.endswith("_train")), None)
    if path is None:
        raise ValueError(f"{SHARE} is a part of the training problems, which this task does not have.")
    seed = arguments.seed or 0
    files[path], out = held_out(files[path], parsed_fraction(arguments.validation_share, SHARE), seed)
    target = path.with_name(f"{path.stem.removesuffix('_train')}_{VALIDATION}.parquet")
    files[target] = out
    findings[VALIDATION] = {
        "file": target.name,
        "share": arguments.validation_share,
        "seed": seed,
        "num_rows": len(out),
    }
    return [f"{target}: {len(out)} of the training problems, which are not in {path.name}: {len(files[path])} are left"]


def drawn(problems: Problems, fraction: Fraction, seed: int, split: Split, avoided: Sequence[int]) -> Problems:
    strata = strata_of(problems.rows, problems.where)
    places = stratified_places(strata, fraction, seed=seed, split=split, avoided=frozenset(avoided))
    chosen = frozenset(places)
    return Problems(
        [problems.rows[place] for place in places],
        [problems.source_rows[place] for place in places],
        problems.where,
        problems.num_all,
        {
            f"{level}, {subject}": [len(chosen.intersection(members)), len(members)]
            for (level, subject), members in sorted(strata.items())
        },
    )


def prepare_task(task: Task, arguments: argparse.Namespace) -> None:
    """Write the files of a task with a fixed set of problems, and report on them."""
    problems = read_problems(task, arguments)
    findings: dict[str, Any] = {"template": arguments.template, "splits": {}}
    files: dict[Path, list[VerlRow]] = {}
    for split, taken in problems.items():
        rows, where = taken.rows, taken.where
        path = arguments.out / f"{task.data_source}_{split}.parquet"
        if Path(where).is_file() and Path(where).resolve().parent == arguments.out.resolve():
            # The files have the same names, and one of them would be taken for the other.
            raise ValueError(f"--out {arguments.out} is the folder {where} is read from. Choose another one.")
        files[path] = [_verl_row(task, row, arguments.template, split) for row in rows]
        findings["splits"][split] = {
            "file": path.name,
            "source": where,
            "num_rows": len(rows),
            "expected_rows": task.num_rows[split],
            "corrected_references": corrected_references(rows),
            "respelled_references": respelled_references(task, rows, taken.source_rows),
            "ungradable_references": ungradable_references(rows),
            "repeated_questions": same_questions(rows, rows),
        }
        if taken.drawn is not None:
            findings["splits"][split]["drawn"] = {
                "fraction": arguments.stratified_fraction,
                "seed": arguments.seed or 0,
                "of": taken.num_all,
                "strata": taken.drawn,
            }
    if {"train", "test"} <= problems.keys():
        findings["in_train_and_test"] = same_questions(problems["train"].rows, problems["test"].rows)
    held = hold_out(files, arguments, findings)
    write_checked(files)
    report = write_report(arguments.out, task.data_source, findings)
    _print_findings(findings, arguments.out)
    print("\n".join(held), end="\n" if held else "")
    print(f"report: {report}")


def _verl_row(task: Task, row: Row, template: str, split: Split) -> dict[str, Any]:
    prompt = render_prompt(template, row.question, instruction=BOX_INSTRUCTION if task.asks_for_box else "")
    return make_problem_row(row, prompt=prompt, template=template, split=split)


def _print_findings(findings: dict[str, Any], out: Path) -> None:
    for split, found in findings["splits"].items():
        part = f" of the {found['drawn']['of']}" if "drawn" in found else ""
        print(f"{out / found['file']}: {found['num_rows']}{part} problems from {found['source']}")
        if found["respelled_references"]:
            print(
                "  references read from the solution, because as printed they reject its answer (see report.json): "
                f"{len(found['respelled_references'])}"
            )
        _print_list(
            "references corrected (paper's -> ours)",
            [
                f"{split} {one['index']}: {one['paper_reference'] or '(empty)'} -> {one['reference']}: {one['why']}"
                + "".join(f"; also right is {answer}" for answer in one["also_right"])
                for one in found["corrected_references"]
            ],
        )
        _print_list(
            "references that cannot be graded against",
            [f"{split} {one['index']}: {one['reference']}: {one['why']}" for one in found["ungradable_references"]],
        )
        _print_list(
            "questions that come twice",
            [f"{split} {one['index']} = {split} {one['other_index']}" for one in found["repeated_questions"]],
        )
    _print_list(
        "questions in both train and test",
        [
            f"train {one['index']} = test {one['other_index']}: {' '.join(one['question'].split())[:90]}"
            for one in findings.get("in_train_and_test", [])
        ],
    )


def _print_list(what: str, lines: list[str]) -> None:
    if lines:
        print(f"  {what}: {len(lines)}")
        for line in lines[:MAX_PRINTED]:
            print(f"    {line}")
        if len(lines) > MAX_PRINTED:
            print(f"    and {len(lines) - MAX_PRINTED} more in report.json")


DEFAULT_SIZES: dict[Split, int] = {"train": 8000, "test": 400}


def add_seed_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")


def check_sizes(sizes: Mapping[Split, int | None]) -> None:
    for split, size in sizes.items():
        if size is not None and size < 1:
            raise ValueError(f"--num_{split} must be at least 1, got {size}.")


def add_countdown_arguments(parser: argparse.ArgumentParser) -> None:
    source = "generated from a seed"
    parser.add_argument(
        "--from",
        "--data_dir",
        dest="source",
        metavar="hub|DIR",
        help=f"{COUNTDOWN.repo_id}, or a folder like it (default: generated from the seed)",
    )
    for split, size in DEFAULT_SIZES.items():
        parser.add_argument(
            f"--num_{split}", type=int, help=f"{split} problems (default: {size}, or all where --from has fewer)"
        )
    add_seed_argument(parser)
    add_refused_fraction(parser)
    parser.add_argument("--short", action="store_true", help='ask "3 5 7 = 22", for the small model')
    parser.add_argument("--num_numbers", type=int, default=3, help=f"{source}: default: %(default)s")
    parser.add_argument("--low", type=int, default=1, help=f"{source}: smallest number (default: %(default)s)")
    parser.add_argument("--high", type=int, default=9, help=f"{source}: largest number (default: %(default)s)")
    parser.add_argument("--max_target", type=int, default=100, help=f"{source}: default: %(default)s")
    parser.add_argument(
        "--unseen_by",
        type=path_option,
        metavar="MODEL",
        help=f"{source}: none that this small model was taught (scripts/build_small_model.py)",
    )


def prepare_countdown(arguments: argparse.Namespace) -> None:
    refuse_fraction(arguments, COUNTDOWN.data_source)
    given: dict[Split, int | None] = {"train": arguments.num_train, "test": arguments.num_test}
    check_sizes(given)
    if arguments.source is not None and arguments.unseen_by is not None:
        raise ValueError(
            f"--unseen_by={arguments.unseen_by} goes with problems that are generated, not with --from={arguments.source}: "
            "the small model was taught generated ones. Leave one of the two out."
        )
    pool = None if arguments.source is None else load_problems(arguments.source)
    sizes = {split: size or _default_size(split, pool) for split, size in given.items()}
    ask = short_prompt if arguments.short else long_prompt
    findings: dict[str, Any] = {
        "template": "short" if arguments.short else "long",
        "splits": {},
        "in_train_and_test": [],
    }
    keys_before: set[Any] = set()
    files: dict[Path, list[VerlRow]] = {}
    lines = []
    for split, num_problems in sizes.items():
        problems = (
            _generated(num_problems, split, arguments)
            if pool is None
            else _sampled(num_problems, split, pool[split], arguments)
        )
        rows = [
            make_row(
                data_source=COUNTDOWN.data_source,
                prompt=ask(problem),
                ground_truth=problem.reference,
                split=split,
                index=index,
            )
            for index, problem in enumerate(problems)
        ]
        path = arguments.out / f"countdown_{split}.parquet"
        files[path] = rows
        num_different = len({problem.key for problem in problems})
        again = f", {len(rows) - num_different} of them others in another order" if num_different < len(rows) else ""
        lines.append(f"{path}: {len(rows)} problems{again}")
        findings["splits"][split] = {
            "file": path.name,
            "source": arguments.source or f"generated from seed {arguments.seed}",
            "num_rows": len(rows),
            "num_different": num_different,
        }
        keys = {problem.key for problem in problems}
        findings["in_train_and_test"] += sorted(keys & keys_before)
        keys_before |= keys
    lines += hold_out(files, arguments, findings)
    write_checked(files)
    print("\n".join(lines))
    write_report(arguments.out, COUNTDOWN.data_source, findings)


def _default_size(split: Split, pool: Mapping[Split, Sequence[CountdownProblem]] | None) -> int:
    return DEFAULT_SIZES[split] if pool is None else min(DEFAULT_SIZES[split], len(pool[split]))


def _generated(num_problems: int, split: Split, arguments: argparse.Namespace) -> list[CountdownProblem]:
    return generate_problems(
        num_problems,
        seed=arguments.seed,
        split=split,
        num_numbers=arguments.num_numbers,
        low=arguments.low,
        high=arguments.high,
        max_target=arguments.max_target,
        without=_taught(arguments.unseen_by),
    )


def _taught(model: Path | None) -> list[CountdownProblem]:
    if model is None:
        return []
    from verl_ext.small_model.build import taught_problems  # it loads torch, which nothing else here needs

    return taught_problems(model)


def _sampled(
    num_problems: int, split: Split, pool: list[CountdownProblem], arguments: argparse.Namespace
) -> list[CountdownProblem]:
    if num_problems > len(pool):
        raise ValueError(f"{arguments.source} has {len(pool)} {split} problems, not {num_problems}. Ask for fewer.")
    return random.Random(f"{arguments.seed} {split}").sample(pool, num_problems)


def add_gym_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the generator, as in reasoning_gym/chain_sum")
    for split, size in DEFAULT_SIZES.items():
        parser.add_argument(f"--num_{split}", type=int, default=size, help=f"{split} problems (default: {size})")
    add_seed_argument(parser)
    add_refused_fraction(parser)
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the generator; the value as JSON or text; may come again",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=1.0,
        help="score from which an answer is correct (default: 1, no partial credit)",
    )
    parser.add_argument(
        "--bare", action="store_true", help="the whole response is the answer, instead of an <answer> in it"
    )
    parser.add_argument(
        "--num_examples",
        type=int,
        default=0,
        help="solved problems as earlier turns, instead of an instruction (default: 0)",
    )


def prepare_gym(arguments: argparse.Namespace) -> None:
    refuse_fraction(arguments, PREFIX + arguments.name)
    sizes: dict[Split, int] = {"train": arguments.num_train, "test": arguments.num_test}
    check_sizes(sizes)
    if arguments.num_examples < 0:
        raise ValueError(f"--num_examples must be at least 0, got {arguments.num_examples}.")
    if not 0 < arguments.threshold <= 1:
        raise ValueError(f"--threshold must be above 0 and at most 1, got {arguments.threshold}.")
    task = task_named(PREFIX + arguments.name)
    problems, examples = generate(
        arguments.name,
        sizes,
        seed=arguments.seed,
        options=parsed_options(arguments.option),
        num_examples=arguments.num_examples,
        threshold=arguments.threshold,
    )
    findings: dict[str, Any] = {
        "source": f"reasoning_gym, seed {arguments.seed}",
        "options": arguments.option,
        "splits": {},
    }
    files: dict[Path, list[VerlRow]] = {}
    for split, made in problems.items():
        path = arguments.out / f"{task.file_stem}_{split}.parquet"
        files[path] = [_gym_row(problem, examples, split, index, arguments) for index, problem in enumerate(made)]
        findings["splits"][split] = {"file": path.name, "num_rows": len(made)}
    lines = [f"{path}: {len(rows)} problems" for path, rows in files.items()]
    lines += hold_out(files, arguments, findings)
    write_checked(files)
    print("\n".join(lines))
    write_report(arguments.out, task.data_source, findings)


def _gym_row(
    problem: GymProblem, examples: Sequence[GymProblem], split: Split, index: int, arguments: argparse.Namespace
) -> VerlRow:
    form = "bare" if arguments.bare else "tag"
    instruction = "" if examples else INSTRUCTIONS[form]
    return make_row(
        data_source=PREFIX + problem.name,
        prompt=problem.question + instruction,
        ground_truth=problem.reference(threshold=arguments.threshold, answer_form=form),
        split=split,
        index=index,
        examples=[(example.question, shown(example, form)) for example in examples],
    )


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], None]]] = {
    name: (add_countdown_arguments, prepare_countdown)
    if task is COUNTDOWN
    else (add_task_arguments, partial(prepare_task, task))
    for name, task in TASKS.items()
} | {PREFIX.rstrip("/"): (add_gym_arguments, prepare_gym)}
"""Task -> what adds its options, and what makes its files."""


def _subcommand(task: str) -> list[str]:
    """How argparse knows a task that was typed."""
    family, slash, name = task_named(task).data_source.partition("/")
    return [family, name] if slash else [family]


def main(argv: list[str] | None = None) -> None:
    print_any_text()
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True, metavar=" | ".join(COMMANDS))
    for name, (add_arguments, prepare) in COMMANDS.items():
        task = tasks.add_parser(name)
        task.add_argument("--out", type=path_option, required=True, help="folder to write to")
        task.add_argument(
            SHARE,
            metavar="SHARE",
            help=f"hold out this share of the training problems, in <task>_{VALIDATION}.parquet, to choose checkpoints by",
        )
        add_arguments(task)
        task.set_defaults(prepare=prepare)
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given and not given[0].startswith("-"):
            given[:1] = _subcommand(given[0])
        arguments = parser.parse_args(given)
        arguments.prepare(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
