"""The zero-shot baseline of the published Countdown study, in the arguments of ``eval/eval.py``."""

import json
from collections.abc import Sequence

from verl_ext.host.command_line import CommandParser

NUM_SAMPLES, TOP_P, MAX_MODEL_LEN = 1, 1.0, 2048
"""What its script fixes."""


def evaluation_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments of the evaluation for a command line of the baseline's; those of the evaluation itself win.

    Args:
        arguments: ``--model``, ``--max_tokens``, ``--temperature`` and ``--gpu_mem_util`` as there; all others are the
            evaluation's, which has to be told the problems and where the answers go.
    """
    parser = CommandParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", "--model", "--model_id", dest="model", default="Qwen/Qwen3-1.7B")
    parser.add_argument("--max_tokens", default="256")
    parser.add_argument("--temperature", default="1")
    parser.add_argument("--gpu_mem_util", type=float)
    given, others = parser.parse_known_args(arguments)
    engine = [] if given.gpu_mem_util is None else ["--engine_options", _engine_options(given.gpu_mem_util)]
    return [
        *("--model_path", given.model, "--max_tokens", given.max_tokens, "--temperature", given.temperature),
        *("--num_samples", str(NUM_SAMPLES), "--top_p", str(TOP_P), "--max_model_len", str(MAX_MODEL_LEN)),
        *engine,
        *others,
    ]


def _engine_options(gpu_memory_utilization: float) -> str:
    return json.dumps({"gpu_memory_utilization": gpu_memory_utilization})
