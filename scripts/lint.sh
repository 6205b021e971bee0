#!/usr/bin/env bash
# Layout, lint, strict types and shell scripts, each with its seconds; every check runs, and any finding is a failure.
#
#   scripts/lint.sh          check
#   scripts/lint.sh --fix    first fix what the formatters and ruff can
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
case ${1:-} in
    "" | --fix) ;;
    *) die "lint.sh has no option $1; it knows --fix." ;;
esac
enter_venv
cd "$ROOT"

mapfile -t SHELL_SCRIPTS < <(find . -name '.?*' -prune -o -path ./outputs -prune -o -name '*.sh' -print | sort)
SHELL_SCRIPTS+=(.ci/run launch/slurm.sbatch tests/end_to_end/two_nodes/{srun,scontrol})
SHFMT=(shfmt --indent 4 --case-indent)

if [[ ${1:-} == --fix ]]; then
    ruff check --quiet --fix . || true # what it cannot fix is reported below
    ruff format --quiet .
    "${SHFMT[@]}" --write "${SHELL_SCRIPTS[@]}"
fi

FAILED=()
check() { # check NAME COMMAND...
    local name=$1 began=$SECONDS output
    shift
    if output=$("$@" 2>&1); then
        say "  $name: passed, $((SECONDS - began)) s"
    else
        say "  $name: FAILED" "$output"
        FAILED+=("$name")
    fi
}

say "Lint"
check "layout (ruff format)" ruff format --diff .
check "lint (ruff)" ruff check .
check "types (mypy --strict verl_ext)" mypy --no-error-summary
check "shell (shellcheck)" shellcheck "${SHELL_SCRIPTS[@]}"
check "shell layout (shfmt)" "${SHFMT[@]}" --diff "${SHELL_SCRIPTS[@]}"
((${#FAILED[@]} == 0)) || die "Lint failed: ${FAILED[*]}. scripts/lint.sh --fix fixes the layout."
