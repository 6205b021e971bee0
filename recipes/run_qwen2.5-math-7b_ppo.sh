#!/usr/bin/env bash
# PPO on MATH, a critic and a KL penalty in the reward: Qwen2.5-Math-7B, as in arXiv:2506.01347.
# Hardware: 8 x H200, one node, as in the paper. Hours: about 19 for 140 steps, estimated, not measured (scripts/estimate_hours.py).
# Vary: algorithm.kl_ctrl.kl_coef, critic.optim.lr; the other knobs are in recipes/common.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/algorithms.sh"
use_model qwen2.5-math-7b
train_ppo "$@"
