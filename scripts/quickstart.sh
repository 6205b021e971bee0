#!/usr/bin/env bash
# Base model, PSR, NSR, W-REINFORCE and GRPO, 256 answers a problem, pass@k picture and report in outputs/quickstart.
#   bash scripts/quickstart.sh [--only psr|nsr|w_reinforce|grpo] [--output DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/env.sh"
enter_venv
exec python "$here/quickstart.py" "$@"
