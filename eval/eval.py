"""Sample n answers a problem, grade them and print pass@k.

    python eval/eval.py --model_path MODEL --data FILE.parquet --output_path generations.jsonl

MODEL is a hub id, a model folder or a checkpoint of a training run. Run it again to continue after a kill or to draw
more samples.
"""

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

from verl_ext.cpu.environment import use_cpu_where_there_is_no_accelerator
from verl_ext.data.parquet import check_rows, read_rows
from verl_ext.evaluation.checkpoint import loadable_model
from verl_ext.evaluation.sample import Problem, Sampling, sample


def problems_of(path: Path, limit: int | None) -> list[Problem]:
    """The problems of a file of verl's rows; a row's number is its question id."""
    check_rows(path, is_graded_here=True)
    rows = read_rows(path)[:limit]
    known = ("level", "type", "subject")
    return [
        Problem(
            question_id=str(number),
            task=row["data_source"],
            messages=tuple(row["prompt"]),
            reference=row["reward_model"]["ground_truth"],
            facts={name: row[name] for name in known if name in row},
        )
        for number, row in enumerate(rows)
    ]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", required=True)
    parser.add_argument("--data", required=True, type=Path, help="parquet or JSON lines, verl's rows")
    parser.add_argument("--output_path", required=True, type=Path)
    parser.add_argument("--num_samples", type=int, default=256)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--top_p", type=float, default=0.95)
    parser.add_argument("--top_k", type=int, default=-1)
    parser.add_argument("--max_tokens", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num_problems", type=int, help="only the first ones")
    parser.add_argument("--max_num_seqs", type=int, default=512, help="answers in flight")
    parser.add_argument("--max_model_len", type=int)
    parser.add_argument("--tensor_parallel_size", type=int, default=1)
    parser.add_argument("--dtype", default=None)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        problems = problems_of(options.data, options.num_problems)
        sampling = Sampling(
            **{
                name: getattr(options, name)
                for name in ("num_samples", "temperature", "top_p", "top_k", "max_tokens", "seed")
            }
        )
        is_cpu = use_cpu_where_there_is_no_accelerator()
        engine_options = {
            "max_num_seqs": options.max_num_seqs,
            "max_model_len": options.max_model_len,
            "tensor_parallel_size": options.tensor_parallel_size,
            "dtype": options.dtype or ("float32" if is_cpu else "auto"),
            "enable_prefix_caching": True,
            "enforce_eager": is_cpu,
        }
        if is_cpu:
            engine_options["distributed_executor_backend"] = "uni"
            # vLLM 0.28 rewinds the generator of a seeded request whose prefill it cut; a CPU generator cannot
            engine_options["enable_chunked_prefill"] = False
        with tqdm(total=len(problems) * sampling.num_samples, unit="answer", smoothing=0.05, dynamic_ncols=True) as bar:

            def show(num_done: int, num_drawn: int, num_correct: int) -> None:
                bar.update(num_done - bar.n)
                if num_drawn:
                    bar.set_postfix_str(f"correct {num_correct / num_drawn:.1%}", refresh=False)

            num_drawn = sample(
                loadable_model(options.model_path),
                problems,
                sampling,
                options.output_path,
                engine_options={name: value for name, value in engine_options.items() if value is not None},
                model_name=options.model_path,
                on_progress=show,
            )
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{num_drawn} answers drawn: {options.output_path}")
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # vLLM's threads would keep the process for seconds
