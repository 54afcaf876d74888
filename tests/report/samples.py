"""Runs as `bench run` would leave them, made from a few numbers instead of a measurement."""

import base64
import gzip
import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import record, store
from bench.record import Record
from bench.spec import Cell

VARIANTS = {"torch": "eager", "tf": "graph", "jax": "jit"}
LOSSES = {"gan": ("discriminator", "generator"), "autoencoder": ("reconstruction",), "lm": ("cross_entropy",)}
RATES = {"gan": 3.4e3, "autoencoder": 9.6e3, "lm": 41e3}  # items a second
SPEED = {"torch": 1.0, "tf": 0.62, "jax": 1.43}  # times the rate
STEPS = 20
MACHINE = {
    "system": "Linux",
    "release": "6.1.0",
    "python": "3.11.7",
    "cpu": "A processor, model 7",
    "cores_physical": 2,
    "cores_logical": 4,
    "cores_used": [0, 1],
    "memory_bytes": 25276510208,
    "load_1min": 0.4,
}
REASONS = {
    "energy_j": "not measured",
    "price_per_hour": "no --price-per-hour was given",
    "visits": "the cell takes no turns: its windows follow each other",
    "communication": "one device exchanges nothing",
    "drift": "float64 is what others drift from",
    "steps_skipped": "the cell ended before its first step",
    "effective_precision": "the cell ended before its precision was probed",
    "windows.foreign_cpu_s": "not measured",
    "windows.steal_s": "not measured",
    "memory_bytes": "on cpu there is no device memory to count",
    "parity": "no proof for this cell",
}
REFERENCE = "jax 0.10.2 jit float64"
PROVEN = {
    "verdict": "proven", "max_rel_loss_diff": 8.1e-8, "reference": REFERENCE, "reference_losses": None,
    "proof": "c8d4d6f5" * 8,
}  # fmt: skip


def unpacked(packed: str) -> dict[str, Any]:
    """What `html.pack` packed."""
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def make_cell(workload: str = "gan", impl: str = "torch", **changed: Any) -> Cell:
    plain: dict[str, Any] = {
        "workload": workload, "size": "tiny", "impl": impl, "variant": VARIANTS.get(impl, "eager"),
        "precision": "fp32", "platform": "cpu", "devices": 1, "nodes": 1, "scaling": None, "batch_per_device": 48,
        "global_batch": 48, "norm_groups": 1, "optimizer": "adam", "kernels": "plain", "engine": "plain",
        "input": "device", "seed": 0,
    }  # fmt: skip
    return Cell(**plain | changed)


def make_record(cell: Cell, repeat: int = 0, *, rate: float | None = None, **changed: Any) -> Record:
    """A record that is ok and proven, at a rate (items a second) or one typical of its framework; fields changed."""
    draw = random.Random(f"{cell.id} {repeat}")
    rate = rate or RATES.get(cell.workload, 1e3) * SPEED.get(cell.impl, 0.8) * math.exp(draw.gauss(0, 0.012))
    items = 48 * 63 if cell.workload == "lm" else 48
    steps = math.ceil(0.12 * rate / items)
    window = {"steps": steps, "begin_s": 2.0, "seconds": steps * items / rate, "foreign_cpu_s": None, "steal_s": None}
    known: dict[str, Any] = {
        **identity(cell, repeat),
        "status": "ok",
        "parity": PROVEN
        | {"max_rel_loss_diff": draw.uniform(2e-8, 3e-7), "reference_losses": make_losses(cell, off=0)},
        "start": "fork",
        "phases_s": {"import": draw.uniform(1, 6), "init": draw.uniform(0.01, 0.3), "compile": draw.uniform(0.4, 1.9)},
        "windows": [{**window, "seconds": window["seconds"] * draw.uniform(0.99, 1.01)} for _ in range(9)],
        "latency_s": [items / rate * draw.uniform(1.0, 1.2) for _ in range(50)],
        "losses": make_losses(cell),
        "steps_skipped": 0,
        "drift": {
            "steps": 100, "rel_loss_diff": [1e-7] * 99 + [3e-5], "max_rel_loss_diff": 3e-5, "last_rel_loss_diff": 3e-6,
            "reference": REFERENCE,
        },
        "effective_precision": {"matmul": cell.precision, "conv": cell.precision},
        "memory_bytes": {"host_peak": 900e6 + 3e8 * draw.random(), "host_steady": 850e6, "host_baseline": 400e6},
        "sync_check": {"median_share": 1e-4, "max_share": 3e-4},
        "threads": {"intra": 2, "inter": 1, "affinity": [0, 1], "total": 9},
        "ranks": [{"rank": 0, "device": "cpu:0", "window_s": [], "host_peak": 900_000_000}],
        "optimisations": {"jit": cell.impl != "torch", "optimizer": "fused"},
    }  # fmt: skip
    return record.complete(known | changed, REASONS)


def make_failure(cell: Cell, status: str, reason: str, repeat: int = 0, log_tail: str | None = None) -> Record:
    parity = {"verdict": "unchecked", "reason": "the cell returned no losses"}
    known = {**identity(cell, repeat), "status": status, "reason": reason, "log_tail": log_tail, "parity": parity}
    return record.complete(known, {})


