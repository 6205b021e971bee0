"""What an evaluation costs beside vLLM: its wall time against that of vLLM alone with the same requests, on a CPU.

    python benchmarks/evaluation.py [--rounds 2] [--num_problems 200] [--num_samples 256] [--model DIR]

Prints for each round, one run after the other in new processes:
  bare      vLLM's own LLM.generate with the same prompts, seeds and settings: no text, no grading, no file
  ours      eval.py, from launch to exit
and at last, the share of our wall time that is not vLLM's: from the fastest of each, 1 - bare / ours, which other load on
the machine blurs; and by the account of our engine's process, 1 - (import + load + steps of vLLM, less the processor time
of the thread beside them) / wall time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from verl_ext.host.threads import use_one_thread

REPOSITORY = Path(__file__).resolve().parents[1]
MAX_TOKENS, CONTEXT = 16, 64
BARE = """
import json, sys
from verl_ext.cpu.environment import use_cpu_where_there_is_no_accelerator
use_cpu_where_there_is_no_accelerator()
from vllm import LLM, SamplingParams
job = json.load(open(sys.argv[1]))
llm = LLM(model=job["model"], **job["options"])
ids = [llm.get_tokenizer()(text, add_special_tokens=False)["input_ids"] for text in job["prompts"]]
params = [SamplingParams(n=job["n"], seed=s, temperature=1.0, max_tokens=job["max_tokens"], detokenize=False) for s in job["seeds"]]
outputs = llm.generate([{"prompt_token_ids": i} for i in ids], params, use_tqdm=False)
print(sum(len(o.outputs) for o in outputs), sum(len(c.token_ids) for o in outputs for c in o.outputs))
import os; sys.stdout.flush(); os._exit(0)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--num_problems", type=int, default=200)
    parser.add_argument("--num_samples", type=int, default=256)
    parser.add_argument("--model", type=Path, help="default: the quickstart's base model is built, which takes minutes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    model = arguments.model or folder / "base"
    if arguments.model is None:
        subprocess.run([sys.executable, REPOSITORY / "scripts/build_small_model.py", "--out", model], check=True)
    command = [sys.executable, REPOSITORY / "scripts/prepare_data.py", "countdown", "--out", folder, "--short"]
    command += ["--num_train", "1", "--num_test", str(arguments.num_problems), "--seed", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    bare, ours, accounts = [], [], []
    for number in range(1, arguments.rounds + 1):
        output = folder / f"{number}.jsonl"
        began = time.monotonic()
        subprocess.run(
            [
                *(sys.executable, REPOSITORY / "eval/eval.py", "--model_path", model, "--output_path", output),
                *("--data", folder / "countdown_test.parquet", "--num_samples", str(arguments.num_samples)),
                *("--temperature", "1", "--top_p", "1", "--max_tokens", str(MAX_TOKENS)),
                *("--max_model_len", str(CONTEXT)),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ours.append(time.monotonic() - began)
        run = json.loads((folder / f"{number}.run.json").read_text())
        (spent,) = run["runs"][-1]["engine_seconds"]
        # Turning tokens into text runs beside the steps; at most all of it came at their cost.
        vllms = sum(spent[name] for name in ("transformers", "import", "load", "step")) - spent["text"]
        accounts.append(1 - vllms / ours[-1])
        records = [json.loads(line) for line in output.read_text().splitlines()]
        seeds = {record["question_id"]: record["seed"] - record["generation_id"] for record in records}
        job = {
            "model": str(model),
            "n": arguments.num_samples,
            "max_tokens": MAX_TOKENS,
            "prompts": [entry["text"] for entry in run["problems"].values()],
            "seeds": [seeds[question_id] for question_id in run["problems"]],
            "options": run["runs"][-1]["engine_options"],
        }
        (folder / "job.json").write_text(json.dumps(job))
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", BARE, folder / "job.json"], check=True, capture_output=True, text=True
        )
        bare.append(time.monotonic() - began)
        num_answers, num_tokens = map(int, done.stdout.split()[-2:])
        assert (num_answers, num_tokens) == (len(records), sum(record["num_tokens"] for record in records))
        print(
            f"round {number}  bare {bare[-1]:.1f} s, ours {ours[-1]:.1f} s ({', '.join(f'{k} {v}' for k, v in spent.items())}) "
            f"for {num_answers:,} answers, {num_tokens:,} tokens",
            flush=True,
        )
    print(
        f"not vLLM's: {1 - min(bare) / min(ours):.1%} of the wall time against vLLM alone, {min(accounts):.1%} by account"
    )


if __name__ == "__main__":
    use_one_thread()  # a small model
    main()
