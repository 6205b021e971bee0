#!/usr/bin/env bash
# GRPO on MATH, a KL penalty in the loss: Qwen3-4B, not thinking, as in arXiv:2506.01347.
# Hardware: 8 x H200, one node, as in the paper. Hours: about 10 for 140 steps, estimated, not measured (scripts/estimate_hours.py).
# Vary: DR_GRPO=True for Dr.GRPO (no division by the spread, no length bias); the other knobs are in recipes/common.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/algorithms.sh"
use_model qwen3-4b
train_grpo "$@"
