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
from pathlib import Path

from omegaconf import OmegaConf

from verl_ext.training import events, presets, resume
from verl_ext.training.attention import described
from verl_ext.training.checks.algorithm import checks_of_verls_trainers
from verl_ext.training.configuration import compose_config, resolved
from verl_ext.training.console import Console, output_to, tail
from verl_ext.training.device import chosen_device, default_device, device_defaults
from verl_ext.training.launch import prepare_environment, train
from verl_ext.training.preflight import check
from verl_ext.training.run_record import write_run_record

LOG_NAME = "train.log"


def main(argv: Sequence[str]) -> int:
    """Run one training; returns the process's exit code."""
    overrides = [argument for argument in argv if argument not in ("--cfg", "job")]
    try:
        device = chosen_device(overrides)
        if device is None:
            device, reason = default_device(overrides)
            print(f"device={device}: {reason}")
        config = compose_config([*device_defaults(overrides, device), *overrides], device=device)
        if "--cfg" in argv:
            print(OmegaConf.to_yaml(config, resolve=True))
            return 0
        changed = presets.differences(config, overrides)
        checkpoint = check(config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output_dir = Path(config.trainer.output_dir)
    settings = presets.table(changed, presets.chosen(overrides))
    if settings:
        print(settings)
    write_run_record(
        output_dir / "run.json",
        argv=["python", "-m", "verl_ext.training.main", *argv],
        config=resolved(config),
        presets=presets.chosen(overrides),
        preset_differences=[difference._asdict() for difference in changed],
    )
    for line in resume.begin(config, checkpoint):
        print(line)
    log_path = output_dir / LOG_NAME
    print(described(config))
    without = checks_of_verls_trainers(config)
    if without:
        print(without)
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


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written; the threads of Ray and vLLM would keep the process for seconds