def identity(cell: Cell, repeat: int) -> dict[str, Any]:
    return {
        "cell": dict(vars(cell)),
        "cell_id": cell.id,
        "spec_hash": f"{cell.workload} {cell.size}",
        "source_hash": f"source of {cell.impl}",
        "repeat": repeat,
        "run": "made",
        "started_at": f"2026-11-23T13:{repeat:02d}:51+00:00",
        "interpreter": {"name": "own", "python": "3.11.7"},
        "compile_cache": "cold",
        "items_per_step": 48 * 63 if cell.workload == "lm" else 48,
        "item": "tokens" if cell.workload == "lm" else "images",
        "flops_per_step": 77_070_336,
        "steps_skipped": 0,
        "machine": MACHINE,
        "versions": {cell.impl: "2.12.0", "numpy": "2.4.6", "samestep": "0.1.0"},
        "flags": {"OMP_NUM_THREADS": "2"},
        "data": {"name": "digits", "sha256": "2913c6b6"},
    }


def make_losses(cell: Cell, off: float = 4e-8) -> dict[str, list[float]]:
    """Losses that fall, the same in all frameworks but for a noise of `off`."""
    noise = random.Random(cell.id)
    names = LOSSES.get(cell.workload, ("loss",))
    fall = [0.35 + 0.65 * math.exp(-step / 6) for step in range(STEPS)]
    return {
        name: [(5.5 - 3.4 * place) * value * (1 + off * noise.gauss(0, 1)) for value in fall]
        for place, name in enumerate(names)
    }


def make_meta(records: Sequence[Record], **changed: Any) -> dict[str, Any]:
    command = ["python", "-m", "bench", "run", "--impl", "all", "--workload", "all", "--size", "tiny"]
    meta = {
        "schema": record.SCHEMA,
        "samestep": "0.1.0",
        "command": command,
        "started_at": "2026-11-23T13:19:50+00:00",
        "seed": 0,
        "repeats": 3,
        "plan": list(dict.fromkeys(found["cell_id"] for found in records)),
        "machine": MACHINE,
        "git": {"commit": "427529efe3ecbf50ce91a5f1fc41a497825dbc9a", "dirty": False},
    }
    return meta | changed


def write_run(folder: Path, records: Sequence[Record], **meta: Any) -> Path:
    store.create(folder, make_meta(records, **meta))
    lines = "".join(f"{record.encode(found)}\n" for found in records)
    (folder / store.RECORDS_FILE).write_text(lines, encoding="utf-8")  # at once: `store.append` flushes each to disk
    return folder


def all_ok(impls: Iterable[str] = VARIANTS, workloads: Iterable[str] = LOSSES, repeats: int = 3) -> list[Record]:
    """Every workload in every framework, each proven."""
    cells = [make_cell(workload, impl) for workload in workloads for impl in impls]
    return [make_record(cell, repeat) for repeat in range(repeats) for cell in cells]


def make_ceiling(
    impl: str = "jax", precision: str = "fp32", device: str | None = None, flops_per_s: float = 2e11, **changed: Any
) -> dict[str, Any]:
    """What `run.json` says of a ceiling: five windows of 0.1 s each, 50 GB/s of copies."""
    platform, device = ("cpu" if device is None else "cuda"), device or MACHINE["cpu"]
    whose = {"impl": impl, "variant": VARIANTS.get(impl, "eager"), "platform": platform, "precision": precision}
    products = {"side": 1000, "windows": [{"count": 10, "seconds": 2e10 / flops_per_s}] * 5}
    copies = {"bytes": 1 << 28, "windows": [{"count": 10, "seconds": 20 * (1 << 28) / 5e10}] * 5}
    return {**whose, "device": device, "matmul": products, "copy": copies, **changed}


GRADIENTS = 272_392  # bytes


def exchanged(devices: int, all_reduce: Any = None) -> dict[str, Any]:
    told = [{"bytes": size, "seconds": size / 1e8 * devices} for size in (4096, 65536, 1048576, GRADIENTS)]
    without = [{"steps": 5, "rank_s": [0.04 + 0.001 * rank for rank in range(devices)]}] * 2
    told = told if all_reduce is None else all_reduce
    return {"gradient_bytes": GRADIENTS, "all_reduce": told, "without_exchange": without}


def swept(counts: tuple[int, ...] = (2, 8), **changed: Any) -> list[Record]:
    """Weak scaling of the autoencoder, the base in three rounds, the others once, as where devices are emulated."""
    found: list[Record] = []
    for impl in VARIANTS:
        base = make_cell("autoencoder", impl, engine="distributed")
        found += [make_record(base, n) for n in range(3)]
        for n in counts:
            cell = replace(base, devices=n, norm_groups=n, global_batch=48 * n, scaling="weak")
            found.append(make_record(cell, communication=exchanged(n)) | changed)
    return found


