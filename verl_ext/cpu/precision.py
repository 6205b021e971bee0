"""Which precision this processor computes fast in.

A processor with bfloat16 instructions multiplies bfloat16 several times faster than float32; one without them, which is
every processor with AVX2 only, fifteen times slower or more. Read from the kernel's list of flags, without loading
torch, and bounded by the variables that bound torch's and oneDNN's use of them.
"""

import json
import os
from collections import Counter
from functools import cache
from math import prod
from pathlib import Path

from verl_ext.host.files import read_object, write_whole
from verl_ext.host.tensor_files import tensors_in

CPUINFO = Path("/proc/cpuinfo")
FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of x86 and, the last, of ARM."""
BELOW_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA that leave these instructions unused."""
BFLOAT16_FROM = 10_000_000
"""Parameters. A model of 6.5 million learned 2.4 times faster in bfloat16, but so small a step is short in float32 too, and
there rollout and learner agree to 1e-7."""


def has_fast_bfloat16() -> bool:
    """Whether matrices in bfloat16 are multiplied faster than in float32 here; False where nothing tells."""
    if os.environ.get("ATEN_CPU_CAPABILITY", "").lower() in ("default", "avx2"):
        return False
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in BELOW_BFLOAT16 and bool(FLAGS & _flags())


@cache
def _flags() -> set[str]:
    """The flags of the first processor; none on a system that does not list them."""
    if not CPUINFO.exists():
        return set()
    for line in CPUINFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def dtype_on_cpu(stored: str | None, num_parameters: int | None) -> str:
    """The precision to sample in for weights stored as ``stored``, in vLLM's words.

    bfloat16 where the processor is fast in it and the weights have it or are many: vLLM on an accelerator does not
    sample in float32 either. Else float32, which holds every value of the smaller types.
    """
    is_worth_it = stored == "bfloat16" or (num_parameters or 0) >= BFLOAT16_FROM
    return "bfloat16" if is_worth_it and has_fast_bfloat16() else "float32"


def stored_dtype(folder: Path) -> str | None:
    """The precision that most tensors of a model's first file have; None for pickled weights.

    config.json may say something else: verl 0.9.1 exports with bfloat16 there, whatever the tensors are.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return None
    codes = Counter(tensor["dtype"] for tensor in tensors_in(files[0]).values())
    names = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
    return names.get(codes.most_common(1)[0][0]) if codes else None


def parameters_in(folder: Path) -> int | None:
    """The numbers in a model's tensors; None for pickled weights."""
    files = sorted(folder.glob("*.safetensors"))
    return sum(prod(tensor["shape"]) for file in files for tensor in tensors_in(file).values()) if files else None


def correct_dtype(folder: Path) -> None:
    """Make ``folder/config.json`` say the precision of the tensors beside it, in which transformers will load them."""
    file = folder / "config.json"
    stored = stored_dtype(folder)
    if stored is None or not file.is_file():
        return
    config = read_object(file)
    if config.get("dtype") != stored:
        write_whole(file, json.dumps(config | {"dtype": stored}, indent=2) + "\n")
