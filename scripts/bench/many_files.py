"""Writes a data set of very many small files: a picture and a label file each time.

The pictures are noise with the names of pictures: nothing here decodes them.
"""

import random
import sys
from pathlib import Path

NOISE = 1 << 20


def main() -> None:
    root, pictures, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(0)
    noise = chance.randbytes(NOISE)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
    for number in range(pictures):
        split = "train" if number % 12 else "val"
        length = int(size * (0.5 + chance.random()))
        start = chance.randrange(NOISE - length)
        content = b"%d " % number + noise[start : start + length]
        (root / "images" / split / f"{number:012}.jpg").write_bytes(content)
        objects = (f"{chance.randrange(3)} 0.5 0.5 0.{i + 1} 0.1\n" for i in range(chance.randrange(1, 8)))
        (root / "labels" / split / f"{number:012}.txt").write_text("".join(objects))
    # The description comes last: where it stands, the set is whole.
    text = "path: .\ntrain: images/train\nval: images/val\nnames: [a, b, c]\n"
    (root / "data.yaml").write_text(text)


if __name__ == "__main__":
    main()
