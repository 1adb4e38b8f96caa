#!/usr/bin/env bash
# Kills trainings at 30 moments, also while a checkpoint is written and while they validate, goes on
# with each, and compares weights, results and the chain of steps with an undisturbed training.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo nextest run -p ytrain --test resume --run-ignored only --no-capture thirty_kills
