"""What a GPU makes of a run: random weights at real shapes, one device, no network.

    python benchmarks/gpu.py learner [--shape qwen2.5-1.5b] [--layers N]   verl's learner alone, with this package's parts
    python benchmarks/gpu.py step [--shape qwen2.5-1.5b] [--layers N]      whole NSR steps with vLLM, and resuming

``learner`` needs torch, transformers, verl and what verl imports; ``step`` needs vLLM too. Prints one table, and with
``--json FILE`` writes it with the hardware and the versions. ``--device cpu --shape tiny`` shows that the benchmark runs.

learner, each case in a process of its own, NSR on one step's samples, the update with the paper's entropy bonus:
  all              every sample
  kept             what the sign filter leaves; its gradient is that of all under the same normalizer
  log-probs row by row   all, with verl 0.9.1's log-probs where flash-attn is absent
  attention: ...   all, with transformers' attentions
  padded           all, with a row per sample
  chunks           all, with log-probs from hidden states in chunks, as a run has them by default; the others have
                   whole logits
  padded chunks    both
"gap" is the mean difference of the sampled tokens' log-probs from the first case's. Two attentions in bfloat16 differ by
bfloat16's rounding, which a random model of 28 layers carries to 0.02; ``--cases float32,all,padded`` shows how far each
is from float32.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from gpu_shapes import SHAPES, write_model

HERE = Path(__file__).parent


def hardware(device: str) -> dict[str, Any]:
    import platform

    import torch

    from verl_ext.host.provenance import versions

    facts: dict[str, Any] = {"versions": versions(), "platform": platform.platform()}
    if device == "gpu":
        properties = torch.cuda.get_device_properties(0)
        facts |= {"gpu": properties.name, "gpu_memory_gib": round(properties.total_memory / 2**30, 1)}
        facts |= {"cuda": torch.version.cuda, "capability": list(torch.cuda.get_device_capability(0))}
    return facts


def learner_cases(arguments: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    base = {
        "device": arguments.device,
        "model": str(folder / "model"),
        "samples": arguments.samples,
        "prompt": arguments.prompt,
        "response": arguments.response,
        "correct": arguments.correct,
        "token_budget": arguments.token_budget,
        "repeats": arguments.repeats,
        "entropy_coeff": 1e-4,
        "attention": "packed_sdpa",
        "packed": True,
        "kept_only": False,
        "verls_log_probs": False,
        "chunks": False,
        "checkpointing": arguments.device == "gpu",
        "dtype": "bf16" if arguments.device == "gpu" else "fp32",
    }
    cases = {
        "all": base,
        "kept": base | {"kept_only": True},
        "log-probs row by row": base | {"verls_log_probs": True},
        "attention: sdpa": base | {"attention": "sdpa"},
        "attention: flex_attention": base | {"attention": "flex_attention"},
        "padded": base | {"packed": False, "attention": "sdpa"},
        "chunks": base | {"chunks": True},
        "padded chunks": base | {"packed": False, "attention": "sdpa", "chunks": True},
    }
    if arguments.cases and "float32" in arguments.cases:
        cases["float32"] = base | {"packed": False, "attention": "sdpa", "dtype": "fp32"}
    chosen = arguments.cases.split(",") if arguments.cases else list(cases)
    return {name: cases[name] for name in chosen}


def run_learner(name: str, case: dict[str, Any], folder: Path) -> dict[str, Any]:
    log_probs = folder / f"{name.replace(':', '').replace(' ', '_')}.pt"
    done = subprocess.run(
        [sys.executable, str(HERE / "gpu_learner.py"), json.dumps(case | {"log_probs": str(log_probs)})],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {"error": lines[-1] if lines else f"exit {done.returncode}", "log": done.stderr[-4000:]}
    return json.loads(done.stdout.splitlines()[-1]) | {"log_probs": str(log_probs)}


def write_figures(arguments: argparse.Namespace, figures: dict[str, Any]) -> None:
    """What is measured so far, with hardware and versions; a run that is cut short leaves it."""
    if arguments.json:
        command = ["python", "benchmarks/gpu.py", *sys.argv[1:]]
        arguments.json.write_text(
            json.dumps({"command": command, **hardware(arguments.device), **figures}, indent=2) + "\n"
        )


def learner(arguments: argparse.Namespace, folder: Path) -> None:
    import torch

    num_parameters = write_model(
        folder / "model",
        arguments.shape,
        layers=arguments.layers,
        device="cuda" if arguments.device == "gpu" else "cpu",
    )
    if arguments.device == "gpu":
        torch.cuda.empty_cache()  # the cases have the device to themselves
    print(f"{arguments.shape}: {num_parameters / 1e9:.2f}B parameters, {arguments.samples} samples of {arguments.prompt} + "
          f"{arguments.response // 4} to {arguments.response} tokens, {arguments.correct:.0%} right", flush=True)  # fmt: skip
    print(f"{'':28}{'old log-prob':>14}{'update':>10}{'GiB':>8}{'tokens':>9}{'grad':>12}{'gap':>10}", flush=True)
    results: dict[str, Any] = {}
    reference = None
    for name, case in learner_cases(arguments, folder).items():
        result = results[name] = run_learner(name, case, folder)
        if "error" in result:
            print(f"{name:28}failed: {result['error'][:120]}", flush=True)
            continue
        log_probs = torch.load(result.pop("log_probs"))
        if reference is None:
            reference = log_probs
        gap = float((log_probs - reference).abs().mean()) if len(log_probs) == len(reference) else None
        result["gap"] = gap
        old, update = (median(result["seconds"][part]) for part in ("old_log_prob", "update"))
        print(
            f"{name:28}{old:>12.2f} s{update:>8.2f} s{result['peak_bytes'] / 2**30:>8.1f}{result['num_tokens']:>9}"
            f"{result['grad_norm']:>12.5g}{'-' if gap is None else format(gap, '.2g'):>10}",
            flush=True,
        )
        write_figures(arguments, {"num_parameters": num_parameters, "cases": results})


def step_options(arguments: argparse.Namespace, folder: Path) -> list[str]:
    reward = HERE / "even_length_reward.py"
    return [
        f"device={arguments.device}",
        "algorithm.adv_estimator=nsr",
        f"actor_rollout_ref.model.path={folder}/model",
        f"data.train_files={folder}/train.parquet",
        f"data.val_files={folder}/train.parquet",
        f"data.train_batch_size={arguments.samples // 8}",
        "data.max_prompt_length=64",
        f"data.max_response_length={arguments.response}",
        "actor_rollout_ref.rollout.n=8",
        f"actor_rollout_ref.rollout.max_model_len={arguments.response + 64}",
        "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
        f"actor_rollout_ref.rollout.gpu_memory_utilization={arguments.vllm_memory}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={arguments.samples // 8}",
        f"actor_rollout_ref.actor.ppo_max_token_len_per_gpu={arguments.token_budget}",
        f"actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu={2 * arguments.token_budget}",
        "actor_rollout_ref.actor.entropy_coeff=1e-4",
        "actor_rollout_ref.actor.optim.lr=1e-5",
        f"reward.custom_reward_function.path={reward}",
        "trainer.n_gpus_per_node=1",
        "trainer.val_before_train=False",
        "trainer.test_freq=-1",
    ]


def launch(options: list[str], output: Path) -> list[dict[str, Any]]:
    """Run the launcher; returns the metrics of every step that ``output`` then has."""
    command = [sys.executable, "-m", "verl_ext.training.main", *options, f"trainer.output_dir={output}"]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise SystemExit(f"the launcher ended with {done.returncode}: see {output}/train.log")
    return [json.loads(line)["data"] for line in (output / "metrics.jsonl").read_text().splitlines()]


def step(arguments: argparse.Namespace, folder: Path) -> None:
    from verl_ext.data.parquet import write_rows
    from verl_ext.data.rows import make_row
    from verl_ext.tasks.countdown import generate_problems, short_prompt

    num_parameters = write_model(folder / "model", arguments.shape, layers=arguments.layers)
    rows = [
        make_row(data_source="countdown", prompt=short_prompt(p), ground_truth=p.reference, split="train", index=i)
        for i, p in enumerate(generate_problems(512, seed=1, split="train"))
    ]
    write_rows(rows, folder / "train.parquet")
    options = [*step_options(arguments, folder), *arguments.options]
    runs: dict[str, list[dict[str, Any]]] = {}
    steps = arguments.steps
    for name, extra in {
        "filtered": [f"trainer.save_freq={steps}", f"trainer.total_training_steps={steps}"],
        "resumed": [f"trainer.total_training_steps={steps + 2}"],
        "unfiltered": ["algorithm.drop_zero_advantage=False", f"trainer.total_training_steps={steps}"],
    }.items():
        output = folder / ("filtered" if name == "resumed" else name)
        runs[name] = launch([*options, "trainer.save_freq=-1", *extra], output)
        write_figures(arguments, {"num_parameters": num_parameters, "steps": runs})
    parts = ("gen", "old_log_prob", "update_actor", "update_weights", "step")
    print(f"{arguments.shape}: {num_parameters / 1e9:.2f}B parameters, medians of the steps after the first")
    print(f"{'':14}{'step':>6}{'kept':>8}" + "".join(f"{part:>16}" for part in parts) + f"{'gap':>10}{'GiB':>8}")
    for name, metrics in runs.items():
        later = metrics[1:]
        shown = [median(m[f"timing_s/{part}"] for m in later) for part in parts]
        gap = max(m["training/rollout_probs_diff_mean"] for m in metrics)
        peak = max(m.get("perf/max_memory_allocated_gb", 0.0) for m in metrics)
        print(
            f"{name:14}{metrics[-1]['training/global_step']:>6}{median(m['train/kept_ratio'] for m in later):>8.2f}"
            + "".join(f"{seconds:>14.2f} s" for seconds in shown)
            + f"{gap:>10.2g}{peak:>8.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("learner", "step"))
    parser.add_argument("options", nargs="*", help="step: further options of the launcher")
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-1.5b")
    parser.add_argument("--layers", type=int, help="instead of the shape's own number")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--samples", type=int, default=64, help="of a step; a multiple of 8")
    parser.add_argument("--prompt", type=int, default=256, help="learner: tokens of a prompt")
    parser.add_argument("--response", type=int, default=1024, help="tokens of the longest response")
    parser.add_argument("--correct", type=float, default=0.6, help="learner: share of samples that are right")
    parser.add_argument("--token-budget", type=int, default=16384, help="tokens of a micro-batch")
    parser.add_argument("--repeats", type=int, default=3, help="learner: measured updates, after one to warm up")
    parser.add_argument("--cases", help="learner: only these, separated by commas")
    parser.add_argument("--steps", type=int, default=4, help="step: steps before the checkpoint")
    parser.add_argument("--vllm-memory", type=float, default=0.3, help="step: vLLM's share of the GPU's memory")
    parser.add_argument("--json", type=Path, help="where the figures go, with hardware and versions")
    arguments = parser.parse_intermixed_args()  # the launcher's options may stand anywhere
    with tempfile.TemporaryDirectory() as name:
        {"learner": learner, "step": step}[arguments.part](arguments, Path(name))


if __name__ == "__main__":
    main()
