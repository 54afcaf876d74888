"""JAX's implementation put to the test in a process of its own: what a trial finds is printed as one line of JSON.

python -m tests.parity.jax_trials TRIAL…
"""

import json
import re
import sys
import time
from dataclasses import dataclass, replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.cudnn import fused_attention_stablehlo

from bench import manifests, measure, plan, precision, probes, worker, workloads
from bench.data.draw import init_params
from bench.plan import Choice
from bench.proof import parity
from bench.spec import Request
from impls.jax import backend, evidence, exchange, layers, lm, loss_scale, optimizers, probe

STEPS = 5


def request_for(workload: str, kind: str, devices: int = 1) -> Request:
    """On more than one device the batch is shared out, and the process can have no other number of devices then."""
    (cell,) = plan.plan_cells(Choice(impl=("jax",), workload=(workload,), precision=(kind,)), manifests.find())
    if devices > 1:
        share = cell.global_batch // devices
        cell = replace(cell, devices=devices, batch_per_device=share, norm_groups=devices, engine="distributed")
    return Request(cell=cell, task="trace", folder="", threads=1)


@dataclass
class Trained:
    """A training of one of the workloads at `tiny`."""

    request: Request

    def __post_init__(self) -> None:
        cell = self.request.cell
        backend.configure(self.request)
        self.code = import_module(f"impls.jax.{cell.workload}")
        self.workload = workloads.get(cell.workload, cell.size, cell.batch_per_device)
        params = worker.cast(init_params(self.workload, cell.seed), cell.precision)
        self.state, self.step_ = self.code.build(self.workload, params, self.request)
        self.done = 0

    def step(self) -> dict[str, float]:
        cell = self.request.cell
        host = self.workload.batch_at(self.done, cell.seed, 0, cell.global_batch)
        self.done += 1
        self.state, losses = self.step_(self.state, backend.put(worker.cast(host, cell.precision)))
        return {name: float(value) for name, value in backend.read(losses).items()}


def probed(kind: str) -> dict[str, str]:
    request = request_for("autoencoder", kind)
    backend.configure(request)
    return probes.effective_precision(probe.products(request, probes.CONV, probes.TRANSPOSED))


def forms_of_16_bits(workload: str) -> float:
    """Distance in float64, after some steps, of the forms that 16 bits take from the others: losses and parameters."""
    honest = layers.choose
    plain = Trained(request_for(workload, "fp64"))
    layers.choose = lambda request: honest(request)._replace(straight=True)
    other = Trained(request_for(workload, "fp64"))
    assert not plain.state.program.forms.straight and other.state.program.forms.straight
    layers.choose = honest
    losses = [abs(b[name] / a[name] - 1) for a, b in ((plain.step(), other.step()) for _ in range(STEPS)) for name in a]
    a, b = (training.code.export(training.state) for training in (plain, other))
    return max(*losses, *(float(np.abs(a[name] - b[name]).max()) for name in a))


def attention(kind: str) -> dict[str, float]:
    """Distance of attention and its gradients, written out in a precision, from JAX's own in float64."""
    backend.configure(request_for("lm", "fp64"))
    request = request_for("lm", kind)
    workload = workloads.get("lm", "tiny", request.cell.global_batch)
    written, exact = (lm.run_attention(workload, request, form) for form in ("plain", "exact"))
    honest = lm.attend
    lm.attend = lambda forms, *heads: jax.nn.dot_product_attention(*heads, is_causal=True)
    own = lm.run_attention(workload, request, "exact")
    lm.attend = honest
    return {
        "exact": max(float(np.abs(exact[name] - own[name]).max()) for name in own),
        "written": max(float(np.abs(written[name] - own[name]).max()) for name in own),
    }


def kernels_on_a_gpu(kind: str, kernels: str, capability: float, devices: int = 1) -> dict[str, int]:
    """Calls of cuDNN's attention in the program that would be compiled for NVIDIA's GPUs, none of which is here."""
    request = request_for("lm", kind, devices)
    backend.configure(request)  # as many of the processor's
    request = replace(request, cell=replace(request.cell, platform="cuda", kernels=kernels))
    honest = backend.compute_capability
    backend.compute_capability = lambda: capability
    fused_attention_stablehlo.check_cudnn_version = lambda: 91900
    fused_attention_stablehlo.check_compute_capability = lambda wanted: capability >= float(wanted)
    fused_attention_stablehlo.is_cuda_compute_capability_equal = lambda wanted: capability == float(wanted)
    workload = workloads.get("lm", "tiny", request.cell.batch_per_device)
    state, step = lm.build(workload, worker.cast(init_params(workload, 0), kind), request)
    told = lm.optimisations(state)["attention"]
    tested = list(lm.kernels(workload, request))
    backend.compute_capability = honest
    batch = backend.put(worker.cast(workload.batch_at(0, 0, 0, request.cell.global_batch), kind))
    text = step.trace(state, batch).lower(lowering_platforms=("cuda",)).as_text()
    calls = re.findall(r"@(__cudnn\$\w+)", text)
    return {
        "told": told,
        "tested": tested,
        "forward": calls.count("__cudnn$fmhaSoftmax"),
        "backward": calls.count("__cudnn$fmhaSoftmaxBackward"),
    }


