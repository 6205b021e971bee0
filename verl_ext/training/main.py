"""Train with PSR, NSR, W-REINFORCE, REINFORCE or any of verl's estimators, on GPUs or on a CPU.

    python -m verl_ext.training.main actor_rollout_ref.model.path=MODEL data.train_files=TRAIN data.val_files=VAL ...

Arguments are hydra overrides of verl's configuration and of this package's keys (``verl_ext/training/config``).
``--cfg`` prints the resolved configuration and stops.
"""

import os
import sys
from collections.abc import Sequence

from omegaconf import OmegaConf

from verl_ext.training import one_run, several_runs
from verl_ext.training.checks.resume import NothingLeftError

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

Several runs, one after the other, of which only the first pays the start-up:
  COMMON --run OWN --run OWN ...       options of all, then those of each run
  --multirun NAME=VALUE,VALUE ...      a run for each value, hydra's habit; trainer.output_dir has to name what differs
"""


def main(argv: Sequence[str]) -> int:
    """Train one run, or several after one another; returns the process's exit code."""
    if "--help" in argv or "-h" in argv:
        print((__doc__ or "") + HELP)
        return 0
    if several_runs.is_asked_for(argv):
        return several_runs.main(argv)
    overrides = [argument for argument in argv if argument not in ("--cfg", "job")]
    try:
        if "--cfg" in argv:
            print(OmegaConf.to_yaml(one_run.composed(overrides), resolve=True))
            return 0
        prepared = one_run.prepare(overrides)
    except NothingLeftError as done:
        print(f"nothing to do: {done}")
        return 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return several_runs.train_alone(prepared)


def use_utf8(module: str) -> None:
    """Start ``module`` again in Python's UTF-8 mode where the locale has another encoding; Ray's workers inherit it.

    Files are UTF-8 whatever the locale says, and tokenizers, pyarrow and vLLM know no other encoding of names.
    """
    if sys.getfilesystemencoding().lower() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])


if __name__ == "__main__":
    use_utf8("verl_ext.training.main")
    one_run.print_any_name()
    one_run.exit_now(main(sys.argv[1:]))
