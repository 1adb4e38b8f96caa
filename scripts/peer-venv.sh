#!/bin/sh
# Makes the Python environment of the trainer that ybox is compared with, for scripts/bench-*.sh:
# ultralytics with PyTorch, pycocotools, ONNX Runtime. Several GB, as PyTorch's wheel brings its
# CUDA libraries along. Does nothing where it is complete.
set -eu

cd "$(dirname "$0")/.."
venv=target/peer-venv
packages='ultralytics==8.4.190 torch==2.13.0 torchvision==0.28.0 numpy==2.4.6
opencv-python==5.0.0.93 pycocotools==2.0.11 onnx==1.23.2 onnxruntime==1.32.0'

complete() {
    # shellcheck disable=SC2086
    "$venv/bin/python" - $packages 2>/dev/null <<'PYTHON'
import sys
from importlib.metadata import version
sys.exit(any(version(p.split("==")[0]).split("+")[0] != p.split("==")[1] for p in sys.argv[1:]))
PYTHON
}

if complete; then
    echo "$venv is complete" >&2
    exit 0
fi
python3 -m venv "$venv"
# shellcheck disable=SC2086
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check $packages
complete
echo "$venv is ready" >&2
