#!/usr/bin/env bash
# Answers to each problem of each task, graded, and pass@k: the paper's evaluation of MODEL_PATH, a file per task.
#
#   MODEL_PATH=Qwen/Qwen2.5-Math-7B OUTPUT_DIR=outputs/eval bash eval/eval.sh
#   MODEL_PATH=outputs/my_run OUTPUT_DIR=outputs/eval TASKS="MATH-500 AIME2024" NUM_SAMPLES=64 bash eval/eval.sh
#
#   MODEL_PATH   hub id, model folder, checkpoint of a run, LoRA adapter, or the URL of an OpenAI-compatible server
#   OUTPUT_DIR   <task>.jsonl, <task>.run.json, eval.log; run again to continue, with a larger NUM_SAMPLES to top up
#   TASKS        by name: MATH AIME2025 AMC23 (the default), MATH-500 AIME2024 GSM8K Countdown ...
#   DATA_DIR     folder with local copies of the tasks' data; default: VERL_EXT_DATA, else the hub
#
# Left empty, these are the paper's for the model's family. Qwen2.5, Llama and models it did not use: 256 samples,
# temperature 0.6, top_p 0.95; Qwen3: 64, 0.7, 0.8, top_k 20, not thinking; 4,096 tokens; each family's own prompt.
#   NUM_SAMPLES TEMPERATURE TOP_P TOP_K MAX_TOKENS TEMPLATE (qwen, qwen3_no_thinking, llama, chat, none)
# Also: SEED NUM_PROBLEMS MAX_MODEL_LEN DTYPE SERVED_MODEL REQUEST_TIMEOUT DISAGREEMENTS CHUNK_SIZE
#   TENSOR_PARALLEL_SIZE DATA_PARALLEL_SIZE MAX_NUM_SEQS COMPRESS (zst, gz, none)
# Arguments are passed on to eval.py, which knows more (--help), and win.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"

[[ -n ${MODEL_PATH:-} ]] || die "MODEL_PATH is not set: a hub id, a model folder, a checkpoint of a run or a server's URL."
[[ -n ${OUTPUT_DIR:-} ]] || die "OUTPUT_DIR is not set: the folder that the answers go to."
read -ra TASKS <<<"${TASKS:-MATH AIME2025 AMC23}"
TENSOR_PARALLEL_SIZE=${TENSOR_PARALLEL_SIZE:-1}
COMPRESS=${COMPRESS:-none}

OPTIONS=(
    --model_path "$MODEL_PATH"
    --output_dir "$OUTPUT_DIR"
    --task "${TASKS[@]}"
    --tensor_parallel_size "$TENSOR_PARALLEL_SIZE"
    --compress "$COMPRESS"
)
# Knobs whose default eval.py knows: it asks the model's configuration for the family.
for knob in NUM_SAMPLES TEMPERATURE TOP_P TOP_K MAX_TOKENS TEMPLATE SEED NUM_PROBLEMS DATA_DIR MAX_MODEL_LEN DTYPE \
    SERVED_MODEL REQUEST_TIMEOUT DISAGREEMENTS CHUNK_SIZE DATA_PARALLEL_SIZE MAX_NUM_SEQS; do
    [[ -z ${!knob:-} ]] || OPTIONS+=("--${knob,,}" "${!knob}")
done

# Where the package is installed in another environment, that one is used.
[[ ! -d $VENV ]] || enter_venv
exec python "$ROOT/eval/eval.py" "${OPTIONS[@]}" "$@"
