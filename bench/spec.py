"""What a cell is made of, as plain data: parameters, optimizers, cells, requests.

Nothing here knows a framework. Every number that frameworks disagree on by default (an epsilon,
a variance's divisor, the edge that padding falls on) is stated here or in `bench.workloads`,
and an implementation reads it from there.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRECISIONS = ("fp64", "fp32")
OPTIMIZERS = ("adam", "adamw")
KERNELS = ("plain",)
INPUTS = ("device", "host")
PLATFORMS = ("cpu",)


class WrongInput(Exception):
    """Something that the user gave cannot be used; the text is one line that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Param:
    """One parameter tensor in canonical layout: dense (in, out), conv (H, W, in, out)."""

    shape: tuple[int, ...]
    init: Literal["normal", "uniform", "zeros", "ones"]
    scale: float = 0.0  # normal: the standard deviation; uniform: half the width
    decay: bool = False  # whether AdamW's weight decay applies


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), for a gradient g at step t = 1, 2, …

        m ← β₁ m + (1 − β₁) g              v ← β₂ v + (1 − β₂) g²
        p ← p − lr·λ·p                     only `adamw`, only where `Param.decay`; p before the step
        p ← p − lr · (m / (1 − β₁ᵗ)) / (sqrt(v / (1 − β₂ᵗ)) + ε)

    m and v start at zero; 1 − βᵗ is computed in double precision, or as −expm1(t·log β).
    Slots are exported as `m/<param>` and `v/<param>`.
    """

    name: str
    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0  # λ; zero for `adam`


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
    def network(self) -> str: ...  # what a proof covers: sizes of one network differ in width alone
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
    def optimizer(self, name: str) -> Optimizer: ...
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
    input: str  # device: batches lie on the device; host: each step's batch is copied there first
    seed: int
    arm: str | None = None  # a or b in an A/A run

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the fields as sorted compact JSON."""
        return digest(asdict(self))[:16]

    @property
    def label(self) -> str:
        """Short name for people, as in `gan/tiny torch eager fp32 ×1`."""
        return f"{self.workload}/{self.size} {self.impl} {self.variant} {self.precision} ×{self.devices}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """All that a worker needs to run one cell once; travels as `request.json`."""

    cell: Cell
    task: Literal["measure", "trace"]  # trace: some steps from the start, losses and final state exported
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
    numbers = {f.name: getattr(workload, f.name) for f in fields(workload) if f.name != "batch"}  # type: ignore[arg-type]
    return digest([workload.name, numbers, asdict(workload.optimizer(optimizer)), data_hash])


# --- randomness: bits from Philox, whose raw stream NumPy guarantees; all else is written out here


def random_bits(count: int, *key: int | str) -> "NDArray[np.uint64]":
    """`count` random 64-bit words that depend on `key` alone, never on what was drawn before."""
    import numpy as np

    name = "/".join(str(part) for part in key).encode()
    return np.random.Philox(key=int.from_bytes(hashlib.sha256(name).digest()[:16], "little")).random_raw(count)


def random_uniform(count: int, *key: int | str) -> "NDArray[np.float64]":
    """`count` float64 in [0, 1): the upper 53 bits of each word."""
    import numpy as np

    return (random_bits(count, *key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def random_normal(count: int, *key: int | str) -> "NDArray[np.float64]":
    """`count` standard normal float64 by Box and Muller (1958), cosines first, then sines."""
    import numpy as np

    half = (count + 1) // 2
    u = random_uniform(2 * half, *key)
    radius, angle = np.sqrt(-2.0 * np.log1p(-u[:half])), 2.0 * np.pi * u[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], dtype=np.float64)[:count]


def init_params(workload: Workload, seed: int) -> "dict[str, NDArray[np.float64]]":
    """Parameters by name in canonical layout, float64, keyed by seed and name so that order never matters."""
    import numpy as np

    def draw(name: str, param: Param) -> "NDArray[np.float64]":
        count = int(np.prod(param.shape))
        match param.init:
            case "zeros":
                flat = np.zeros(count)
            case "ones":
                flat = np.ones(count)
            case "normal":
                flat = param.scale * random_normal(count, seed, "param", name)
            case "uniform":
                flat = param.scale * (2.0 * random_uniform(count, seed, "param", name) - 1.0)
        return flat.reshape(param.shape)

    return {name: draw(name, param) for name, param in workload.param_specs().items()}


def glorot(shape: tuple[int, ...]) -> Param:
    """A matrix or kernel drawn uniformly within ±sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    receptive = 1
    for side in shape[:-2]:
        receptive *= side
    half_width = (6.0 / (receptive * (shape[-2] + shape[-1]))) ** 0.5
    return Param(shape=shape, init="uniform", scale=half_width, decay=True)


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
