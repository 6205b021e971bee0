#!/usr/bin/env python
"""Whether this installation can train: python -m verl_ext.doctor, by another name.

python scripts/verify_installation.py [--recipe FILE] [--generate] [--json] [OPTION...]
"""

import os
import sys

from verl_ext.doctor.__main__ import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
