# shellcheck shell=bash
# What the scripts share; sourced, not run. ROOT is the checkout, VENV its virtual environment.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv

# say LINE: what is being done, for the person who waits.
say() { printf '%s\n' "$*" >&2; }

# die LINE...: the reason and the way out, then a non-zero exit.
die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# enter_venv: set up what is missing (at once where nothing is), then run everything that follows from .venv.
enter_venv() {
    bash "$ROOT/scripts/install.sh"
    export VIRTUAL_ENV=$VENV PATH="$VENV/bin:$PATH"
    unset PYTHONHOME
}
