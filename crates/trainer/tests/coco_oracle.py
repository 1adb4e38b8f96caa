"""COCO's twelve numbers by pycocotools.

Reads {"truths": ..., "results": ...} from standard input, both as COCO JSON, and writes the
numbers as a JSON list to standard output.
"""

import contextlib
import json
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def numbers(data):
    truths = COCO()
    truths.dataset = data["truths"]
    truths.createIndex()
    evaluation = COCOeval(truths, truths.loadRes(data["results"]), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


data = json.load(sys.stdin)
with contextlib.redirect_stdout(sys.stderr):
    result = numbers(data)
json.dump(result, sys.stdout)
