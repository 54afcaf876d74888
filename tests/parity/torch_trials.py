"""PyTorch's implementation put to the test in a process of its own: what a trial finds is printed as one line of JSON.

python -m tests.parity.torch_trials TRIAL…
"""

import json
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch

from bench import examine, manifests, measure, plan, precision, probes, worker, workloads
from bench.data.draw import init_params
from bench.plan import Choice
from bench.proof import parity
from bench.spec import Request
from impls.torch import backend, layers, lm, loss_scale, probe

STEPS = 5


def request_for(workload: str, kind: str, variant: str = "eager", optimizer: str | None = None) -> Request:
    choice = Choice(impl=("torch",), workload=(workload,), variant=(variant,), precision=(kind,), optimizer=optimizer)
    (cell,) = plan.plan_cells(choice, manifests.find())
    return Request(cell=cell, task="trace", folder="", threads=1)


@dataclass
class Trained:
    """A training of one of the workloads at `tiny`."""

    request: Request

    def __post_init__(self) -> None:
        cell = self.request.cell
        backend.configure(self.request)
        self.code = import_module(f"impls.torch.{cell.workload}")
        self.workload = workloads.get(cell.workload, cell.size, cell.global_batch)
        params = worker.cast(init_params(self.workload, cell.seed), cell.precision)
        self.state, self.step_ = self.code.build(self.workload, params, self.request)
        self.done = 0

    def step(self) -> dict[str, float]:
        cell = self.request.cell
        host = self.workload.batch_at(self.done, cell.seed, 0, cell.global_batch)
        self.done += 1
        self.state, losses = self.step_(self.state, backend.put(worker.cast(host, cell.precision)))
        return {name: float(value) for name, value in backend.read(losses).items()}

    def numbers(self) -> dict[str, Any]:
        return self.code.export(self.state)


def probed(variant: str, workload: str, kind: str) -> dict[str, str]:
    torch._dynamo.reset()
    request = request_for(workload, kind, variant)
    backend.configure(request)
    return probes.effective_precision(probe.products(request, probes.CONV, probes.TRANSPOSED))


def planted_tf32() -> dict[str, Any]:
    """What a cell of float32 is told whose convolutions take their inputs rounded as tensor cores do for TF32."""

    def rounded(x: torch.Tensor) -> torch.Tensor:
        bits = x.view(torch.int32)
        return x + ((bits + 0x1000 & ~0x1FFF).view(torch.float32) - x).detach()

    return probed_with("fp32", lambda honest: lambda x, w, *more: honest(rounded(x), rounded(w), *more))


def planted_sums_of_16_bits() -> dict[str, Any]:
    """What a cell of fp16 is told whose convolutions add up two halves of their channels in float16."""

    def halved(honest: Any) -> Any:
        def conv2d(x: torch.Tensor, w: torch.Tensor, *more: Any) -> torch.Tensor:
            return sum(honest(a, b, *more) for a, b in zip(x.chunk(2, 1), w.chunk(2, 1), strict=True))

        return conv2d

    return probed_with("fp16", halved)


def probed_with(kind: str, instead: Callable[[Any], Any]) -> dict[str, Any]:
    """What the probe tells a cell of the autoencoder if another function takes the place of its convolution."""
    request = request_for("autoencoder", kind)
    backend.configure(request)
    found = worker.Found(fields={"status": "ok"})
    with mock.patch.object(layers.F, "conv2d", instead(layers.F.conv2d)):
        examine.probe_precision(request, probe, found)
    return found.fields


def drift(variant: str, workload: str, kind: str) -> float:
    """Largest relative distance of a loss of the first steps from the same implementation's in float64."""
    exact, rough = Trained(request_for(workload, "fp64")), Trained(request_for(workload, kind, variant))
    pairs = [(exact.step(), rough.step()) for _ in range(STEPS)]
    return max(abs(b[name] / a[name] - 1) for a, b in pairs for name in a)


def gradients(kind: str) -> dict[str, list[str]]:
    """Parameters of the language model and the GAN by the type of their gradients, and whether bfloat16 holds them."""
    found: dict[str, list[str]] = {}
    for workload in ("lm", "gan"):
        training = Trained(request_for(workload, kind))
        training.step()
        for name, (param, _) in training.state.params.items():
            told = f"{param.grad.dtype} {torch.equal(param.grad, param.grad.bfloat16().float())}"
            found.setdefault(told, []).append(f"{workload} {name}")
    return found


