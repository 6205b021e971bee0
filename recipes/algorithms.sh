# shellcheck shell=bash
# The knobs of each algorithm; sourced by the recipes.

train_psr_nsr() {
    local options name
    ADVANTAGE=${ADVANTAGE:-negative}
    case $ADVANTAGE in
        positive | negative)
            [[ -z ${POSITIVE_ADVANTAGE_WEIGHT:-} ]] || die \
                "POSITIVE_ADVANTAGE_WEIGHT=$POSITIVE_ADVANTAGE_WEIGHT has no effect with ADVANTAGE=$ADVANTAGE." \
                "It is lambda of ADVANTAGE=weighted (W-REINFORCE)."
            ;;
        weighted) ;;
        *) die "ADVANTAGE must be positive (PSR), negative (NSR) or weighted (W-REINFORCE), got $ADVANTAGE." ;;
    esac
    options=(recipe=psr_nsr algorithm.advantage="$ADVANTAGE")
    name=psr_nsr-$ADVANTAGE
    if [[ $ADVANTAGE == weighted ]]; then
        options+=(algorithm.positive_advantage_weight="${POSITIVE_ADVANTAGE_WEIGHT:=0.1}")
        name+=$POSITIVE_ADVANTAGE_WEIGHT
    fi
    train "$name" "${options[@]}" "$@"
}

train_grpo() {
    local options=(recipe=grpo) name=grpo
    if [[ ${DR_GRPO:-False} == True ]]; then # arXiv:2503.20783, by verl's own options and its own loss
        name=dr_grpo
        options+=(
            algorithm.norm_adv_by_std_in_grpo=False
            actor_rollout_ref.actor.policy_loss.loss_mode=vanilla_by_sign
            actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm
        )
    fi
    train "$name" "${options[@]}" "$@"
}

train_ppo() { train ppo recipe=ppo "$@"; }
