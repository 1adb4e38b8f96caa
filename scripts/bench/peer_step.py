"""Peak memory above the model itself, and time, of the peer's training steps on the CPU in fp32.

Usage: peer_step.py DATA_YAML IMGSZ BATCH STEPS. One more step comes first and is not timed.
"""

import json
import os
import statistics
import sys
import time

import torch
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader, build_yolo_dataset
from ultralytics.data.utils import check_det_dataset
from ultralytics.nn.tasks import DetectionModel


def resident_and_peak() -> tuple[float, float]:
    """In MiB."""
    with open("/proc/self/status") as status:
        kib = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Vm")}
    return int(kib["VmRSS"]) / 1024, int(kib["VmHWM"]) / 1024


def main() -> None:
    yaml, imgsz, batch, steps = sys.argv[1:]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    data = check_det_dataset(yaml)
    cfg = get_cfg(overrides={"imgsz": int(imgsz), "task": "detect"})
    dataset = build_yolo_dataset(cfg, data["train"], int(batch), data, mode="train")
    item = next(iter(build_dataloader(dataset, int(batch), workers=0, shuffle=True)))
    item["img"] = item["img"].float() / 255
    model = DetectionModel("yolo12n.yaml", nc=len(data["names"]), verbose=False)
    model.args = cfg
    model.train()

    before, _ = resident_and_peak()
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    times, peaks = [], []
    for _ in range(int(steps) + 1):
        started = time.perf_counter()
        loss, _ = model(item)
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - started)
        peaks.append(resident_and_peak()[1] - before)
    step_ms = 1e3 * statistics.median(times[1:])
    print(json.dumps({"first_peak_mib": peaks[0], "peak_mib": peaks[-1], "step_ms": step_ms}))


if __name__ == "__main__":
    main()
