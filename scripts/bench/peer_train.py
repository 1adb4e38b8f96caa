"""Trains the peer from scratch with the settings of a comparison, on the CPU in fp32.

Usage: peer_train.py DATA_YAML IMGSZ BATCH EPOCHS SEED OUT. Results come to OUT/results.csv; the
pictures per second of the last epoch, without its validation, are printed.
The caller sets OMP_NUM_THREADS: the peer trains on one thread otherwise.
"""

import json
import sys
import time
from pathlib import Path

from ultralytics import YOLO


class Clock:
    """Times the steps of an epoch."""

    def start(self, trainer) -> None:
        self.started = time.perf_counter()

    def stop(self, trainer) -> None:
        seconds = time.perf_counter() - self.started
        self.images_per_second = len(trainer.train_loader.dataset) / seconds


def main() -> None:
    data, imgsz, batch, epochs, seed, out = sys.argv[1:]
    out = Path(out).resolve()
    model, clock = YOLO("yolo12n.yaml"), Clock()
    model.add_callback("on_train_epoch_start", clock.start)
    model.add_callback("on_train_epoch_end", clock.stop)
    model.train(
        data=data,
        imgsz=int(imgsz),
        batch=int(batch),
        epochs=int(epochs),
        seed=int(seed),
        project=str(out.parent),
        name=out.name,
        exist_ok=True,
        pretrained=False,
        amp=False,
        plots=False,
        device="cpu",
    )
    print(json.dumps({"images_per_second": clock.images_per_second}))


if __name__ == "__main__":
    main()
