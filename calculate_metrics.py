"""Unbiased pass@k of generations files: ``python calculate_metrics.py --file_path FILE``."""

import difflib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verl_ext.host.command_line import print_any_text, typed_path
from verl_ext.host.threads import use_one_thread

_OPTIONS = ("file_path", "k", "by", "maj", "json", "csv", "plot", "skip_bad_lines", "verdict", "seed")


def main(
    *files: str,
    file_path: Any = None,
    k: Any = None,
    by: Any = None,
    maj: Any = False,
    json: Any = None,
    csv: Any = None,
    plot: Any = None,
    skip_bad_lines: Any = False,
    verdict: Any = None,
    seed: Any = 0,
    **unknown: Any,
) -> None:
    """Print unbiased pass@k with 95 % intervals, and paired differences from the first file if there are several.

    A file has one JSON object per line and answer, with question_id and label (0, 1, true or false); it may be
    compressed by gzip or zstd. Its labels are taken from FILE.labels.npz where that is there and belongs to it. Logs of
    inspect, samples of lm-eval and verl's validation dumps are read as they are.

    Args:
        files: More files, so that a pattern may be expanded by the shell.
        file_path: FILE, DIR (its *.jsonl, *.jsonl.gz, *.jsonl.zst and *.eval) or GLOB; several with commas between.
        k: Values of k, such as 1,8,64; powers of two up to n, and n, if left out.
        by: Fields to break the result down by, such as level,subject.
        maj: Also print exact maj@k of the field pred_answer (some seconds for hundreds of problems).
        json: File for all numbers as JSON.
        csv: File for all numbers as CSV, a row per file, group and k.
        plot: File for the plot; its ending gives the format (.png, .svg, .pdf).
        skip_bad_lines: Leave out lines that are no graded answer, and count them.
        verdict: Which verdict counts where a file of another tool has several: inspect's scorer, or lm-eval's
            METRIC or METRIC,FILTER.
        seed: Seed of the bootstrap and the sign-flip test.
    """
    if unknown.keys() & {"help", "h"}:
        print(inspect.getdoc(main))
        return
    try:
        for name in unknown:
            near = difflib.get_close_matches(name, _OPTIONS, n=1)
            hint = f"Did you mean --{near[0]}?" if near else f"The options are --{', --'.join(_OPTIONS)}."
            raise ValueError(f"There is no option --{name}. {hint}")
        from verl_ext.commands.measure import Options, run

        run(
            Options(
                file_path=_paths(file_path, files),
                k=_numbers(k),
                by=_names(by),
                maj=_switch("maj", maj),
                json=_target("json", json),
                csv=_target("csv", csv),
                plot=_target("plot", plot),
                skip_bad_lines=_switch("skip_bad_lines", skip_bad_lines),
                verdict=None if verdict is None else _text("verdict", verdict, "such as exact_match,strict-match"),
                seed=_seed(seed),
            )
        )
    except (ValueError, OSError) as error:
        print(f"calculate_metrics.py: {error}", file=sys.stderr)
        sys.exit(2)


def _paths(file_path: Any, files: tuple[str, ...]) -> list[str]:
    given = list(file_path) if isinstance(file_path, (list, tuple)) else [] if file_path is None else [file_path]
    paths = []
    for item in [*given, *files]:
        text = _text("file_path", item, "FILE, DIR or GLOB")
        # A comma is a separator, unless there is a file of that name.
        is_one = "," not in text or typed_path(text).exists()
        paths += [text] if is_one else [part.strip() for part in text.split(",") if part.strip()]
    if not paths:
        raise ValueError("--file_path is missing: name a generations file, a folder of them, or a pattern.")
    return paths


def _text(name: str, value: Any, expected: str) -> str:
    """What was typed: the shell has taken the quotes away, and nothing else may change a name."""
    text = str(value)
    # Fire says True for an option without a value.
    if not text.strip() or (text == "True" and not Path(text).exists()):
        raise ValueError(f"--{name} needs a value: {expected}.")
    return text


def _items(name: str, value: Any, expected: str) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else _text(name, value, expected).strip("[]()").split(",")
    return [text for item in values if (text := str(item).strip().strip("'\""))]


def _numbers(k: Any) -> list[int] | None:
    if k is None:
        return None
    values = _items("k", k, "whole numbers from 1, such as 1,8,64")
    for value in values:
        if not _is_whole(value) or int(value) < 1:
            raise ValueError(f"--k must be whole numbers from 1, such as 1,8,64, got {value!r}.")
    return sorted({int(value) for value in values})


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _names(by: Any) -> list[str]:
    return [] if by is None else _items("by", by, "the names of fields, such as level,subject")


def _target(name: str, value: Any) -> Path | None:
    if value is None:
        return None
    target = typed_path(_text(name, value, "the name of the file to write"))
    if target.is_dir():
        raise ValueError(f"--{name} {value} is a folder. Give the name of the file to write.")
    return target


def _switch(name: str, value: Any) -> bool:
    if str(value) not in ("True", "False"):
        raise ValueError(f"--{name} is a switch and takes no value, got {value!r}.")
    return str(value) == "True"


def _seed(value: Any) -> int:
    if not _is_whole(str(value)):
        raise ValueError(f"--seed must be a whole number from 0, got {value!r}.")
    return int(value)


def _twice(arguments: Sequence[str]) -> str | None:
    """An option that is given more than once; Fire would take the last without a word."""
    names = [argument.split("=")[0].lstrip("-").replace("-", "_") for argument in arguments if argument.startswith("-")]
    return next((name for name in names if names.count(name) > 1), None)


if __name__ == "__main__":
    use_one_thread()  # the matrices are small
    import fire
    from fire.decorators import SetParseFn

    print_any_text()
    repeated = _twice(sys.argv[1:])
    if repeated is not None:
        print(
            f"calculate_metrics.py: --{repeated} is given twice. Give several values with commas between.",
            file=sys.stderr,
        )
        sys.exit(2)
    # Every value stays the text it is: as Python, 2025_11_26 is a number and # begins a comment.
    fire.Fire(SetParseFn(str)(main))
