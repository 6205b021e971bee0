"""Kill an evaluation again and again, and compare what it leaves with an undisturbed one, line for line.

    python benchmarks/kill_resume.py [--kills 20] [--num_problems 200] [--num_samples 256] [--model DIR] [-- OPTIONS]

Each kill is a SIGKILL, at a random moment of the start (one in four) or at a random share of the answers. Prints a line
per kill and the result; exits 1 where the files differ or a process is left. OPTIONS go to eval.py.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from verl_ext.host.threads import use_one_thread

REPOSITORY = Path(__file__).resolve().parents[1]
START_SHARE = 0.25
GONE_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--num_problems", type=int, default=200)
    parser.add_argument("--num_samples", type=int, default=256)
    parser.add_argument("--model", type=Path, help="default: a small base model is built, which takes minutes")
    parser.add_argument("--data", type=Path, help="verl's rows; default: Countdown problems are made")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("options", nargs="*", help="for eval.py, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return compare(Path(name), arguments)


def compare(folder: Path, arguments: argparse.Namespace) -> int:
    model, data = arguments.model or folder / "base", arguments.data or folder / "countdown_test.parquet"
    if arguments.model is None:
        subprocess.run([sys.executable, REPOSITORY / "scripts/build_small_model.py", "--out", model], check=True)
    if arguments.data is None:
        command = [sys.executable, REPOSITORY / "scripts/prepare_data.py", "countdown", "--out", folder, "--short"]
        command += ["--num_train", "1", "--num_test", str(arguments.num_problems), "--seed", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    command = [
        *(sys.executable, str(REPOSITORY / "eval/eval.py"), "--model_path", str(model), "--data", str(data)),
        *("--num_problems", str(arguments.num_problems), "--num_samples", str(arguments.num_samples)),
        *("--temperature", "1", "--top_p", "1", "--max_tokens", "16", "--max_model_len", "64"),
        *arguments.options,
    ]
    began = time.monotonic()
    whole = folder / "whole.jsonl"
    _run([*command, "--output_path", str(whole)])
    undisturbed_seconds = time.monotonic() - began
    size = whole.stat().st_size
    print(f"undisturbed: {count(whole):,} answers in {undisturbed_seconds:.0f} s", flush=True)

    moments = random.Random(arguments.seed)
    shares = sorted(moments.random() for _ in range(arguments.kills))
    parts = folder / "parts.jsonl"
    num_left = 0
    for number, share in enumerate(shares, start=1):
        is_early = moments.random() < START_SHARE
        process = subprocess.Popen(
            [*command, "--output_path", str(parts)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        started = time.monotonic()
        deadline = started + moments.uniform(0, undisturbed_seconds / 3) if is_early else float("inf")
        while process.poll() is None and time.monotonic() < deadline:
            if parts.exists() and parts.stat().st_size >= share * size:
                time.sleep(moments.uniform(0, 0.2))
                break
            time.sleep(0.002)
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        was_running, seconds = process.poll() is None, time.monotonic() - started
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, left = psutil.wait_procs(children, timeout=GONE_SECONDS)
        num_left += len(left)
        cut = len(parts.read_bytes().rpartition(b"\n")[2]) if parts.exists() else 0
        print(
            f"kill {number:>2} after {seconds:5.1f} s: {count(parts):>7,} answers, {cut} bytes of a cut "
            f"line, {len(left)} processes left{'' if was_running else ' (it had ended)'}",
            flush=True,
        )
    _run([*command, "--output_path", str(parts)])
    is_same = sorted(whole.read_bytes().splitlines()) == sorted(parts.read_bytes().splitlines())
    print(
        f"{arguments.kills} kills, {count(parts):,} answers: {'equal' if is_same else 'NOT equal'} to the undisturbed "
        f"file line for line (sorted); {num_left} processes were left"
    )
    return 0 if is_same and not num_left else 1


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: eval.py failed with exit code {done.returncode}:\n{done.stderr}")


def count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


if __name__ == "__main__":
    use_one_thread()  # a small model
    sys.exit(main())
