"""Pictures per second of the peer's training pipeline in this process, one batch after another.

Usage: peer_data.py DATA_YAML IMGSZ BATCH EPOCHS CACHE, where CACHE is `ram` or `none`. One more
epoch comes first and is not timed.
"""

import json
import sys
import time

from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader, build_yolo_dataset
from ultralytics.data.utils import check_det_dataset


def main() -> None:
    yaml, imgsz, batch, epochs, cache = sys.argv[1:]
    settings = {"imgsz": int(imgsz), "task": "detect", "cache": "ram" if cache == "ram" else False}
    data = check_det_dataset(yaml)
    cfg = get_cfg(overrides=settings)
    dataset = build_yolo_dataset(cfg, data["train"], int(batch), data, mode="train")
    loader = build_dataloader(dataset, int(batch), workers=0, shuffle=True)
    images = 0
    for epoch in range(int(epochs) + 1):
        if epoch == 1:
            started = time.perf_counter()
        for item in loader:
            images += len(item["img"]) if epoch else 0
    print(json.dumps({"images_per_second": images / (time.perf_counter() - started)}))


if __name__ == "__main__":
    main()
