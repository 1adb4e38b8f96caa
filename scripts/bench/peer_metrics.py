"""Seconds that pycocotools takes for COCO's twelve numbers, from parsed boxes to the summary.

Usage: peer_metrics.py FOLDER, which holds truths.json and detections.json.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def main() -> None:
    folder = Path(sys.argv[1])
    truths = json.loads((folder / "truths.json").read_text())
    detections = json.loads((folder / "detections.json").read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        started = time.perf_counter()
        there = COCO()
        there.dataset = truths
        there.createIndex()
        evaluation = COCOeval(there, there.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "numbers": evaluation.stats.tolist()}))


if __name__ == "__main__":
    main()