def seen(hertz: Sequence[float], throttle: Sequence[Sequence[str]] = (), devices: int = 1) -> dict[str, Any]:
    """A machine with GPUs that were looked at once a second, at clocks that draw power as they are."""
    held = [*throttle, *([[]] * (len(hertz) - len(throttle)))]
    during = [
        [
            {"at_s": n + 0.5, "sm_hz": hz - 1e7 * device, "power_w": hz / 3e6, "temperature_c": 60, "throttle": why}
            for device in range(devices)
        ]
        for n, (hz, why) in enumerate(zip(hertz, held, strict=True))
    ]
    return MACHINE | {"gpus_seen": {"before": [], "during": during, "after": [], "foreign": []}}


def on_gpus(impls: Iterable[str] = VARIANTS, workloads: Iterable[str] = ("lm",), **changed: Any) -> list[Record]:
    """Three rounds on a GPU, of which the second is the slowest, as its clock was held down; energy and a price."""
    found: list[Record] = []
    for impl in impls:
        for workload in workloads:
            cell = make_cell(workload, impl, platform="cuda", precision="bf16")
            for n, rate in enumerate((1000.0, 900.0, 1010.0)):
                held = [[], [], ["SwPowerCap"], ["HwSlowdown", "SwPowerCap"]] if n == 1 else []
                machine = seen([2.1e8, 1.755e9, 1.5e9 if n == 1 else 1.755e9, 1.4e9, 1.755e9], held, devices=2)
                joules = {"total": 300.0 * (1 + 0.01 * n), "idle_w": 70.0, "source": "NVML's counters"}
                given = {"machine": machine, "energy_j": joules, "price_per_hour": 2.5} | changed
                found.append(make_record(cell, n, rate=rate, **given))
    return found


def mixed() -> list[Record]:
    """What a bad day leaves: a tie, a diverged cell, one that crashed once, one out of memory, some unsupported."""
    return [*_tied_and_diverged(), *_half_failed(), *_not_installed()]


def _tied_and_diverged() -> list[Record]:
    reason = "generator at step 2 is 3.1e-03 off, 1e-06 allowed (jax 0.10.2 jit float64)"
    diverged = PROVEN | {"verdict": "diverged", "reason": reason, "max_rel_loss_diff": 3.1e-3}
    tf, torch, jax = (make_cell("gan", impl) for impl in ("tf", "torch", "jax"))
    found = [make_record(tf, n, rate=9e3, parity=diverged, losses=make_losses(tf, off=2e-3)) for n in range(3)]
    found += [make_record(torch, n, rate=3400 * (1 + 0.02 * n)) for n in range(3)]
    return found + [make_record(jax, n, rate=3450 * (1 + 0.02 * (2 - n))) for n in range(3)]


def _half_failed() -> list[Record]:
    torch, tf, jax = (make_cell("lm", impl) for impl in VARIANTS)
    consistent = PROVEN | {"verdict": "consistent", "reason": "no proof: none was made", "proof": None}
    log = 'Traceback (most recent call last):\n  File "step.py", line 7\n\x1b[31mRuntimeError: no kernel\x1b[0m'
    memory = "ResourceExhaustedError in compile: OOM when allocating"
    found = [make_record(torch, n) for n in range(2)]
    found += [make_failure(torch, "crashed", "RuntimeError in steady state: no kernel", 2, log)]
    found += [make_record(jax, n, parity=consistent) for n in range(3)]
    return found + [make_failure(tf, "oom", memory, n, "out of memory") for n in range(3)]


def _not_installed() -> list[Record]:
    cells = [make_cell("autoencoder", impl) for impl in ("torch", "tf")]
    return [make_failure(cell, "unsupported", f"{cell.impl} is not installed") for cell in cells]


HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    "<img src=x onerror='window.hacked = 3'>",
    '"><svg onload="window.hacked = 4">',
    "<b>bold</b> &lt;i&gt; <a href='javascript:window.hacked = 5'>link</a>",
    "{{ 7 * 7 }} %{x} $x$ <!-- ]]> \u2028 \ud800 \x1b[31m",
    "=HYPERLINK('http://evil.example')",
)


def hostile(text: str) -> list[Record]:
    """Records in which every text that can be shown is the same hostile one."""
    cell = make_cell(
        text, text, size=text, variant=text, precision=text, platform=text, optimizer=text, kernels=text, scaling=text
    )
    parity = {"verdict": "diverged", "reason": text, "max_rel_loss_diff": 1e-3, "reference": text, "proof": text}
    maps = {"versions": {text: text}, "flags": {text: text}, "optimisations": {text: text}}
    good = make_record(
        cell, parity=parity, losses={text: [2.0, 1.0]}, item=text, start=text, machine={text: text}, **maps
    )
    good["absent"] = {text: text}
    other = make_record(make_cell(text, "torch"), 1, losses={text: [2.0, 1.1]}, item=text)
    return [good, other, make_failure(cell, "crashed", text, 1, text), make_failure(cell, text, text, 2, text)]


def hostile_meta(text: str) -> dict[str, Any]:
    machine = {"cpu": text, text: text, "cores_physical": text, "memory_bytes": text}
    return {
        "command": ["python", text],
        "started_at": text,
        "samestep": text,
        "machine": machine,
        "git": {"commit": text},
    }
