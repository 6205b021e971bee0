"""Search for an input that breaks a law of ``benchmarks/fuzz_laws.py``, guided by the branches that inputs take (libFuzzer).

    python benchmarks/fuzz.py countdown|boxes|generations [--seconds 240] [--out DIR]

It needs atheris, which is no dependency of this package: ``pip install atheris`` into an environment of its own that has this
package, too. What is found ends the search with its traceback, and its input is in DIR as ``crash-*``, ``timeout-*`` or
``oom-*``; ``--replay FILE`` gives it to the law again, without atheris. Prints how many inputs were tried.
"""

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("countdown", "boxes", "generations")
LONGEST_SECONDS = 10
"""That one input may take."""
LONGEST_BYTES = 4096

EXPRESSIONS = (
    "7+(3*5)",
    "<answer>3*5 + 7</answer>",
    " (12 - 4)/2\n",
    "3\u00d75\u22127",
    "8/(4/2)-0",
    '{"numbers": [3, 5, 7], "target": 22}',
    '{"nums": [1, 2], "target": 3}',
    "9-(5-2)=6",
)
TEXTS = (
    r"So $a = \boxed{1}$ and $b = \boxed{2}$.",
    r"<think>\boxed{0}</think> The answer is \boxed{\frac{1}{2}}.",
    r"\boxed 7, \fbox{x\}} \boxed{\{1,2\}}",
    "**Answer:** (C)\n#### 42\n<answer>5</answer>",
    r"\boxed{\boxed{3}} or \boxed{4",
    r"\[ 185 \] \boxed{185\}$",
)
LINES: tuple[dict[str, object], ...] = (
    {
        "question_id": 1,
        "generation_id": 0,
        "label": 1,
        "response": "x",
        "pred_answer": "3",
        "level": 5,
        "tier": "exact",
    },
    {"question_id": "b", "label": False, "reason": "no_answer"},
    {"kind": "header", "model": "m"},
    {"input": "1 2", "output": "3", "gts": "3", "score": 1.0, "step": 5, "acc": 1.0, "uid": "0_0_0"},
    {
        **{"doc_id": 0, "doc": {}, "target": "4", "resps": [["4"]], "filtered_resps": ["4"], "filter": "none"},
        **{"metrics": ["exact_match"], "exact_match": 1.0},
    },
    {
        **{"evaluation_id": "e", "evaluation_name": "gsm8k", "sample_id": "0", "interaction_type": "single_turn"},
        **{
            "input": {"raw": "?", "reference": ["4"]},
            "output": {"raw": ["4"]},
            "answer_attribution": [{"extracted_value": "4"}],
        },
        **{"evaluation": {"score": 1.0, "is_correct": True}, "metadata": {"level": "3"}},
    },
    {
        "eval": {},
        "samples": [
            {
                "id": 1,
                "epoch": 1,
                "input": "?",
                "target": "4",
                "output": {"completion": "4"},
                "scores": {"m": {"value": "C"}},
            }
        ],
    },
)


def seeds(target: str) -> Iterator[bytes]:
    """Inputs to begin with."""
    if target == "countdown":
        yield from (text.encode() for text in EXPRESSIONS)
    elif target == "boxes":
        yield from (text.encode() for text in TEXTS)
    else:
        lines = [json.dumps(line).encode() + b"\n" for line in LINES]
        yield from lines
        yield b"".join(lines[:3])
        yield gzip.compress(lines[0], mtime=0)
        yield from (file.read_bytes() for file in sorted((ROOT / "tests" / "metrics" / "foreign").iterdir()))


def law_of(target: str, folder: Path) -> Callable[[bytes], None]:
    """The law as a function of bytes; a text has halves of surrogate pairs where they are no UTF-8."""
    import fuzz_laws

    if target == "generations":
        return lambda content: fuzz_laws.generations(content, folder)
    law = getattr(fuzz_laws, target)
    return lambda content: law(content.decode("utf-8", errors="surrogateescape"))


def search(target: str, seconds: int, out: Path) -> None:
    """Try inputs for so long; ends the process."""
    try:
        import atheris
    except ImportError:
        sys.exit(
            "fuzz.py needs atheris, which is no dependency of this package: pip install atheris, into an environment of its own."
        )
    with atheris.instrument_imports(include=["verl_ext"]):
        law = law_of(target, Path(tempfile.mkdtemp(prefix="fuzz-")))
    corpus = out / f"corpus-{target}"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={LONGEST_SECONDS}",
        f"-max_len={LONGEST_BYTES}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={out}/", *limits], law)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=240, help="how long to search (240)")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/fuzz"), metavar="DIR", help="findings and inputs (outputs/fuzz)"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="only this input")
    options = parser.parse_args()
    if options.replay is None:
        search(options.target, options.seconds, options.out)
    with tempfile.TemporaryDirectory() as folder:
        law_of(options.target, Path(folder))(options.replay.read_bytes())


if __name__ == "__main__":
    main()
