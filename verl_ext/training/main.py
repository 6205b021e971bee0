"""Train with PSR, NSR, W-REINFORCE, REINFORCE or any of verl's estimators, on GPUs or on a CPU.

    python -m verl_ext.training.main actor_rollout_ref.model.path=MODEL data.train_files=TRAIN data.val_files=VAL ...

Arguments are hydra overrides of verl's configuration and of this package's keys (``verl_ext/training/config``).
``--cfg`` prints the resolved configuration and stops.
"""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from verl_ext.host.log_tail import tail
from verl_ext.training import events, head, presets, run_folder
from verl_ext.training.attention import described
from verl_ext.training.checks import old_log_probs
from verl_ext.training.checks.algorithm import limits_that_do_not_apply
from verl_ext.training.configuration import compose_config, resolved
from verl_ext.training.console import Console, output_to
from verl_ext.training.device import chosen_device, default_device, device_defaults
from verl_ext.training.launch import prepare_environment, train
from verl_ext.training.preflight import check
from verl_ext.training.run_record import write_run_record

LOG_NAME = "train.log"
HELP = """
Options, written name=value. --cfg prints all of them with their values, and starts nothing.
  actor_rollout_ref.model.path         a folder with config.json, or a hub id
  data.train_files, data.val_files     files of scripts/prepare_data.py
  algorithm.adv_estimator              nsr (default), psr, w_reinforce, reinforce, ...
  device                               gpu or cpu; chosen from what is visible
  preset, recipe                       the paper's settings of a model and of an algorithm
  trainer.output_dir                   checkpoints, metrics, logs
  trainer.total_training_steps, trainer.save_freq, trainer.test_freq
docs/training.md has the others of this package.
"""


def main(argv: Sequence[str]) -> int:
    """Run one training; returns the process's exit code."""
    if "--help" in argv or "-h" in argv:
        print((__doc__ or "") + HELP)
        return 0
    overrides = [argument for argument in argv if argument not in ("--cfg", "job")]
    try:
        config = composed(overrides)
        if "--cfg" in argv:
            print(OmegaConf.to_yaml(config, resolve=True))
            return 0
        changed = presets.differences(config, overrides)
        checkpoint = check(config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    settings = presets.table(changed, presets.chosen(overrides))
    if settings:
        print(settings)
    try:
        write_run_record(
            Path(config.trainer.output_dir) / "run.json",
            argv=["python", "-m", "verl_ext.training.main", *argv],
            config=resolved(config),
            presets=presets.chosen(overrides),
            preset_differences=[difference._asdict() for difference in changed],
        )
        for line in run_folder.begin(config, checkpoint):
            print(line)
    except OSError as error:
        print(f"error: trainer.output_dir={config.trainer.output_dir} cannot be written: {error}", file=sys.stderr)
        return 2
    for line in (
        described(config),
        head.described(config),
        old_log_probs.described(config),
        limits_that_do_not_apply(config),
    ):
        if line:
            print(line)
    return run(config)


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration of a run, on the device that the overrides name or that is visible; raises ValueError."""
    device = chosen_device(overrides)
    if device is None:
        device, reason = default_device(overrides)
        print(f"device={device}: {reason}")
    return compose_config([*device_defaults(overrides, device), *overrides], device=device)


def run(config: DictConfig) -> int:
    """Train, with a line per step on the terminal and the rest in the log file; returns the process's exit code."""
    output_dir = Path(config.trainer.output_dir)
    log_path = output_dir / LOG_NAME
    print(f"everything else goes to {log_path}")
    started = time.monotonic()
    failure: BaseException | None = None
    with output_to(log_path) as terminal:
        console = Console(terminal)
        events.listen(console)
        try:
            prepare_environment(config)
            train(config)
        except BaseException as error:  # noqa: BLE001  reported below, with the exit code it deserves
            failure = error
            traceback.print_exc()
        finally:
            console.close()
    seconds = time.monotonic() - started
    if failure is None:
        print(f"done in {seconds:.0f} s: {output_dir}")
        return 0
    print(f"\nthe end of {log_path}:\n{tail(log_path)}", file=sys.stderr)
    if isinstance(failure, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    print(f"error after {seconds:.0f} s: {failure}", file=sys.stderr)
    return 1


def use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale has another encoding; Ray's workers inherit it.

    Files are UTF-8 whatever the locale says, and tokenizers, pyarrow and vLLM know no other encoding of names.
    """
    if sys.getfilesystemencoding().lower() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "verl_ext.training.main", *sys.argv[1:]])


if __name__ == "__main__":
    use_utf8()
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding does not have
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written; the threads of Ray and vLLM would keep the process for seconds
