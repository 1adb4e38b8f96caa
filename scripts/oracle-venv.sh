#!/bin/sh
# Makes the Python environment that has the tools which the trainer is tested against: pycocotools
# for its metrics, tensorboard for its event files, onnx and ONNX Runtime for its exported graphs; and
# spdx-tools and in-toto-attestation for what images say of themselves.
# Does nothing where it is complete. The tests that need it skip where it is missing.
set -eu

cd "$(dirname "$0")/.."
venv=target/oracle-venv
numpy=2.2.6
pycocotools=2.0.11
tensorboard=2.21.0
onnx=1.23.2
onnxruntime=1.32.0
spdx=0.8.3
in_toto=0.9.3

complete() {
    "$venv/bin/python" - "$numpy" "$pycocotools" "$tensorboard" "$onnx" "$onnxruntime" \
        "$spdx" "$in_toto" 2>/dev/null <<'EOF'
import sys
from importlib.metadata import version
names = (
    "numpy", "pycocotools", "tensorboard", "onnx", "onnxruntime", "spdx-tools", "in-toto-attestation",
)
sys.exit([version(p) for p in names] != sys.argv[1:])
EOF
}

if complete; then
    echo "$venv is complete" >&2
    exit 0
fi
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "numpy==$numpy" "pycocotools==$pycocotools" "tensorboard==$tensorboard" \
    "onnx==$onnx" "onnxruntime==$onnxruntime" \
    "spdx-tools==$spdx" "in-toto-attestation==$in_toto"
complete
echo "$venv is ready" >&2
