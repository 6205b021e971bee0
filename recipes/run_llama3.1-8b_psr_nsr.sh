#!/usr/bin/env bash
# PSR, NSR or W-REINFORCE on MATH: Llama-3.1-8B-Instruct, as in arXiv:2506.01347.
#   ADVANTAGE=positive (PSR) | negative (NSR, the default) | weighted (W-REINFORCE)
#   POSITIVE_ADVANTAGE_WEIGHT=0.1   lambda, for weighted only
# Hardware: 8 x H200, one node, as in the paper. Hours: about 8 for 140 steps, estimated, not measured (scripts/estimate_hours.py).
# Vary: ADVANTAGE, POSITIVE_ADVANTAGE_WEIGHT, ENTROPY_COEFF; the other knobs are in recipes/common.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/algorithms.sh"
use_model llama3.1-8b
train_psr_nsr "$@"
