"""Writes an OCI layout with two images of 120 MB that differ in one small layer: tags `a` and `b`.

Usage: oci_layout.py FOLDER
"""

import hashlib
import io
import json
import random
import sys
import tarfile
from pathlib import Path

LAYERS_MB = [3, 100, 12, 5]


def layer(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


class Layout:
    def __init__(self, folder: Path):
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.folder = folder
        self.manifests = []

    def put(self, kind: str, content: bytes) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        media_type = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def image(self, tag: str, layers: list[bytes]) -> None:
        described = [self.put("layer.v1.tar", layer) for layer in layers]
        rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in described]}
        config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
        config = self.put("config.v1+json", json.dumps(config).encode())
        media_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": described}
        entry = self.put("manifest.v1+json", json.dumps(manifest).encode())
        self.manifests.append({**entry, "annotations": {"org.opencontainers.image.ref.name": tag}})
        index = {"schemaVersion": 2, "manifests": self.manifests}
        (self.folder / "index.json").write_text(json.dumps(index))


def main() -> None:
    layout = Layout(Path(sys.argv[1]))
    noise = random.Random(1)
    large = [layer(f"f{mb}", noise.randbytes(mb * 1_000_000)) for mb in LAYERS_MB]
    for tag in "ab":
        layout.image(tag, [*large, layer("preset", noise.randbytes(2_000))])


if __name__ == "__main__":
    main()
