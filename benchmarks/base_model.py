"""Seconds to build a small base model, with all that the processor has and as on one with AVX2 only.

    python benchmarks/base_model.py

Builds it twice, one after the other, and prints:
  multiply  GFLOP/s of one thread in float32 and in bfloat16, and what the package makes of it
  build     seconds, processor seconds and quality of the base model
  load      of the machine when each began: other work on it shows in the seconds and hardly in the processor seconds
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

REPOSITORY = Path(__file__).resolve().parents[1]
AS_WITH_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
"""MKL, which multiplies float32, cannot be bound to AVX2 on every processor: this is its slowest code, half as fast."""
MULTIPLY = """
import time, torch
from verl_ext.cpu.precision import has_fast_bfloat16
torch.set_num_threads(1)
for dtype in (torch.float32, torch.bfloat16):
    a, seconds = torch.randn(512, 512).to(dtype), []
    for _ in range(10):
        began = time.process_time()
        a @ a
        seconds.append(time.process_time() - began)
    print(round(2 * 512**3 / min(seconds) / 1e9, 1))
print("bfloat16" if has_fast_bfloat16() else "float32")
"""


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    print(f"{os.cpu_count()} cores", flush=True)
    built = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, variables in (("all instructions", {}), ("AVX2 only", AS_WITH_AVX2)):
            environment = os.environ | variables
            load = os.getloadavg()[0]
            multiply = [sys.executable, "-c", MULTIPLY]
            done = subprocess.run(multiply, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True)
            single, half, faster = done.stdout.split()
            print(f"{name:<17} multiply  {single} GFLOP/s in float32, {half} in bfloat16: {faster} is taken to be fast")
            out = Path(folder) / name.replace(" ", "_")
            began, used = perf_counter(), processor_seconds()
            build = [sys.executable, REPOSITORY / "scripts/build_small_model.py", "--out", out]
            subprocess.run(build, env=environment, check=True, capture_output=True)
            built[name] = perf_counter() - began
            quality = json.loads((out / "build.json").read_text())["acceptance"]
            print(
                f"{name:<17} build     {built[name]:.0f} s, {processor_seconds() - used:.0f} s of processor time; "
                f"pass@1 {quality['pass_at_1']:.1%}, pass@{quality['num_samples']} {quality['pass_at_n']:.1%}"
            )
            print(f"{name:<17} load      {load:.1f} before", flush=True)
    print(f"AVX2 only takes {built['AVX2 only'] / built['all instructions']:.2f} times as long")


if __name__ == "__main__":
    main()
