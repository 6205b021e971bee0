#!/usr/bin/env bash
# All checks, from a clean checkout: set-up, lint, unit and contract tests, then the slow tests, which run the real
# trainer and vLLM. That is half an hour or more on two fast cores, and several times that on old or busy ones, with the same
# result. After a failure the slow tests are left out.
#
#   scripts/test.sh                     everything
#   scripts/test.sh --unit              without the slow tests
#   scripts/test.sh -k countdown        pytest's own options and paths, for both stages
#
# A slow test is stopped after SLOW_TEST_SECONDS (default 1800), which only what hangs takes. On a GPU machine `pytest -m gpu` runs the GPU tests.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
WITH_SLOW=1
if [[ ${1:-} == --unit ]]; then
    WITH_SLOW=""
    shift
fi
enter_venv
cd "$ROOT"

NO_TESTS=5 # pytest's exit status where nothing matched: fine for one of the two stages when -k or a path was given
failed=()
bash scripts/lint.sh || failed+=("lint")

# One thread: the tensors are tiny, and threads that wait for each other are slower than one that works.
fast=0
# A process begins with its half of the files in their order, so that what a file makes for its tests is made once, and takes
# from the other's when it is done.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} pytest --numprocesses "${TEST_PROCESSES:-2}" --dist worksteal --durations 15 "$@" || fast=$?
((fast == 0 || (fast == NO_TESTS && $# > 0))) || failed+=("unit and contract tests")

((${#failed[@]} == 0)) ||
    die "FAILED: $(printf '%s, ' "${failed[@]}")see above.${WITH_SLOW:+ The slow tests were not run.}"
[[ -n $WITH_SLOW ]] || exit 0

# Thread counts as in a user's run: the trainer sets them for each of its processes.
say "Slow tests"
slow=0
pytest -m "slow and not gpu" --timeout "${SLOW_TEST_SECONDS:-1800}" --durations 30 "$@" || slow=$?
((slow == NO_TESTS && fast == 0 && $# > 0)) || exit "$slow"
