"""Which precision this processor computes fast in.

A processor with bfloat16 instructions multiplies bfloat16 several times faster than float32; one without them, which is
every processor with AVX2 only, fifteen times slower or more. Read from the kernel's list of flags, without loading
torch, and bounded by the variables that bound torch's and oneDNN's use of them.
"""

import os
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of x86 and, the last, of ARM."""
BELOW_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA that leave these instructions unused."""


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


def dtype_on_cpu(stored: str | None) -> str:
    """The precision to sample in for weights stored as ``stored``, in vLLM's words.

    That of the weights where the processor is fast in it; else float32, which holds every value of the smaller types.
    """
    return "bfloat16" if stored == "bfloat16" and has_fast_bfloat16() else "float32"
