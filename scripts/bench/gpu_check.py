"""Judges what scripts/gpu-check.sh measured: prints a table, writes gpu-check.json and gpu-check.md.

usage: gpu_check.py WORK OUT
"""

import json
import sys
from pathlib import Path

# Largest difference from plain attention in fp32, by number format; inputs are within 2.
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 5e-2}
# Share by which predicted memory may miss what was measured.
MEMORY = 0.05
POLICIES = ["none", "attention", "layer", "layer+head"]


def read(work, name):
    path = work / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def probe(work):
    """The probe names the GPUs that nvidia-smi names."""
    lines = (work / "smi.csv").read_text().splitlines()
    if not lines:
        return None, "nvidia-smi said nothing"
    smi = [[field.strip() for field in line.split(",")] for line in lines]
    gpus = read(work, "probe")["gpus"]
    if not isinstance(gpus, list):
        return False, "the probe found no GPUs"
    wrong = []
    for gpu, (name, uuid, _, capability, _) in zip(gpus, smi):
        for key, expected in [("name", name), ("uuid", uuid), ("capability", capability)]:
            if gpu[key] != expected:
                wrong.append(f"{key} {gpu[key]} for {expected}")
    if len(gpus) != len(smi):
        wrong.append(f"{len(gpus)} GPUs for {len(smi)}")
    return not wrong, "; ".join(wrong) or f"{len(gpus)} GPUs agree"


def attention(work):
    """A row for each path and number format."""
    found = read(work, "attention")
    if found is None:
        yield "attention", False, (work / "attention.error").read_text().strip()
        return
    for path in found["paths"]:
        name = f"attention {path['path']} {path['dtype']}"
        if path["lacking"]:
            yield name, None, f"not there: {path['lacking']}"
            continue
        worst = max(path["output"], path["gradients"])
        tolerance = TOLERANCES[path["dtype"]]
        peak = path["peak"] / 2**20
        yield name, worst <= tolerance, f"differs by {worst:.1e}, may by {tolerance:.0e}; {peak:.0f} MiB"


def steps(work):
    """Bits, memory and speed of training steps."""
    none = read(work, "steps-none")
    if none is None:
        yield "training", False, (work / "steps-none.error").read_text().strip()
        return
    again = read(work, "steps-again")
    same = again is not None and again["digest"] == none["digest"]
    yield f"{none['steps']} steps twice", same, "the same bits" if same else "other bits, or it failed"
    plan = read(work, "plan") or {}
    predicted = {p["policy"]: p for p in plan.get("memory", {}).get("policies", [])}
    for policy in POLICIES:
        taken = read(work, f"steps-{policy}")
        if taken is None:
            yield f"checkpointing={policy}", False, (work / f"steps-{policy}.error").read_text().strip()
            continue
        same = taken["digest"] == none["digest"]
        yield f"checkpointing={policy}", same, "the same bits as none" if same else "other bits than none"
        rate = taken["images_per_second"]
        peak, process = taken["peak"] / 2**20, taken["process"] / 2**20
        said = f"{peak:.0f} MiB of tensors, {process:.0f} MiB of the GPU"
        if policy in predicted:
            miss = predicted[policy]["peak"] / taken["peak"] - 1
            yield f"memory, {policy}", abs(miss) <= MEMORY, f"{said}; predicted {miss:+.1%}"
        else:
            yield f"memory, {policy}", None, f"{said}; not predicted"
        yield f"speed, {policy}", None, f"{rate:.1f} images/s" if rate else "too few steps"


def main():
    work, out = Path(sys.argv[1]), Path(sys.argv[2])
    rows = [("probe", *probe(work)), *attention(work), *steps(work)]
    words = {True: "holds", False: "FAILS", None: "-"}
    width = max(len(name) for name, _, _ in rows)
    for name, held, said in rows:
        print(f"{name:{width}}  {words[held]:5}  {said}")
    device = read(work, "device")
    out.mkdir(parents=True, exist_ok=True)
    figures = {"device": device, "checks": [dict(zip(["name", "held", "said"], row)) for row in rows]}
    measured = [*(f"steps-{name}" for name in [*POLICIES, "again"]), "attention", "plan"]
    figures["measured"] = {name: read(work, name) for name in measured}
    (out / "gpu-check.json").write_text(json.dumps(figures, indent=1) + "\n")
    title = f"{device.get('name', 'a GPU')}, compute capability {device.get('capability', '?')}"
    lines = [f"Checked on {title}:", "", "| check | outcome | figures |", "|---|---|---|"]
    lines += [f"| {name} | {words[held]} | {said} |" for name, held, said in rows]
    (out / "gpu-check.md").write_text("\n".join(lines) + "\n")
    return 1 if any(held is False for _, held, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