def spread(devices: int) -> dict[str, Any]:
    """Of the autoencoder on several devices, with the exchange and without: which copies differ, and what was on.

    The name of every array of which the last device holds other numbers than the first; of the exchange what XLA tells.
    """
    found: dict[str, Any] = {}
    for name, on in (("left out", False), ("exchanged", True)):  # a compiled step that is not used stays
        training = Trained(replace(request_for("autoencoder", "fp32", devices), exchange=on))
        for _ in range(STEPS):
            training.step()
        first, last = (training.code.export(training.state, None, device) for device in (0, devices - 1))
        found[name] = {"differ": [key for key in first if (first[key] != last[key]).any()]}
        found[name] |= {key: evidence.seen(training.state.program)[key] for key in ("compiled_once", "donation")}
        found[name]["told"] = evidence.gradient_exchange()
    return found


def dealt(devices: int) -> dict[str, Any]:
    """The samples that each device gets of a batch, the batch being written over afterwards; a mean over devices."""
    backend.configure(request_for("autoencoder", "fp32", devices))
    memory = np.empty(devices * 4096 + 16, np.float32)
    aligned = memory[-memory.ctypes.data % 64 // 4 :][: devices * 4096]  # so that JAX could use it as it lies
    aligned[:] = np.repeat(np.arange(devices), 4096)
    batch = backend.put({"image": aligned.reshape(devices * 2, 2048)})
    aligned[:] = -1.0
    shards = [np.array(shard.data) for shard in batch["image"].addressable_shards]
    mean = backend.all_reduce(5)
    backend.sync(mean())
    on_each = [np.array(shard.data).tolist() for shard in mean().addressable_shards]
    return {"shards": [(shard.shape, shard.min().item(), shard.max().item()) for shard in shards], "mean": on_each}


def waited(devices: int, late_s: float) -> list[float]:
    """Seconds that `sync` takes where one device, each in turn, comes late, in a program without any exchange."""
    backend.configure(request_for("autoencoder", "fp32", devices))
    found: list[float] = []
    for late in range(devices):

        def wait(device: Any, late: int = late) -> Any:
            time.sleep(late_s if device == late else 0.0)
            return np.float32(0.0)

        def on_each(x: Any, wait: Any = wait) -> Any:
            device = jax.lax.axis_index(exchange.DATA)
            return x + jax.pure_callback(wait, jax.ShapeDtypeStruct((), jnp.float32), device)

        mesh = exchange.mesh(backend.in_use)
        given = {"in_specs": exchange.DEALT, "out_specs": exchange.SHARED}
        program = jax.jit(jax.shard_map(on_each, mesh=mesh, check_vma=False, **given))
        batch = backend.put({"image": np.zeros((devices, 1), np.float32)})
        backend.sync(program(batch["image"]))
        start = time.perf_counter()
        backend.sync(program(batch["image"]))
        found.append(time.perf_counter() - start)
    return found


def losses(workload: str, kind: str, devices: int = 1) -> list[dict[str, float]]:
    training = Trained(request_for(workload, kind, devices))
    return [training.step() for _ in range(STEPS)]


def evident(workload: str, kind: str) -> dict[str, Any]:
    """What the implementation says that was on."""
    training = Trained(request_for(workload, kind))
    training.step()
    return evidence.seen(training.state.program, training.state.slots)


def planted(optimizer: str) -> dict[str, Any]:
    """Five updates in fp16, the first and the fourth with a gradient that is not finite."""
    backend.configure(request_for("lm", "fp16"))
    numbers = workloads.get("lm", "tiny").optimizer(optimizer)
    specs = {"w": SimpleNamespace(decay=True), "b": SimpleNamespace(decay=False)}
    training = optimizers.build(numbers, specs, request_for("autoencoder", "fp16"))
    params = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}
    slots = training.init(params)
    found: dict[str, list[Any]] = {"unchanged": [], "scale": [], "good": [], "skipped": []}
    apply = jax.jit(training.apply)
    for number in range(STEPS):
        scale = float(slots.scale)
        grads = {"w": jnp.full((3, 4), 0.5 * scale), "b": jnp.full(4, 2.0 * scale)}
        if number in (0, 3):
            grads["w"] = grads["w"].at[1, 2].set(jnp.inf if number else jnp.nan)
        before = (params, slots.slots)
        params, slots = apply(grads, slots, params)
        pairs = zip(jax.tree.leaves(before), jax.tree.leaves((params, slots.slots)), strict=True)
        found["unchanged"].append(all(np.array_equal(a, b) for a, b in pairs))
        found["scale"].append(float(slots.scale))
        found["good"].append(int(slots.good))
        found["skipped"].append(int(slots.skipped))
    unscaled = optimizers.build(numbers, specs, request_for("autoencoder", "fp32"))
    plain, plain_slots = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}, unscaled.init(params)
    for _ in range(3):
        grads = {"w": jnp.full((3, 4), 0.5), "b": jnp.full(4, 2.0)}
        plain, plain_slots = unscaled.apply(grads, plain_slots, plain)
    distance = max(float(jnp.abs(plain[name] - params[name]).max()) for name in plain)
    return found | {"distance": distance}