def bias_sums(kind: str) -> dict[str, bool]:
    """Whether the gradient of a bias is the sum in float32: whole numbers have one exact sum, beyond 16 bits here."""
    request = request_for("autoencoder", kind)
    forms = layers.choose(request)
    random = np.random.default_rng(0)
    dense = {"dense.w": np.ones((4, 8), np.float32), "dense.b": np.zeros(8, np.float32)}
    cases: dict[str, tuple[Any, tuple[int, ...]]] = {
        "features": (layers.Dense(dense, "dense", forms), (4096, 4)),
        "sequences": (layers.Dense(dense, "dense", forms), (64, 64, 4)),
    }
    for conv in (probes.CONV, probes.TRANSPOSED):
        conv = replace(conv, inputs=4, outputs=8)
        params = {f"{conv.name}.w": np.ones(conv.shape, np.float32), f"{conv.name}.b": np.zeros(8, np.float32)}
        cases[conv.name] = (layers.Conv(params, conv, forms), (32, 4, conv.side_in, conv.side_in))
    found: dict[str, bool] = {}
    for name, (layer, shape) in cases.items():
        y = layer(torch.ones(shape))
        dy = torch.from_numpy(random.integers(0, 8, y.shape)).to(y.dtype)
        (db,) = torch.autograd.grad(y, layer.b, dy)
        channels = 1 if y.ndim == 4 else y.ndim - 1
        exact = dy.double().sum([axis for axis in range(y.ndim) if axis != channels])
        assert not torch.equal(exact, exact.to(forms.product).double()), "of no use: 16 bits hold this sum"
        found[name] = torch.equal(db.double(), exact)
    return found


def forms_of_16_bits(workload: str) -> float:
    """Distance in float64, after some steps, of the forms that 16 bits take from the others: losses and parameters."""
    honest = layers.choose
    plain = Trained(request_for(workload, "fp64"))
    layers.choose = lambda request: replace(honest(request), sums_apart=True, sequences_by_conv=False)
    other = Trained(request_for(workload, "fp64"))
    layers.choose = honest
    losses = [abs(b[name] / a[name] - 1) for a, b in ((plain.step(), other.step()) for _ in range(STEPS)) for name in a]
    a, b = plain.numbers(), other.numbers()
    return max(*losses, *(float(np.abs(a[name] - b[name]).max()) for name in a))


def attention() -> dict[str, float]:
    """Distance of the form that 16 bits take from the one that is proven, in float64."""
    request = request_for("lm", "fp64")
    backend.configure(request)
    workload = workloads.get("lm", "tiny", request.cell.global_batch)
    written, fused = (lm.run_attention(workload, request, form) for form in ("exact", "best"))
    return {name: float(np.abs(written[name] - fused[name]).max()) for name in written}


def chosen(variant: str, compiles: bool) -> bool:
    """Whether attention in float64 is the fused kernel, where the compiler knows its type and where it does not."""
    honest, lm.fused_compiles = lm.fused_compiles, lambda: compiles
    attend = lm.attention_for(request_for("lm", "fp64", variant), context=4)
    lm.fused_compiles = honest
    return attend is lm.fused_attention


def planted(optimizer: str) -> dict[str, Any]:
    """Five updates of the language model in fp16, the first and the fourth with a gradient that is not finite."""
    training = Trained(request_for("lm", "fp16", optimizer=optimizer))
    update, scale = training.state.update, training.state.update.loss_scale
    weak = next(iter(training.state.params.values()))[0]

    def kept() -> list[Any]:
        numbers = training.numbers()
        t = next((float(state["step"]) for state in update.optimizer.state.values() if "step" in state), 0.0)
        return [t, *(array.copy() for array in numbers.values())]

    def spoiled() -> None:
        weak.grad.view(-1)[3] = torch.inf
        update.step()

    found: dict[str, Any] = {"unchanged": [], "scale": [], "good": [], "skipped": []}
    for number in range(STEPS):
        step = spoiled if number in (0, 3) else update.step
        training.state = replace(training.state, update=replace(update, step=step))
        before, losses = kept(), training.step()
        found["unchanged"].append(all(np.array_equal(a, b) for a, b in zip(before, kept(), strict=True)))
        found["scale"].append(float(scale.value))
        found["good"].append(int(scale.good))
        found["skipped"].append(losses["skipped"])
    found["t"], found["rate"] = kept()[0], [group["lr"] for group in update.optimizer.param_groups]
    found["finite"] = all(bool(np.isfinite(array).all()) for array in kept())
    return found


def growth() -> list[float]:
    """Scale after each of six good updates in fp16, the interval being 3."""
    loss_scale.GROWTH_INTERVAL = 3
    training = Trained(request_for("lm", "fp16"))
    scales: list[float] = []
    for _ in range(6):
        training.step()
        scales.append(float(training.state.update.scale))
    loss_scale.GROWTH_INTERVAL = precision.GROWTH_INTERVAL
    return scales


