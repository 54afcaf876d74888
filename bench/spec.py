"""What a cell is made of, as plain data: parameters, layers, cells, requests.

Nothing here knows a framework. Every number that frameworks disagree on by default (an epsilon,
a variance's divisor, the edge that padding falls on) is stated here or in `bench.workloads`,
and an implementation reads it from there.
"""

import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bench.precision import FIRST_SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.optimizer import Optimizer

KERNELS = ("plain", "best")
INPUTS = ("device", "host")
SCALINGS = ("weak", "strong", "both")
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


class WrongInput(Exception):
    """Something that the user gave cannot be used; the text is one line that says what to do."""


class Unavailable(Exception):
    """What a cell needs is not there, in this machine or in this build of the framework; the text says what."""


def one(name: str, known: Iterable[str], what: str) -> str:
    """The name itself if it is known.

    Raises:
        WrongInput: it is not; the line names the nearest and all that are.
    """
    known = list(known)
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise WrongInput(f"unknown {what} {name!r}: {hint}valid: {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Param:
    """One parameter tensor in canonical layout: dense (in, out), conv (H, W, in, out)."""

    shape: tuple[int, ...]
    init: Literal["normal", "uniform", "zeros", "ones"]
    scale: float = 0.0  # normal: the standard deviation; uniform: half the width
    decay: bool = False  # whether AdamW's weight decay applies


@dataclass(frozen=True, kw_only=True)
class Conv:
    """One convolution, or with `transposed` one transposed convolution, over square images.

    Padding is TensorFlow's SAME: with `pad_total = max((small − 1)·stride + kernel − large, 0)`,
    where `large` and `small` are the sides before and after a convolution (after and before a
    transposed one), `pad_before` is half of it rounded down, and `pad_after` the rest.

        convolution  y[o] = Σ_k x[o·stride + k − pad_before] · w[k]
        transposed   y[o] = Σ_{i,k: i·stride + k − pad_before = o} x[i] · w[k]

    per axis, summed over input channels. The transposed one is the gradient of the first with
    respect to its input, its kernel (H, W, in, out) being given as it is used, not flipped.
    """

    name: str
    inputs: int  # channels
    outputs: int  # channels
    kernel: int  # side of the kernel
    stride: int
    side_in: int  # side of the input image
    norm: bool = False  # batch norm on the output, named `<net>.norm<i>` as the conv is `<net>.conv<i>`
    transposed: bool = False

    @property
    def side_out(self) -> int:
        return self.side_in * self.stride if self.transposed else -(-self.side_in // self.stride)

    @property
    def pad_before(self) -> int:
        return self._pad_total // 2

    @property
    def pad_after(self) -> int:
        return self._pad_total - self.pad_before

    @property
    def _pad_total(self) -> int:
        small, large = sorted((self.side_in, self.side_out))
        return max((small - 1) * self.stride + self.kernel - large, 0)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self.kernel, self.kernel, self.inputs, self.outputs)

    @property
    def flops(self) -> int:
        """Floating-point operations of one forward pass for one image: 2 for each multiply-add.

        Counts every kernel element at every position of the smaller image, so a tap that falls
        on padding counts too.
        """
        small = min(self.side_in, self.side_out)
        return 2 * small * small * self.kernel**2 * self.inputs * self.outputs


class Workload(Protocol):
    """What every workload of `bench.workloads` offers; each is a frozen dataclass of plain numbers."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> str: ...
    @property
    def batch(self) -> int: ...  # samples in one step over all devices
    @property
    def data(self) -> str: ...  # what it draws from, one of `bench.data.SOURCES`
    @property
    def item(self) -> str: ...  # unit of throughput
    @property
    def items_per_step(self) -> int: ...
    @property
    def flops_per_step(self) -> int: ...
    @property
    def losses(self) -> tuple[str, ...]: ...  # names of the losses that a step returns
    @property
    def default_optimizer(self) -> str: ...
    def param_specs(self) -> dict[str, Param]: ...  # the one updated last stands last
    def optimizer(self, name: str) -> "Optimizer": ...
    def batch_at(self, step: int, seed: int, start: int, stop: int) -> "dict[str, NDArray[Any]]": ...
    def check(self, norm_groups: int) -> None: ...  # raises WrongInput for a batch it cannot take


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One point of the matrix. Its fields are public: they stand in every record."""

    workload: str
    size: str
    impl: str
    variant: str
    precision: str
    platform: str
    devices: int
    nodes: int
    scaling: str | None  # weak or strong where several device counts are swept
    batch_per_device: int  # samples
    global_batch: int  # samples
    norm_groups: int  # batch-norm statistics are per group of global_batch / norm_groups samples
    optimizer: str
    kernels: str
    engine: str  # plain, or distributed: the framework's wrapper for several devices
    input: str  # device: batches lie on the device; host: a thread copies each step's batch there ahead
    seed: int
    arm: str | None = None  # a or b in an A/A run

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the fields as sorted compact JSON."""
        return digest(asdict(self))[:16]

    @property
    def label(self) -> str:
        """Short name for people, as in `gan/tiny torch eager fp32 ×1`; more where that is not all."""
        wrapped = " distributed" if (self.devices, self.engine) == (1, "distributed") else ""
        strong = " strong" if self.scaling == "strong" else ""
        return (
            f"{self.workload}/{self.size} {self.impl} {self.variant} {self.precision} ×{self.devices}{wrapped}{strong}"
        )

    def on_one_device(self) -> "Cell":
        """A cell that computes the same function on one device, without an engine for several."""
        return replace(self, devices=1, batch_per_device=self.global_batch, scaling=None, engine="plain")

    @property
    def groups_per_device(self) -> int:
        """Norm groups, of consecutive samples, within the samples of one device."""
        return self.norm_groups // self.devices

    @property
    def emulated(self) -> bool:
        """Whether its devices are no devices of their own but share the cores of a processor."""
        return self.platform == "cpu" and self.devices > 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """All that a worker needs to run one cell once; travels as `request.json`."""

    cell: Cell
    # trace: some steps from the start, losses and final state exported; kernels: the `best` ones against the plain
    task: Literal["measure", "trace", "kernels"]
    folder: str  # absolute; the worker writes record.json (and state.npz) here
    repeat: int = 0
    steps: int = 20  # warm-up steps (measure) or all steps (trace); their losses are recorded
    threads: int = 1  # processor cores that the cell may use, the same in every framework
    cpus: tuple[int, ...] = ()  # which cores: the process is bound to them; none: left as it is
    min_time_s: float = 1.0  # steady windows last at least this long in all
    min_windows: int = 5
    window_s: float = 0.1  # a window lasts at least this long
    latency_steps: int = 50  # the latency pass ends after this many steps
    latency_s: float = 1.0  # or after this long
    first_scale: float = FIRST_SCALE  # of the loss, in fp16
    cache: str = ""  # folder for what the framework compiles, if it can keep that; empty: keep nothing
    window_steps: int | None = None  # of every window, however short; None: as many as it takes
    ranks: int = 1  # processes of the cell, among which its devices are shared out evenly and in order
    rank: int = 0  # of this process among them
    rendezvous: str = ""  # path of a file that is not there yet, by which the processes find one another
    exchange: bool = True  # whether devices average their gradients; not to do so shows what that costs

    @property
    def devices(self) -> int:
        """Devices of this process."""
        return self.cell.devices // self.ranks

    @property
    def samples(self) -> tuple[int, int]:
        """First sample of the global batch that is this process's, and the one after its last."""
        share = self.cell.global_batch // self.ranks
        return self.rank * share, (self.rank + 1) * share

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Request":
        plain: dict[str, Any] = json.loads(text)
        plain |= {"cell": Cell(**plain["cell"]), "cpus": tuple(plain["cpus"])}
        return cls(**plain)


def digest(plain: object) -> str:
    """SHA-256 of plain data as sorted compact JSON, in hex."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def spec_hash(workload: Workload, optimizer: str, data_hash: str) -> str:
    """Identity of the mathematics, equal in all frameworks: numbers (without batch), optimizer, data."""
    left_out = ("batch", "recipe")  # the one optimizer that is used is in it
    numbers = {f.name: getattr(workload, f.name) for f in fields(workload) if f.name not in left_out}  # type: ignore[arg-type]
    return digest([workload.name, numbers, asdict(workload.optimizer(optimizer)), data_hash])


def glorot(shape: tuple[int, ...]) -> Param:
    """A matrix or kernel drawn uniformly within ±sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    receptive = 1
    for side in shape[:-2]:
        receptive *= side
    half_width = (6.0 / (receptive * (shape[-2] + shape[-1]))) ** 0.5
    return Param(shape=shape, init="uniform", scale=half_width, decay=True)


def normal(shape: tuple[int, ...], scale: float) -> Param:
    """A matrix, kernel or embedding drawn from a normal distribution with standard deviation `scale`."""
    return Param(shape=shape, init="normal", scale=scale, decay=True)


def zeros(*shape: int) -> Param:
    return Param(shape=shape, init="zeros")


def ones(*shape: int) -> Param:
    return Param(shape=shape, init="ones")


def param_count(workload: Workload) -> int:
    total = 0
    for param in workload.param_specs().values():
        count = 1
        for side in param.shape:
            count *= side
        total += count
    return total
