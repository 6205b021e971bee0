"""Seconds and memory (RSS) of calculate_metrics.py, against what the paper's script does with the same file.

    python benchmarks/metrics.py [--problems 300] [--runs 3]

Writes a file of problems x 256 answers with the fields of the paper's eval.py (the response is in each line twice; 300
problems are 560 MB) into a temporary folder, and prints, each command a process of its own, all of them after a warm-up:
  paper     reads the file once per k for 9 values of k, decodes every line, and multiplies its estimator out
  ours      one pass; pass@k and pass^k at the same k, with both kinds of intervals
  faster    how many times, by the clock and in processor time, which other programs on the machine hardly change
  labels    ours, from the label file beside it
  agree     the largest difference of any pass@k
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
NUM_SAMPLES = 256

# The paper's calculate_metrics.py (RLVR-Decomposed), step by step: the whole file is decoded and kept, once per k.
PEER = f"""
import json, sys
from collections import defaultdict
import numpy as np

n, result = {NUM_SAMPLES}, {{}}
for k in [1, 2, 4, 8, 16, 32, 64, 128, 256]:
    with open(sys.argv[1]) as lines:
        examples = [json.loads(line.strip()) for line in lines]
    by_question = defaultdict(list)
    for example in examples:
        if len(by_question[example["question_id"]]) < n:
            by_question[example["question_id"]].append(example)
    total = 0.0
    for of_question in by_question.values():
        assert len(of_question) == n
        c = sum(1 for example in of_question if example["label"])
        total += 1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))
    result[k] = float(total / len(by_question))
json.dump(result, open(sys.argv[2], "w"))
"""
WRITE_LABELS = "import sys; from pathlib import Path; from verl_ext.metrics.label_file import write_labels as w; w(Path(sys.argv[1]))"
QUOTED = (
    'The word "distinct" matters here.\n'  # in one response of 30; of 800 responses of Qwen to MATH, 3 have a quote
)
SENTENCES = (
    "First, we note that $\\frac{a}{b} = \\sqrt{2}$ whenever $a^2 = 2b^2$.\n",
    "To solve this, let $x$ be the number of apples, so that \\[ 3x + 4 = 19. \\]\n",
    "The problem asks for distinct orders, so that \\(\\binom{7}{3} = 35\\) ways remain.\n",
    "Therefore the sum of the roots is $-\\frac{b}{a}$, by Vieta's formulas, and we subtract it from both sides. ",
    "Next, compute the area of the triangle with sides 13, 14 and 15, which is 84 by Heron's formula.\n\n",
)


@dataclass(frozen=True)
class Done:
    seconds: float
    processor_seconds: float
    peak_bytes: int


def write_file(path: Path, num_problems: int) -> None:
    """The fields and their order as the paper's eval.py writes them, with answers of 1,500 to 5,000 characters."""
    rng = random.Random(0)
    with path.open("w") as file:
        for problem in range(num_problems):
            chance = rng.random() ** 2
            question = "".join(rng.choices(SENTENCES, k=3))
            solution = "".join(rng.choices(SENTENCES, k=6))
            bodies = ["".join(rng.choices(SENTENCES, k=rng.randint(18, 53))) for _ in range(30)]
            bodies[0] += QUOTED
            for generation in range(NUM_SAMPLES):
                answer = "35" if rng.random() < chance else str(rng.randrange(60))
                response = f"{rng.choice(bodies)}The answer is $\\boxed{{{answer}}}$."
                record = {"prompt": f"<|im_start|>user\n{question}<|im_end|>\n", "vanilla_response": response}
                record |= {"question": question, "answer": solution, "question_id": problem}
                record |= {"generation_id": generation, "response": response, "label": answer == "35"}
                file.write(json.dumps(record | {"gold_answer": "35", "pred_answer": answer}) + "\n")


def run(command: Sequence[str | Path]) -> Done:
    """Run a command; its wall and processor seconds, and the most memory it held."""
    began = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {' '.join(map(str, command))} failed.")
    return Done(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def pass_at_k_of(path: Path) -> list[float]:
    (measured,) = json.loads(path.read_text())["files"]
    return list(measured["pass_at_k"]["pass_at_k"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, peer_out, our_out = folder / "answers.jsonl", folder / "peer.json", folder / "ours.json"
        write_file(file, options.problems)
        print(f"file     {options.problems} problems x {NUM_SAMPLES}, {file.stat().st_size / 1e6:.0f} MB", flush=True)

        peer = [sys.executable, "-c", PEER, file, peer_out]
        ours = [sys.executable, ROOT / "calculate_metrics.py", "--file_path", file, "--json", our_out]
        run(ours)
        pairs = [(run(peer), run(ours)) for _ in range(options.runs)]
        theirs, mine = list(json.loads(peer_out.read_text()).values()), pass_at_k_of(our_out)
        ratio = median(peer.seconds / ours.seconds for peer, ours in pairs)
        processor_ratio = median(peer.processor_seconds / ours.processor_seconds for peer, ours in pairs)
        print(f"paper    {_seconds([peer for peer, _ in pairs])}", flush=True)
        print(f"ours     {_seconds([ours for _, ours in pairs])}", flush=True)
        print(
            f"faster   {ratio:.1f}x, {processor_ratio:.1f}x in processor time, medians of {options.runs} pairs",
            flush=True,
        )

        writing = run([sys.executable, "-c", WRITE_LABELS, file])
        label_runs = [run(ours) for _ in range(options.runs + 1)][1:]
        size = file.with_name(file.name + ".labels.npz").stat().st_size
        print(f"labels   {_seconds(label_runs)}, from {size / 1000:.0f} kB that took {writing.seconds:.1f} s to make")
        differences = [
            abs(a - b) for values in (mine, pass_at_k_of(our_out)) for a, b in zip(theirs, values, strict=True)
        ]
        print(f"agree    to {max(differences):.1e} at {len(mine)} values of k")
        if max(differences) > 1e-12:
            sys.exit("error: the two sides disagree.")


def _seconds(runs: Sequence[Done]) -> str:
    each = " / ".join(f"{done.seconds:.2f}" for done in runs)
    return f"{median(done.seconds for done in runs):.2f} s ({each}), at most {max(d.peak_bytes for d in runs) / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
