#!/usr/bin/env bash
# Long GRPO with LoRA and hard resets on GSM8K, five phases as published: Qwen2-0.5B, the base model (gsm8k_prorl.yaml).
# Hardware: one GPU of 24 GB or more. Hours: not measured.
#
#   OBJECTIVE    grpo (as published) | nsr | psr | w_reinforce | reinforce | ...; these have no penalty for long answers
#   STAGES       a file of stages (gsm8k_prorl.yaml); PUBLISHED_REWARD=True: the published rule, see docs/stages.md
#   MODEL_PATH   a folder or a hub id              DATA_DIR     files of scripts/prepare_data.py gsm8k
#   OUTPUT_DIR   everything the stages leave       DEVICE       gpu | cpu (default: what is visible)
#
# Options of verl and of this package follow the script's name and win in every stage; --reset-now ends the present one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for argument in "$@"; do
    if [[ $argument == --help || $argument == -h ]]; then
        sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
    fi
done
source "$here/../scripts/env.sh"
enter_venv

OBJECTIVE=${OBJECTIVE:-grpo}
name=qwen2-0.5b-gsm8k-prorl-$OBJECTIVE
options=(algorithm.adv_estimator="$OBJECTIVE")
if [[ $OBJECTIVE != grpo ]]; then
    # A score that is neither right nor wrong is no score to an objective of signs.
    options+=(++reward.reward_kwargs.overlong_buffer_cfg.enable=False)
fi
if [[ ${PUBLISHED_REWARD:-False} == True ]]; then
    export VERL_EXT_GRADER=published_gsm8k
    name+=-published_reward
fi
[[ -z ${DEVICE:-} ]] || options+=(device="$DEVICE")
if [[ -z ${DATA_DIR:-} ]]; then
    DATA_DIR=$ROOT/outputs/data/gsm8k
    [[ -f $DATA_DIR/gsm8k_test.parquet ]] || python "$ROOT/scripts/prepare_data.py" gsm8k --out "$DATA_DIR"
fi
for file in gsm8k_train gsm8k_test; do
    [[ -f $DATA_DIR/$file.parquet ]] || die "DATA_DIR=$DATA_DIR has no $file.parquet. Make it with" \
        "  python scripts/prepare_data.py gsm8k --out $DATA_DIR"
done
# verl's data.val_max_samples takes other problems at every start.
validation=$DATA_DIR/gsm8k_test_first_100.parquet
if [[ ! -f $validation ]]; then
    python -c 'import sys; from pyarrow import parquet
parquet.write_table(parquet.read_table(sys.argv[1]).slice(0, 100), sys.argv[2])' "$DATA_DIR/gsm8k_test.parquet" "$validation.tmp"
    mv "$validation.tmp" "$validation"
fi
export VERL_USE_EXTERNAL_MODULES=${VERL_USE_EXTERNAL_MODULES:+$VERL_USE_EXTERNAL_MODULES,}verl_ext.plugin
launch=(verl_ext.stages)
[[ -z ${VERL_EXT_LAUNCH:-} ]] || launch=("$VERL_EXT_LAUNCH" --recipe) # verl_ext.doctor looks at the first stage
exec python -m "${launch[@]}" "${STAGES:-$here/gsm8k_prorl.yaml}" \
    actor_rollout_ref.model.path="${MODEL_PATH:-Qwen/Qwen2-0.5B}" \
    data.train_files="$DATA_DIR/gsm8k_train.parquet" \
    data.val_files="$validation" \
    trainer.project_name=qwen2-0.5b-gsm8k \
    trainer.output_dir="${OUTPUT_DIR:-outputs/recipes/$name}" \
    "${options[@]}" "$@"
