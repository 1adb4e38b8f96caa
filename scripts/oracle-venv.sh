#!/bin/sh
# Makes the Python environment whose pycocotools the trainer's metrics are tested against, and whose
# onnx and ONNX Runtime the exported graphs are.
# Does nothing where it is complete. The tests that need it skip where it is missing.
set -eu

cd "$(dirname "$0")/.."
venv=target/oracle-venv
numpy=2.2.6
pycocotools=2.0.11
onnx=1.23.2
onnxruntime=1.32.0

complete() {
    "$venv/bin/python" - "$numpy" "$pycocotools" "$onnx" "$onnxruntime" 2>/dev/null <<'EOF'
import sys
from importlib.metadata import version
sys.exit([version(p) for p in ("numpy", "pycocotools", "onnx", "onnxruntime")] != sys.argv[1:])
EOF
}

if complete; then
    echo "$venv is complete" >&2
    exit 0
fi
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==$numpy" "pycocotools==$pycocotools" "onnx==$onnx" "onnxruntime==$onnxruntime"
complete
echo "$venv is ready" >&2