def growth() -> list[float]:
    """Scale after each of six good updates in fp16, the interval being 3."""
    precision.GROWTH_INTERVAL, kept = 3, precision.GROWTH_INTERVAL
    slots, scales = loss_scale.init(precision.FIRST_SCALE, lambda params: (), {}), list[float]()
    for _ in range(6):
        _, slots = loss_scale.apply(lambda grads, slots, params: (params, slots), {"w": jnp.ones(2)}, slots, {})
        scales.append(float(slots.scale))
    precision.GROWTH_INTERVAL = kept
    return scales


def overflow() -> dict[str, list[float]]:
    """Skipped updates and scales of the autoencoder's first steps in fp16, and the same by an account in numpy."""
    training = Trained(request_for("autoencoder", "fp16"))
    s, good, count = np.float32(precision.FIRST_SCALE), 0, 0
    found: dict[str, list[float]] = {"skipped": [], "scale": [], "account of skipped": [], "account of the scale": []}
    for _ in range(2 * STEPS):
        before = backend.read(training.state.params)
        found["skipped"].append(training.step()["skipped"])
        found["scale"].append(float(training.state.slots.scale))
        if all(np.array_equal(before[name], now) for name, now in backend.read(training.state.params).items()):
            s, good, count = s * np.float32(precision.BACKOFF), 0, count + 1
        else:
            good += 1
        found["account of skipped"].append(float(count))
        found["account of the scale"].append(float(s))
    return found


def measured(*forgets: str, devices: int = 1) -> dict[str, Any]:
    """What the harness says of JAX's own asynchronous work where what is named does not wait: sync, read or export.

    A step must be long beside the millisecond that the check allows: JAX on a CPU runs few steps ahead.
    """
    request = request_for("lm", "fp32", devices)
    request = replace(request, task="measure", min_time_s=0.0, window_s=0.05, latency_steps=0)
    kept = {name: getattr(backend, name) for name in ("configure", "devices", "put", "gather", "sync", "read")}
    door, code = SimpleNamespace(**kept), SimpleNamespace(build=lm.build, export=lm.export)
    if "sync" in forgets:
        door.sync = lambda x: None
    if "read" in forgets:  # arrays themselves, which promise to become numbers, wait when they are looked at
        door.read = lambda x: {name: array if array.is_ready() else np.zeros(()) for name, array in x.items()}
    if "export" in forgets:
        code.export = lambda state, names=None, device=0: {}
    found = worker.Found(fields={"phases_s": {}})
    training, _ = worker.start_training(request, door, code, found)
    worker.warm_up(training, STEPS, 0, door, found)
    told = measure.steady_state(training, request)
    backend.sync(training.losses)
    exact = losses("lm", "fp64", devices)
    reference = {name: [one[name] for one in exact] for name in exact[0]}
    _, fault = parity.trajectory_fault(found.fields["losses"], reference, "fp32", "tiny", "lm")
    return {"status": told["status"], "reason": told["reason"], "losses": fault}


def main(names: list[str]) -> None:
    """Each trial is a call, as in `losses('lm', 'bf16')`."""
    print(json.dumps({name: eval(name) for name in names}))  # names from the tests beside this file


if __name__ == "__main__":
    main(sys.argv[1:])
