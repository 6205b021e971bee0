"""Make a Hugging Face model of what a run has saved.

    python -m verl_ext.checkpoint export RUN --to DIR [--step N|best]

RUN is the output folder of a run of this package, or a folder with verl's checkpoints (global_step_<N>): FSDP shards of any
number of ranks, whole models, adapters. DIR gets the weights with the adapter merged, the tokenizer, the generation
configuration and a model card with the facts of run.json. It appears whole, and checked: the logits are compared with
those of the weights that it was made from.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from verl_ext.checkpoint.hf_folder import DTYPES, export, present_export
from verl_ext.checkpoint.saved_weights import BEST, LATEST, find_weights
from verl_ext.host.command_line import CommandParser, path_option, print_any_text


def parser() -> CommandParser:
    whole = CommandParser(prog="python -m verl_ext.checkpoint", description=__doc__, allow_abbrev=False)
    whole.formatter_class = argparse.RawDescriptionHelpFormatter
    one = whole.add_subparsers(required=True, metavar="export").add_parser(
        "export", help="RUN --to DIR", allow_abbrev=False
    )
    one.add_argument(
        "run", type=path_option, metavar="RUN", help="output folder, checkpoints, a step, or an adapter of peft"
    )
    one.add_argument("--to", type=path_option, metavar="DIR", required=True, help="the new folder")
    one.add_argument("--step", default=LATEST, metavar="N", help=f"a number, {BEST} or {LATEST} (default)")
    one.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare ranks and logits with the weights that it is made from; it takes the memory of two more models",
    )
    one.add_argument("--dtype", choices=DTYPES, help="round the weights to it (default: the precision that they have)")
    one.add_argument(
        "--base", metavar="MODEL", help="what the adapter was trained on, where a checkpoint has the adapter alone"
    )
    return whole


def _show_only_what_is_asked() -> None:
    """No bars of transformers, and no warnings of torch about process groups: the shards are only read."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)


def _checked(facts: Mapping[str, Any]) -> str:
    if facts["logit_difference"] is None:
        return "not checked (--no-check)"
    said = f"logits differ from those of what was saved by at most {facts['logit_difference']:.2g} of the largest"
    return (
        f"{said}; the parts of {facts['num_ranks']} ranks are where they belong"
        if (facts["num_ranks"] or 0) > 1
        else said
    )


def main(arguments: Sequence[str]) -> int:
    print_any_text()
    options = parser().parse_args(arguments)
    try:
        weights = find_weights(options.run, options.step)
        facts = present_export(options.to, weights, options.dtype)
        if facts is not None:
            print(f"{options.to} is the export of these weights already: nothing to do.")
            return 0
        step = "" if weights.step is None else f"step {weights.step} of "
        print(f"exporting {step}{weights.run or weights.folder} to {options.to}", flush=True)
        _show_only_what_is_asked()
        facts = export(weights, options.to, is_checked=options.check, dtype=options.dtype, base=options.base)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.to}: {facts['dtype']}, {_checked(facts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
