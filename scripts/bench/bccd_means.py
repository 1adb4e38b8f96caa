"""The mean mAP50-95 of both sides over the seeds, from the results.csv of their runs.

Usage: bccd_means.py FOLDER, which holds ours-SEED and peer-SEED.
Exit status: 0 when ours is at least the peer's, 1 when not, 2 when a side is missing or a
results.csv holds a value that is not finite.
"""

import csv
import math
import sys
from pathlib import Path

COLUMN = "metrics/mAP50-95(B)"


def read(path: Path) -> list[float]:
    """mAP50-95 by epoch."""
    with path.open(newline="") as file:
        rows = [{k.strip(): float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    if not all(math.isfinite(value) for row in rows for value in row.values()):
        print(f"{path}: a value is not finite")
        sys.exit(2)
    return [row[COLUMN] for row in rows]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main() -> int:
    folder = Path(sys.argv[1])
    best = {}
    for side in ("ours", "peer"):
        files = sorted(folder.glob(f"{side}-*/results.csv"))
        runs = [read(file) for file in files if (file.parent / "finished").exists()]
        if not runs:
            print(f"{side}: no finished run in {folder}")
            continue
        best[side] = mean([max(run) for run in runs])
        last = mean([run[-1] for run in runs])
        each = ", ".join(f"{max(run):.4f}" for run in runs)
        print(f"{side}: mAP50-95 of the best epoch {each}: mean {best[side]:.4f}; last {last:.4f}")
    if len(best) < 2:
        return 2
    met = best["ours"] >= best["peer"]
    print(f"ours - peer: {best['ours'] - best['peer']:+.4f}: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
