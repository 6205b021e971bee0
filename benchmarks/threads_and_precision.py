"""What threads, bfloat16 and keeping freed memory are worth to the learner on this CPU, by the size of the model.

    python benchmarks/threads_and_precision.py [--sizes 0.5M,2M,7M,16M,135M] [--repeats 4]

Forward and backward pass of random Llamas with log-probs in float32. In each process the cases take turns, so that all meet the
same machine; the fastest of each counts. Prints milliseconds, one row per size and way of treating freed memory:
  float32    weights and products
  bfloat16   float32 weights, cast once for the pass as FSDP2's mixed precision does, in torch.autocast as verl calls them
  autocast   float32 weights, cast by torch.autocast for each product
each with one thread and with all of this process's cores.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from verl_ext.host.cores import usable_cores
from verl_ext.training.configuration import CONFIG_DIR


class Shape(NamedTuple):
    hidden: int
    layers: int
    vocabulary: int
    rows: int
    tokens: int


SHAPES = {
    "0.5M": Shape(96, 4, 256, 64, 48),
    "2M": Shape(192, 5, 256, 64, 48),
    "7M": Shape(256, 8, 1024, 32, 64),
    "16M": Shape(384, 8, 4096, 16, 64),
    "135M": Shape(576, 30, 49152, 8, 96),
}
MEMORY = ("given back", "kept")


def kept_memory() -> dict[str, str]:
    """The variables of ``device/cpu.yaml`` that keep a process's freed memory."""
    from omegaconf import OmegaConf

    variables = OmegaConf.load(CONFIG_DIR / "device" / "cpu.yaml").ray_kwargs.ray_init.runtime_env.env_vars
    return {str(name): str(value) for name, value in variables.items() if str(name).startswith("MALLOC_")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(SHAPES))
    parser.add_argument("--repeats", type=int, default=4)
    options = parser.parse_args()
    for size in options.sizes.split(","):
        for memory in MEMORY:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
            environment |= {"OMP_NUM_THREADS": str(usable_cores()), "OMP_WAIT_POLICY": "PASSIVE"}
            environment |= kept_memory() if memory == "kept" else {}
            command = [sys.executable, str(Path(__file__)), "case", size, str(options.repeats)]
            output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            measured = json.loads(output.splitlines()[-1])
            cells = "  ".join(f"{name} {milliseconds:8.1f}" for name, milliseconds in measured.items())
            print(f"{size:>5}, memory {memory:<10}  {cells}", flush=True)


def measure(shape: Shape, repeats: int) -> dict[str, float]:
    """Milliseconds of a pass by precision and threads, the fastest after a first one that warms up."""
    import torch
    from torch.func import functional_call
    from transformers import LlamaConfig, LlamaForCausalLM

    from verl_ext.learner.token_statistics import token_log_probs

    torch.manual_seed(0)
    num_heads = max(2, shape.hidden // 64)
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=num_heads,
            num_key_value_heads=num_heads // 3 if num_heads % 3 == 0 else num_heads,
            intermediate_size=shape.hidden * 8 // 3,
            vocab_size=shape.vocabulary,
            tie_word_embeddings=True,
            attn_implementation="sdpa",
        )
    )
    tokens = torch.randint(0, shape.vocabulary, (shape.rows, shape.tokens))

    def one_pass(precision: str) -> None:
        weights = dict(model.named_parameters())
        if precision == "bfloat16":
            weights = {name: weight.bfloat16() for name, weight in weights.items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != "float32"):
            logits = functional_call(model, weights, kwargs={"input_ids": tokens, "use_cache": False}).logits
        log_probs = token_log_probs(
            logits[:, :-1].reshape(-1, shape.vocabulary), tokens[:, 1:].reshape(-1), inplace_backward=True
        )
        (-log_probs.mean()).backward()
        model.zero_grad()

    fastest: dict[str, float] = {}
    for repeat in range(1 + repeats):
        for precision in ("float32", "bfloat16", "autocast"):
            for threads in sorted({1, usable_cores()}):
                torch.set_num_threads(threads)
                began = perf_counter()
                one_pass(precision)
                milliseconds, name = 1000 * (perf_counter() - began), f"{precision}/{threads}"
                if repeat:
                    fastest[name] = min(fastest.get(name, milliseconds), milliseconds)
    return fastest


if __name__ == "__main__":
    if sys.argv[1:2] == ["case"]:
        print(json.dumps(measure(SHAPES[sys.argv[2]], int(sys.argv[3]))))
    else:
        main()
