#!/usr/bin/env bash
# Set up .venv: the locked versions of requirements/, development tools included, and this package in editable mode.
# A no-op once installed. Interrupted, it continues where it stopped; after a change of the lock, it installs the changes.
#
#   scripts/install.sh          what .venv is already for; at first, the CPU environment
#   scripts/install.sh --cpu    training, vLLM and all tests without a GPU
#   scripts/install.sh --gpu    verl and vLLM for CUDA 13 (FLASH_ATTN=1: flash-attn as well, where it builds)
#
#   PYTHON=...           the interpreter; default: python3.11, python3.12, python3, the first that will do
#   TORCH_INDEX_URL=...  where the CPU build of torch is; default: pip's own indexes, else download.pytorch.org
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

STAMP=$VENV/.verl_ext-installed # what .venv is for, and once it is ready: the digest of what it was made from
LOG=$VENV/install.log
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

# A GPU environment stays one when a script that knows nothing of GPUs asks for "the" environment.
FLAVOR=cpu
[[ ! -f $STAMP ]] || read -r FLAVOR <"$STAMP"
case ${1:-} in
    "") ;;
    --cpu | --gpu) FLAVOR=${1#--} ;;
    -h | --help) usage && exit ;;
    *) die "install.sh has no option $1." "$(usage)" ;;
esac
LOCK=$ROOT/requirements/$FLAVOR.txt

# What the stamp of a ready environment reads; nothing where .venv has no interpreter that runs. The folder is part of
# it, because an environment holds absolute paths: copied or moved, it would run another checkout's code.
wanted_stamp() {
    "$VENV/bin/python" -IS - "$FLAVOR" "$ROOT" "$LOCK" "$ROOT/setup.py" 2>/dev/null <<'PY'
import hashlib, platform, sys
flavor, root, *files = sys.argv[1:]
digest = hashlib.sha256(b"".join(open(name, "rb").read() for name in files)).hexdigest()
print(flavor, platform.python_version(), root, digest, sep="\n")
PY
}

is_ready() { [[ -f $STAMP ]] && [[ $(wanted_stamp) == "$(<"$STAMP")" ]]; }

# What verl and the locked versions run on.
is_right_version() { [[ $1 == 3.11 || $1 == 3.12 ]]; }