def overflow() -> dict[str, list[float]]:
    """Skipped updates and scales of the autoencoder's first steps in fp16, and the same by an account in numpy."""
    training = Trained(request_for("autoencoder", "fp16"))
    update = training.state.update
    s, good, count = np.float32(precision.FIRST_SCALE), 0, 0
    found: dict[str, list[float]] = {"skipped": [], "scale": [], "account of skipped": [], "account of the scale": []}
    finite: list[bool] = []

    def look() -> None:
        params = [param for param, _ in training.state.params.values()]
        finite.append(all(bool(np.isfinite(param.grad.numpy()).all()) for param in params))
        update.step()

    training.state = replace(training.state, update=replace(update, step=look))
    for _ in range(2 * STEPS + 2):
        found["skipped"].append(training.step()["skipped"])
        found["scale"].append(float(update.scale))
        if finite[-1]:
            good += 1
        else:
            s, good, count = s * np.float32(precision.BACKOFF), 0, count + 1
        found["account of skipped"].append(float(count))
        found["account of the scale"].append(float(s))
    return found


class Queue:
    """The autoencoder on a device that works on its own: one thread takes steps in the order they were dispatched.

    What `forgets` names does not wait: `sync`, `read` or `export`. With `last` sync waits for the step before the last
    one, with `twentieth` for the first nineteen of twenty. The first step is over when its call returns, as
    in it PyTorch makes the optimizer's slots, and there would be none yet to export.
    """

    def __init__(self, *forgets: str) -> None:
        self.forgets, self.thread, self.begun = forgets, ThreadPoolExecutor(max_workers=1), False
        self.dispatched: list[Future[Any]] = []  # since sync was last called
        self.code, self.finished = import_module("impls.torch.autoencoder"), {"reconstruction": torch.zeros(())}
        self.backend = SimpleNamespace(
            **{name: getattr(backend, name) for name in ("configure", "devices", "put", "gather")}
        )
        self.backend.sync, self.backend.read = self.sync, self.read

    def build(self, *given: Any) -> Any:
        state, self.real = self.code.build(*given)
        return state, self.step

    def step(self, state: Any, batch: Any) -> tuple[Any, Future[Any]]:
        losses = self.thread.submit(self.work, state, batch)
        self.dispatched.append(losses)
        if not self.begun:
            losses.result()
            self.begun = True
        return state, losses

    def work(self, state: Any, batch: Any) -> Any:
        self.finished = self.real(state, batch)[1]
        return self.finished

    def sync(self, _: Any) -> None:
        steps, self.dispatched = self.dispatched, []
        left_out = max(1, len(steps) // 20) if "twentieth" in self.forgets else 1 if "last" in self.forgets else 0
        if not left_out or not steps:
            self.wait("sync")
        elif len(steps) > left_out:
            steps[-1 - left_out].result()

    def read(self, losses: Future[Any]) -> Any:
        self.wait("read")
        return backend.read(self.finished if "read" in self.forgets else losses.result())

    def export(self, *given: Any) -> Any:
        self.wait("export")
        return self.code.export(*given)

    def wait(self, where: str) -> None:
        if where not in self.forgets:
            self.thread.submit(lambda: None).result()


def measured(*forgets: str, window_s: float = 5e-4) -> dict[str, Any]:
    """What the harness says of such a device, and what of the losses that it told."""
    queue = Queue(*forgets)
    request = replace(
        request_for("autoencoder", "fp32"), task="measure", min_time_s=0.0, window_s=window_s, latency_steps=0
    )
    found = worker.Found(fields={"phases_s": {}})
    training, _ = worker.start_training(request, queue.backend, queue, found)
    worker.warm_up(training, STEPS, 0, queue.backend, found)
    told = measure.steady_state(training, request)
    queue.thread.shutdown()
    exact = Trained(request_for("autoencoder", "fp64"))
    reference = [exact.step() for _ in range(STEPS)]
    (name,) = reference[0]
    _, fault = parity.trajectory_fault(found.fields["losses"], {name: [one[name] for one in reference]}, "fp32", "tiny")
    return {"status": told["status"], "reason": told["reason"], "losses": fault}


def exchanges(exchange: bool) -> int:
    """How many all-reduces a later step of the GAN makes, each network being smaller than a bucket."""
    request = request_for("gan", "fp32")
    folder = tempfile.mkdtemp()
    cell = replace(request.cell, engine="distributed")
    training = Trained(replace(request, cell=cell, rendezvous=f"{folder}/rendezvous", exchange=exchange))
    for _ in range(3):
        training.step()
    with torch.profiler.profile() as profile:
        training.step()
    return sum(event.count for event in profile.key_averages() if event.key == "c10d::allreduce_")


def main(names: list[str]) -> None:
    """Each trial is a call, as in `drift('eager', 'lm', 'bf16')`."""
    print(json.dumps({name: eval(name) for name in names}))  # names from the tests beside this file


if __name__ == "__main__":
    main(sys.argv[1:])
