"""Train in stages, with a hard reset after each: python -m verl_ext.stages FILE [--reset-now] [OPTION...]

FILE is a YAML file of stages (docs/stages.md). At a stage's end the adapter is merged into the model, checked, and the
next stage starts from the merged model with a new adapter, optimizer and reference. Run the same command again after an
interruption: it goes on in the stage and step where it was.

  --reset-now   end the present stage: after its next step where it runs, at its last checkpoint where it does not
  OPTION        name=value of the launcher, for every stage, over what the file says. trainer.output_dir=DIR is where
                everything goes (outputs/<name of FILE>)
"""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from verl_ext.host.command_line import print_any_text, typed_path
from verl_ext.host.folder_lock import BusyError
from verl_ext.stages.sequence import INTERRUPTED, StageError, Stages, Terminated
from verl_ext.stages.stage_file import DECIDED_HERE, read_stages

OUTPUT = "trainer.output_dir="


def main(arguments: Sequence[str]) -> int:
    print_any_text()
    if not arguments or {"--help", "-h"} & set(arguments):
        print(__doc__)
        return 0 if arguments else 2
    resets_now = "--reset-now" in arguments
    file, *overrides = [argument for argument in arguments if argument != "--reset-now"] or [""]
    outputs = [override.removeprefix(OUTPUT) for override in overrides if override.startswith(OUTPUT)]
    signal.signal(signal.SIGTERM, _terminate)
    try:
        if not file or "=" in file or file.startswith("-"):
            raise ValueError("The first argument is a file of stages, like recipes/gsm8k_prorl.yaml.")
        _check_overrides(overrides)
        path = typed_path(file)
        output = typed_path(outputs[-1]) if outputs else Path("outputs") / path.stem
        options = [override for override in overrides if not override.startswith(OUTPUT)]
        stages = Stages(read_stages(path), output.absolute(), options)
        try:
            stages.run(resets_now=resets_now)
        except BusyError as busy:
            if not resets_now:
                raise ValueError(f"{busy} Wait for it, or end its stage with --reset-now.") from None
            stages.ask_for_reset()
            print("The stage that is running will end after its next step.")
            return 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except StageError as error:
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"\nall stages are finished: {output / 'stages.json'}")
    return 0


def _terminate(_number: int, _frame: object) -> None:
    raise Terminated


def _check_overrides(overrides: Sequence[str]) -> None:
    for override in overrides:
        name = override.partition("=")[0]
        if name.startswith("-"):
            raise ValueError(f"{override} is no option of stages. There is --reset-now; others are written name=value.")
        if name in DECIDED_HERE and not override.startswith(OUTPUT):
            raise ValueError(f"{name} cannot be set: {DECIDED_HERE[name]}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