# version_of PYTHON: 3.11, or nothing where it does not run or cannot make environments.
version_of() { "$1" -c 'import ensurepip, venv, sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

find_python() {
    local seen="" candidate version
    for candidate in ${PYTHON:-python3.11 python3.12 python3 python}; do
        version=$(version_of "$candidate")
        ! is_right_version "$version" || { command -v "$candidate" && return; }
        [[ -z $version ]] || seen+=" $candidate is $version;"
    done
    die "verl_ext needs Python 3.11 or 3.12 with its venv module.${seen:+ Found:$seen}" \
        "Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv)" \
        "or name one: PYTHON=/path/to/python3.11 $0"
}

# need_room FOLDER GIGABYTES
need_room() {
    local free_kb
    free_kb=$(df -Pk "$1" | awk 'NR == 2 { print $4 }')
    ((free_kb >= $2 * 1000 * 1000)) ||
        die "The environment needs $2 GB free in $1, which has $((free_kb / 1000)) MB." \
            "Free some space, or, if this is the folder for temporary files, set TMPDIR to another."
}

packages_progress() {
    local fetched installed
    fetched=$(tail -n "+$STEP_BEGINS" "$LOG" | grep -c -E '^(Collecting|Processing|Requirement already)')
    installed=$(find "$VENV"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l)
    printf ': %d of %d packages fetched, %d in place' "$fetched" "$NUM_LOCKED" "$installed"
}

# run_logged WHAT COMMAND...: output to the log, a line every ten seconds to the terminal. Returns the command's status.
PROGRESS=true # what prints the rest of that line
run_logged() {
    local what=$1 began=$SECONDS status=0 job tick
    shift
    say "  $what"
    printf '\n$ %s\n' "$*" >>"$LOG"
    STEP_BEGINS=$(wc -l <"$LOG")
    # In a process group of its own, to be ended whole: a job in the background does not see Ctrl-C.
    set -m
    "$@" >>"$LOG" 2>&1 &
    job=$!
    set +m
    trap 'kill -- -$job 2>/dev/null; exit 130' INT TERM HUP
    for ((tick = 1; ; tick++)); do
        sleep 0.5 9>&- # the lock ends with us
        kill -0 $job 2>/dev/null || break
        ((tick % 20)) || say "    $((SECONDS - began)) s$($PROGRESS || true)"
    done
    wait $job || status=$?
    trap - INT TERM HUP
    return $status
}

# must WHAT COMMAND...: run_logged, or stop with the end of the log.
must() {
    run_logged "$@" && return
    say "" "The end of $LOG:"
    tail -n 25 "$LOG" >&2
    die "" "Setting up .venv failed at: $1." \
        "Fix the cause (network, disk, an index without this version) and run it again; what is installed is kept."
}

pip() { "$VENV/bin/python" -m pip "$@"; }

# pip_install ARGUMENTS...: exactly these packages; compiling is one step, at the end, on all cores.
pip_install() { pip install --no-input --no-deps --no-compile --progress-bar off --disable-pip-version-check "$@"; }

# The lock says torch==X. PyTorch labels its CPU builds "X+cpu"; asked for by that name, no CUDA build from PyPI fits.
install_cpu_torch() {
    local torch
    torch=$(grep '^torch==' "$LOCK")
    if [[ -n ${TORCH_INDEX_URL:-} ]]; then
        pip_install --index-url "$TORCH_INDEX_URL" "$torch"
    else
        pip_install "$torch+cpu" ||
            pip_install --timeout 15 --retries 1 --index-url "$TORCH_CPU_INDEX" "$torch+cpu" ||
            pip_install "$torch"
    fi
}

# Read from its version file: importing torch would take seconds.
torch_cuda_version() {
    "$VENV/bin/python" -I -c 'import pathlib, runpy, sysconfig
version_file = pathlib.Path(sysconfig.get_path("purelib"), "torch", "version.py")
print(runpy.run_path(str(version_file))["cuda"] or "")'
}

# The solver of reasoning-gym, in C without a build for Linux: the one package that needs a compiler, so not in the lock.
install_pycosat() { pip_install --use-pep517 --no-build-isolation "pycosat==0.6.6"; }

install_flash_attn() { pip_install --no-build-isolation "flash-attn==2.8.3"; }

compile_all() {
    # Its status says whether every file is valid Python, which the templates and test files of some packages are not.
    "$VENV/bin/python" -m compileall -q -j 0 -x 'site-packages/.*/tests?/' "$VENV"/lib/python*/site-packages || true
}

! is_ready || exit 0
# A fresh environment empties the folder first: of a link that would be the environment of another checkout.
[[ ! -L $VENV ]] ||
    die "$VENV is a symbolic link to $(readlink "$VENV"), whose content may be somebody else's." \
        "Remove the link (rm $VENV) and run this again; what it points to stays."
[[ $(uname -s) == Linux ]] ||
    die "verl_ext trains on Linux: vLLM is built for nothing else. Elsewhere \`pip install .\` grades and measures."
exec 9<"$ROOT"
if command -v flock >/dev/null && ! flock -n 9; then
    say "Another process is setting up .venv: waiting for it."
    flock 9
    ! is_ready || exit 0
fi

NUM_LOCKED=$(grep -c '^[^#]' "$LOCK")
say "Setting up .venv ($FLAVOR, $NUM_LOCKED packages). This happens once; details in $LOG."
room=5 tmp_room=2
[[ $FLAVOR == cpu ]] || room=20 tmp_room=8
if [[ -f $STAMP && $(head -n 3 "$STAMP") != "$(wanted_stamp | head -n 3)" ]]; then
    say "  .venv is for another device, Python or folder: starting over."
    is_fresh=1
elif ! pip --version >/dev/null 2>&1 && ! "$VENV/bin/python" -m ensurepip >/dev/null 2>&1; then
    is_fresh=1 # none yet, or cut short before it could hold anything
elif ! is_right_version "$(version_of "$VENV/bin/python")"; then
    die "$VENV was not made by this script and is not for Python 3.11 or 3.12. Move it away and run this again."
fi
need_room "${TMPDIR:-/tmp}" $tmp_room
if [[ -n ${is_fresh:-} ]]; then
    need_room "$ROOT" $room
    python=$(find_python)
    "$python" -m venv --clear "$VENV" || die "$python could not make a virtual environment: see above."
fi
wanted_stamp | head -n 3 >"$STAMP"
: >"$LOG"

# pip writes INSTALLER after a package's last file: without it pip was cut short, and believes that the package is installed.
for info in "$VENV"/lib/python*/site-packages/*.dist-info; do
    [[ -f $info/INSTALLER ]] || rm -rf "$info"
done

# A Python of 2023 brings a pip that takes twice as long over a list of this size.
must "pip and setuptools" pip_install "$(grep '^pip==' "$LOCK")" "$(grep '^setuptools==' "$LOCK")"
if [[ $FLAVOR == cpu ]]; then
    must "torch" install_cpu_torch
    cuda=$(torch_cuda_version)
    if [[ -n $cuda ]]; then
        must "removing the CUDA $cuda build of torch, the only one that pip found" pip uninstall --yes torch
        die "Give an index that has torch's CPU build: TORCH_INDEX_URL=$TORCH_CPU_INDEX $0"
    fi
fi
PROGRESS=packages_progress must "the locked packages" pip_install --use-pep517 --no-build-isolation -r "$LOCK"
must "verl_ext" pip_install --use-pep517 --no-build-isolation --editable "$ROOT"
run_logged "pycosat, for problems of reasoning-gym" install_pycosat ||
    say "  pycosat did not build ($LOG): without a C compiler there are no tasks of reasoning-gym."
must "byte-compiling, so that the first run does not" compile_all
if [[ ${FLASH_ATTN:-} == 1 ]]; then
    run_logged "flash-attn" install_flash_attn || say "  flash-attn did not build ($LOG); verl_ext runs without it."
fi

wanted_stamp >"$STAMP.new"
mv "$STAMP.new" "$STAMP"
say "Ready after $SECONDS s."
