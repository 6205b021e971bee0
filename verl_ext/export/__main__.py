"""Make files of other tools from a generations file: answers, verdicts and pass@k.

    python -m verl_ext.export FILE --to inspect|lm-eval|lighteval|every-eval-ever|hf-card --out PATH

inspect           a log that inspect view and inspect_ai.log open; PATH ends in .eval
lm-eval           results_*.json and samples_*.jsonl of lm-evaluation-harness; PATH is a new folder
lighteval         results_*.json and details_*.parquet of lighteval; PATH is a new folder, its --output-dir
every-eval-ever   a document and its samples in the schema of Every Eval Ever; PATH is a new folder, with data/ in it
hf-card           pass@k in the metadata of a model card (model-index); PATH is a README.md, new or one that keeps the rest
"""

import argparse
import sys
from collections.abc import Sequence

from verl_ext.export.formats import FORMATS, export
from verl_ext.host.command_line import CommandParser, path_option, print_any_text
from verl_ext.metrics.generations import find_files


def parser() -> CommandParser:
    whole = CommandParser(prog="python -m verl_ext.export", description=__doc__, allow_abbrev=False)
    whole.formatter_class = argparse.RawDescriptionHelpFormatter
    whole.add_argument("file", metavar="FILE", help="a generations file, or whatever calculate_metrics.py reads")
    whole.add_argument("--to", choices=FORMATS, required=True, help="whose file to write")
    whole.add_argument("--out", type=path_option, required=True, metavar="PATH", help="the file or folder to write")
    whole.add_argument(
        "--verdict", metavar="NAME", help="which verdict counts where FILE, a file of another tool, has several"
    )
    return whole


def main(arguments: Sequence[str]) -> int:
    print_any_text()
    options = parser().parse_args(arguments)
    try:
        files = find_files(options.file)
        if len(files) > 1:
            raise ValueError(f"{options.file} is {len(files)} files. Name one, such as {files[0]}.")
        for line in export(files[0], options.to, options.out, options.verdict):
            print(line)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
