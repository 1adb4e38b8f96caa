"""Milliseconds per picture of the peer's exported, fused yolo12n, without suppression.

Usage: peer_infer.py torchscript|onnx FOLDER IMGSZ COUNT. The export is kept in FOLDER.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch


def export(kind: str, folder: Path, imgsz: int) -> Path:
    """The exported network, made by the peer where it is not there yet."""
    target = folder / f"yolo12n-{imgsz}.{kind}"
    if not target.exists():
        from ultralytics import YOLO

        # Its simplifier is another package, and ONNX Runtime simplifies for itself.
        extra = {"simplify": False} if kind == "onnx" else {}
        made = YOLO("yolo12n.yaml").export(format=kind, imgsz=imgsz, device="cpu", **extra)
        folder.mkdir(parents=True, exist_ok=True)
        Path(made).replace(target)
    return target


def torchscript(path: Path, image: np.ndarray, threads: int):
    torch.set_num_threads(threads)
    network, image = torch.jit.load(path).eval(), torch.from_numpy(image)

    def call():
        with torch.inference_mode():
            network(image)

    return call


def onnx(path: Path, image: np.ndarray, threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: image})


def main() -> None:
    kind, folder, imgsz, count = sys.argv[1:]
    image = np.random.default_rng(0).random((1, 3, int(imgsz), int(imgsz)), dtype=np.float32)
    path = export(kind, Path(folder).resolve(), int(imgsz))
    threads = int(os.environ["OMP_NUM_THREADS"])
    call = {"torchscript": torchscript, "onnx": onnx}[kind](path, image, threads)
    for _ in range(5):
        call()
    times = []
    for _ in range(int(count)):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    print(json.dumps({"median_ms": 1e3 * statistics.median(times)}))


if __name__ == "__main__":
    main()
