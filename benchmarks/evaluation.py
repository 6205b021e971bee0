"""What an evaluation costs beside vLLM, and how fast it samples: against vLLM alone with the same requests, on a CPU.

    python benchmarks/evaluation.py [--rounds 2] [--num_problems 200] [--num_samples 256]
    python benchmarks/evaluation.py --model_path models/smollm2 --data PROBLEMS.parquet --num_problems 4 --max_tokens 64

Prints for each round, one run after the other in new processes:
  bare      vLLM's own LLM.generate with the same prompts, seeds and engine options on the same number of threads: its
            own way of drawing tokens and of norms and activation, no text, no grading, no file
  ours      eval.py, from launch to exit
each with seconds from launch to exit, and tokens a second while it samples: in LLM.generate, and from our first request
to the last answer. At last the medians' ratio of both, and what of our wall time is not vLLM's: by the account of our
engines' processes, 1 - (import + load + steps of vLLM, less the processor time of the thread beside them) / wall time.
Without --model_path a small base model is built, which takes minutes; without --data its problems are made.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
BARE = """
import json, os, sys, time
from verl_ext.host.vllm_on_cpu import VLLM_ON_CPU
from verl_ext.patches import answer_for_the_vllm_distribution
for name, value in VLLM_ON_CPU.items():
    os.environ.setdefault(name, value)
answer_for_the_vllm_distribution()
from vllm import LLM, SamplingParams
job = json.load(open(sys.argv[1]))
llm = LLM(model=job["model"], **job["options"])
ids = [llm.get_tokenizer()(text, add_special_tokens=False)["input_ids"] for text in job["prompts"]]
params = [SamplingParams(n=job["n"], seed=s, detokenize=False, **job["sampling"]) for s in job["seeds"]]
began = time.perf_counter()
outputs = llm.generate([{"prompt_token_ids": i} for i in ids], params, use_tqdm=False)
seconds = time.perf_counter() - began
print(sum(len(o.outputs) for o in outputs), sum(len(c.token_ids) for o in outputs for c in o.outputs), seconds)
sys.stdout.flush(); os._exit(0)
"""


class Measured(NamedTuple):
    """One run."""

    wall_seconds: float
    sampling_seconds: float
    num_tokens: int

    @property
    def speed(self) -> float:
        """Tokens a second while it samples."""
        return self.num_tokens / self.sampling_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--num_problems", type=int, default=200)
    parser.add_argument("--num_samples", type=int, default=256)
    parser.add_argument("--model_path", type=Path)
    parser.add_argument("--data", type=Path, help="verl's rows, as prepare_data.py writes them")
    parser.add_argument("--max_tokens", type=int, default=16)
    parser.add_argument("--max_model_len", type=int, help="default: 64 for the problems made here, else the model's")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top_p", type=float, default=1.0)
    parser.add_argument("--dtype", help="default: eval.py's choice")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    model, data = arguments.model_path or folder / "base", arguments.data or folder / "countdown_test.parquet"
    if arguments.model_path is None:
        subprocess.run([sys.executable, REPOSITORY / "scripts/build_small_model.py", "--out", model], check=True)
    if arguments.data is None:
        command = [sys.executable, REPOSITORY / "scripts/prepare_data.py", "countdown", "--out", folder, "--short"]
        command += ["--num_train", "1", "--num_test", str(arguments.num_problems), "--seed", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        arguments.max_model_len = arguments.max_model_len or 64
    bare, ours, accounts = [], [], []
    for number in range(1, arguments.rounds + 1):
        output = folder / f"{number}.jsonl"
        ours.append(run_ours(model, data, output, arguments))
        run = json.loads((folder / f"{number}.run.json").read_text())
        spent = run["runs"][-1]["engine_seconds"]
        # Turning tokens into text runs beside the steps; at most all of it came at their cost.
        vllms = [
            sum(each[name] for name in ("transformers", "import", "load", "step")) - each["text"] for each in spent
        ]
        accounts.append(1 - sum(vllms) / len(vllms) / ours[-1].wall_seconds)
        bare.append(run_bare(model, output, run, folder / "job.json", arguments))
        print(
            f"round {number}  bare {bare[-1].wall_seconds:.1f} s, {bare[-1].speed:,.0f} tokens/s; "
            f"ours {ours[-1].wall_seconds:.1f} s, {ours[-1].speed:,.0f} tokens/s with {len(spent)} engines in "
            f"{run['sampling']['dtype']}; {ours[-1].num_tokens:,} tokens",
            flush=True,
        )
    while_sampling = median(run.speed for run in ours) / median(run.speed for run in bare)
    in_all = median(run.num_tokens / run.wall_seconds for run in ours) / median(
        run.num_tokens / run.wall_seconds for run in bare
    )
    print(f"ours / bare, medians: {while_sampling:.2f} while sampling, {in_all:.2f} from launch to exit")
    print(f"not vLLM's: {min(accounts):.1%} of the wall time, by account")


def run_ours(model: Path, data: Path, output: Path, arguments: argparse.Namespace) -> Measured:
    command = [sys.executable, REPOSITORY / "eval/eval.py", "--model_path", model, "--output_path", output]
    command += ["--data", data]
    for name in ("num_problems", "num_samples", "max_tokens", "max_model_len", "temperature", "top_p", "dtype"):
        if getattr(arguments, name) is not None:
            command += [f"--{name}", str(getattr(arguments, name))]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    spent = json.loads(output.with_suffix(".run.json").read_text())["runs"][-1]["engine_seconds"]
    num_tokens = sum(json.loads(line)["num_tokens"] for line in output.read_text().splitlines())
    return Measured(seconds, max(each["step"] + each["wait"] for each in spent), num_tokens)


def run_bare(model: Path, output: Path, run: dict, job_file: Path, arguments: argparse.Namespace) -> Measured:
    """vLLM alone with what ``run``, the side file of ``output``, says of the requests and the engine."""
    records = [json.loads(line) for line in output.read_text().splitlines()]
    seeds = {record["question_id"]: record["seed"] - record["generation_id"] for record in records}
    names = ("max_tokens", "temperature", "top_p")
    job = {
        "model": str(model),
        "n": arguments.num_samples,
        "sampling": {name: getattr(arguments, name) for name in names},
        "prompts": [entry.get("text", entry["prompt"]) for entry in run["problems"].values()],
        "seeds": [seeds[question_id] for question_id in run["problems"]],
        # The implementations that kernel_config names are this package's.
        "options": {
            name: value for name, value in run["runs"][-1]["engine_options"].items() if name != "kernel_config"
        },
    }
    job_file.write_text(json.dumps(job))
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", BARE, job_file], check=True, capture_output=True, text=True, env=os.environ | threads
    )
    wall_seconds = time.monotonic() - began
    num_answers, num_tokens, seconds = done.stdout.split()[-3:]
    assert int(num_answers) == len(records)
    return Measured(wall_seconds, float(seconds), int(num_tokens))


if __name__ == "__main__":
    main()
