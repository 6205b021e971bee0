# shellcheck shell=bash
# What every recipe shares: its knobs, the data, and train(). Sourced, not run.
#
#   MODEL_PATH   a folder or a hub id              N_GPUS    per node (default: those visible here; 1 on a CPU)
#   DATA_DIR     files of scripts/prepare_data.py  NNODES    default 1; more: see recipes/README.md
#   OUTPUT_DIR   checkpoints, metrics, logs        DEVICE    gpu | cpu (default: gpu where one is visible, or RAY_ADDRESS set)
#   ENTROPY_COEFF  1e-4, as in the paper; its released code has 1e-3
#   MASK_TRUNCATED True: answers cut by the length limit are left out of the update (default: graded, as in the paper)
#   PAPER_GRADER   True: the paper's verdicts instead of ours; see recipes/README.md for what they accept wrongly
#
# Options of verl and of this package follow the script's name and win over everything else.
for argument in "$@"; do
    if [[ $argument == --help || $argument == -h ]]; then
        sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
        sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
        exit 0
    fi
done
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
enter_venv

# use_model PRESET: what a model's recipes have in common.
use_model() {
    PRESET=$1
    local found num_visible default
    found=$(python -m verl_ext.families "$PRESET") # its hub id and its prompt template
    read -r HUB_ID TEMPLATE <<<"$found"
    found=$(python -m verl_ext.training.device) # how many accelerators are visible, and the device that follows
    read -r num_visible default <<<"$found"
    DEVICE=${DEVICE:-$default}
    [[ $DEVICE == cpu || $DEVICE == gpu ]] || die "DEVICE must be cpu or gpu, got $DEVICE."
    NNODES=${NNODES:-1}
    if [[ $DEVICE == cpu ]]; then
        N_GPUS=${N_GPUS:-1}
    else
        [[ -n ${N_GPUS:-} || $num_visible != 0 ]] ||
            die "No accelerator is visible here: set N_GPUS to the number that each node of the Ray cluster has," \
                "or DEVICE=cpu to run two steps without one."
        N_GPUS=${N_GPUS:-$num_visible}
    fi
}

# The files of the preset's template: those of DATA_DIR, which must exist, or our own, made at the first use.
use_data() {
    local task
    if [[ -z ${DATA_DIR:-} ]]; then
        DATA_DIR=$ROOT/outputs/data/$TEMPLATE
        for task in math aime2025 amc23; do
            [[ -f $DATA_DIR/${task}_test.parquet ]] ||
                python "$ROOT/scripts/prepare_data.py" "$task" --template "$TEMPLATE" --out "$DATA_DIR"
        done
    fi
    for task in math_train math_test aime2025_test amc23_test; do
        [[ -f $DATA_DIR/$task.parquet ]] || die "DATA_DIR=$DATA_DIR has no $task.parquet. Make it with" \
            "  python scripts/prepare_data.py ${task%_*} --template $TEMPLATE --out $DATA_DIR"
    done
}

# Two steps of the same path on a machine without an accelerator: a random model of the same architecture family,
# whose tokens are bytes, so that lengths are shorter and batches small.
use_cpu_sizes() {
    MODEL_PATH=${MODEL_PATH:-$ROOT/outputs/recipes/cpu_model}
    [[ -e $MODEL_PATH || $MODEL_PATH != "$ROOT"/outputs/* ]] ||
        python "$ROOT/scripts/build_small_model.py" --random --tiny --out "$MODEL_PATH"
    SIZES=(
        data.train_batch_size=8
        data.val_max_samples=4
        data.max_prompt_length=640
        data.max_response_length=32
        actor_rollout_ref.rollout.max_model_len=672
        actor_rollout_ref.rollout.n=4
        actor_rollout_ref.rollout.tensor_model_parallel_size=1
        actor_rollout_ref.actor.ppo_mini_batch_size=4
        actor_rollout_ref.actor.ppo_max_token_len_per_gpu=16384
        actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=16384
        critic.ppo_mini_batch_size=2
        critic.ppo_max_token_len_per_gpu=16384
        trainer.total_training_steps=2
        trainer.save_freq=-1
        trainer.test_freq=-1
    )
}

# train NAME OPTION...: launch, with what the knobs say between the recipe's options and the caller's. verl_ext.doctor has
# itself started instead of the launcher: VERL_EXT_LAUNCH.
train() {
    local name=$1 knobs=() folder
    shift
    # The folder's name holds what makes a run different from others, so that an interrupted run continues from its own checkpoints.
    [[ -z ${ENTROPY_COEFF:-} ]] || name+=-entropy$ENTROPY_COEFF
    [[ ${MASK_TRUNCATED:-False} != True ]] || name+=-mask_truncated
    [[ ${PAPER_GRADER:-False} != True ]] || name+=-paper_grader
    use_data
    folder=${DATA_DIR//\'/\\\'} # as hydra quotes
    SIZES=()
    [[ $DEVICE == gpu ]] || use_cpu_sizes
    MODEL_PATH=${MODEL_PATH:-$HUB_ID}
    [[ -z ${ENTROPY_COEFF:-} ]] || knobs+=(actor_rollout_ref.actor.entropy_coeff="$ENTROPY_COEFF")
    [[ -z ${MASK_TRUNCATED:-} ]] || knobs+=(algorithm.mask_truncated="$MASK_TRUNCATED")
    [[ ${PAPER_GRADER:-False} != True ]] || export VERL_EXT_GRADER=paper
    # verl hides a plugin that cannot be imported at DEBUG level; named here, it fails loudly.
    export VERL_USE_EXTERNAL_MODULES=${VERL_USE_EXTERNAL_MODULES:+$VERL_USE_EXTERNAL_MODULES,}verl_ext.plugin
    exec python -m "${VERL_EXT_LAUNCH:-verl_ext.training.main}" \
        device="$DEVICE" \
        preset="$PRESET" \
        actor_rollout_ref.model.path="$MODEL_PATH" \
        data.train_files="$DATA_DIR/math_train.parquet" \
        data.val_files="['$folder/math_test.parquet','$folder/aime2025_test.parquet','$folder/amc23_test.parquet']" \
        trainer.n_gpus_per_node="$N_GPUS" \
        trainer.nnodes="$NNODES" \
        trainer.experiment_name="$PRESET-$name" \
        trainer.output_dir="${OUTPUT_DIR:-outputs/recipes/$PRESET-$name}" \
        "${SIZES[@]}" "${knobs[@]}" "$@"
}
