# shellcheck shell=bash
# What the scripts share; sourced, not run. ROOT is the checkout, VENV its virtual environment.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv

# say LINE: progress, on standard error.
say() { printf '%s\n' "$*" >&2; }

# die LINE...: the reason and the way out, then a non-zero exit.
die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# enter_venv: set up what is missing (a no-op once installed), then run what follows from .venv.
enter_venv() {
    bash "$ROOT/scripts/install.sh"
    export VIRTUAL_ENV=$VENV PATH="$VENV/bin:$PATH"
    unset PYTHONHOME
}
