#!/usr/bin/env python
"""Print the shape of the code: lengths, complexity, docstrings, imports that run upward, lines of each package.

    python scripts/code_table.py [--root DIR]

``LAYERS`` is the order in which the packages build on each other; ``tests/test_imports.py`` holds the package to it.
"""

import argparse
import ast
import io
import json
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "verl_ext"
MAX_COMPLEXITY = 10
ENGINES = frozenset({"verl", "ray", "vllm", "torch"})
"""What a laptop need not have, and what takes seconds to import."""


class Layer(NamedTuple):
    """Modules that may import each other and what stands below them."""

    name: str
    """A package or module of ``verl_ext``; what has a longer name of its own in ``LAYERS`` does not belong to it."""
    engines: frozenset[str] = frozenset()
    """Those of ``ENGINES`` that it may import."""


def _layer(name: str, *engines: str) -> Layer:
    return Layer(name, frozenset(engines))


LAYERS = (
    _layer("host"),
    _layer("families"),
    _layer("grading"),
    _layer("objectives", "torch"),
    _layer("metrics"),
    _layer("tasks"),
    _layer("grading.entrance"),
    _layer("data"),
    _layer("rewards", "verl"),
    _layer("analysis"),
    _layer("plots"),
    _layer("viewer"),
    _layer("small_model", "torch"),
    _layer("pretrained", "torch"),
    _layer("learner", "torch", "verl"),
    _layer("patches", "verl"),
    _layer("cpu", *ENGINES),
    _layer("training", "ray", "torch", "verl"),
    _layer("evaluation", "torch", "vllm"),
    _layer("stages", "torch"),
    _layer("checkpoint", "torch"),
    _layer("doctor", "torch"),
    _layer("export"),
    _layer("dynamics", "torch"),
    _layer("analysis.__main__"),
    _layer("report"),
    _layer("study"),
    _layer("commands"),
    _layer("study.__main__"),
    _layer("report.__main__"),
    _layer("plugin"),
)
"""From the bottom to the top."""
ELSEWHERE = {
    **dict.fromkeys(("files", "command_line"), "host"),  # in older versions
    **dict.fromkeys(("grading.grade", "grading.grade_async", "grading.check_reference"), "grading.entrance"),
}
"""Names that stand for something in another layer than their own."""


class Import(NamedTuple):
    importer: str
    """A module."""
    imported: str
    """A module, or a name in one."""
    line: int


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file of every module of the package below ``root``."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Iterator[Import]:
    """Every import of the package, also those inside functions."""
    for module, path in modules(root).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(module, alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield Import(module, f"{node.module}.{alias.name}", node.lineno)


def height(name: str) -> int:
    """The index in ``LAYERS`` of a module of the package.

    Raises:
        ValueError: No layer holds it.
    """
    place = name.removeprefix(f"{PACKAGE}.")
    for other, layer in ELSEWHERE.items():
        if place == other or place.startswith(f"{other}."):
            place = layer
    holding = [
        (len(layer.name), index)
        for index, layer in enumerate(LAYERS)
        if place == layer.name or place.startswith(f"{layer.name}.")
    ]
    if not holding:
        raise ValueError(f"{name} belongs to no layer. Add one to LAYERS in scripts/code_table.py.")
    return max(holding)[1]


def upward_imports(root: Path) -> list[Import]:
    """The imports of what stands above the importing module; a package may offer what its own modules hold."""
    return [
        found
        for found in imports(root)
        if found.imported.startswith(f"{PACKAGE}.")
        and not found.imported.startswith(f"{found.importer}.")
        and height(found.imported) > height(found.importer)
    ]


def engine_imports(root: Path) -> list[Import]:
    """The imports of engines by modules of layers that may not have them."""
    return [
        found
        for found in imports(root)
        if (engine := found.imported.partition(".")[0]) in ENGINES
        and (found.importer == PACKAGE or engine not in LAYERS[height(found.importer)].engines)
    ]


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _public(body: list[ast.stmt]) -> Iterator[Definition]:
    """Public functions, classes and methods; what is defined inside a function is not public."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def num_code_lines(text: str) -> int:
    """The lines that hold code: not blank, no comment, not part of a docstring or another bare text."""
    texts = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - texts)


def complex_functions(root: Path) -> list[str]:
    """Functions of a cyclomatic complexity above ``MAX_COMPLEXITY``, as ruff's C901 counts it, the largest first."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--ignore-noqa"]
    command += ["--select=C901", "--output-format=json", f"--config=lint.mccabe.max-complexity={MAX_COMPLEXITY}"]
    done = subprocess.run([*command, str(root / PACKAGE)], capture_output=True, text=True, check=True)
    found = []
    for finding in json.loads(done.stdout):
        # `name` is too complex (12 > 10)
        _, name, rest = finding["message"].split("`")
        complexity = int(rest.partition("(")[2].partition(" ")[0])
        path = Path(finding["filename"]).relative_to(root.resolve())
        found.append((-complexity, f"{name} ({complexity}), {path}:{finding['location']['row']}"))
    return [text for _, text in sorted(found)]


def _spread(lengths: list[int]) -> str:
    return f"{len(lengths):,} | {median(lengths):.0f} | {quantiles(lengths, n=10)[-1]:.0f} | {max(lengths):,}"


def page(root: Path) -> str:
    """The table, in Markdown."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules(root).items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    spans = [(node.end_lineno or 0) - node.lineno + 1 for tree in trees.values() for node in _functions(tree)]
    public = [ast.get_docstring(node) is not None for tree in trees.values() for node in _public(tree.body)]
    too_complex, upward = complex_functions(root), upward_imports(root)
    lines: dict[str, list[int]] = {}
    for name, text in texts.items():
        total = lines.setdefault((name.split(".")[1:] or [PACKAGE])[0], [0, 0, 0])
        for index, number in enumerate((1, text.count("\n"), num_code_lines(text))):
            total[index] += number
    return "\n".join(
        [
            "| lines of | number | median | p90 | max |",
            "|---|---:|---:|---:|---:|",
            f"| modules | {_spread([text.count(chr(10)) for text in texts.values()])} |",
            f"| functions | {_spread(spans)} |",
            "",
            "| | |",
            "|---|---:|",
            f"| functions of complexity above {MAX_COMPLEXITY} | {len(too_complex)} |",
            f"| public functions, classes and methods with a docstring | {sum(public)} of {len(public)}, "
            f"{sum(public) / len(public):.0%} |",
            f"| imports that run upward | {len(upward)} |",
            f"| imports of {', '.join(sorted(ENGINES))} where they do not belong | {len(engine_imports(root))} |",
            "",
            "| package | modules | lines | lines of code |",
            "|---|---:|---:|---:|",
            *(f"| {name} | {counts[0]} | {counts[1]:,} | {counts[2]:,} |" for name, counts in sorted(lines.items())),
            "| all | " + " | ".join(f"{sum(column):,}" for column in zip(*lines.values(), strict=True)) + " |",
            *(f"\nComplexity above {MAX_COMPLEXITY}:" for _ in too_complex[:1]),
            *(f"- {text}" for text in too_complex),
            *("\nImports that run upward:" for _ in upward[:1]),
            *(f"- {found.importer}:{found.line} imports {found.imported}" for found in upward),
        ]
    )


def main() -> None:
    """Print the table of this checkout, or of another one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="another checkout (default: this one)")
    print(page(parser.parse_args().root))


if __name__ == "__main__":
    main()
