"""From what the user asked for to the requests that will run: cells, rounds, and an estimate of the time."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import workloads
from bench.manifests import Manifest
from bench.optimizer import check_optimizer
from bench.precision import PRECISIONS
from bench.spec import INPUTS, KERNELS, PLATFORMS, SCALINGS, Cell, WrongInput, one

DEFAULT_PRECISIONS = {"cpu": ("fp32", "bf16")}
DEFAULT_SIZE = {"cpu": "tiny"}
DEFAULT_KERNELS = {"cpu": "plain"}
WARM_UP_STEPS = {"base": 5, "large": 5}  # 20 at other sizes
CPU_BATCH = {("lm", "small"): 8}  # where the size's own batch would take minutes a step
RATE_FLOPS = 2e10  # assumed of one core in estimates of time, never in results
CELL_S = 2.5  # assumed for starting a cell and for its first step
COMPILE_S = {"compile": 60.0, "xla": 15.0}  # assumed on top of that for the first repeat of a variant


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user asked for: names still as given, `all` and empty not yet resolved."""

    impl: Sequence[str] = ("all",)
    workload: Sequence[str] = ("all",)
    size: str | None = None
    variant: Sequence[str] = ()  # none: the default of each impl
    precision: Sequence[str] = ()
    devices: int = 1  # the most of a sweep
    device_counts: Sequence[int] = ()  # instead of a sweep
    scaling: str = "weak"
    batch: int | None = None  # samples per device; in strong scaling those of all
    optimizer: str | None = None
    kernels: str | None = None
    input: str = "device"
    platform: str = "auto"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell in one round."""

    cell: Cell
    repeat: int


def plan_cells(choice: Choice, manifests: Mapping[str, Manifest]) -> list[Cell]:
    """Every cell of the matrix that was asked for, installed or not.

    Raises:
        WrongInput: a name that there is not, or a number that makes no sense.
    """
    impls = names(choice.impl, manifests, "impl")
    chosen = names(choice.workload, workloads.WORKLOADS, "workload")
    platform = one(choice.platform, ("auto", *PLATFORMS), "platform")
    platform = "cpu" if platform == "auto" else platform
    size = one(choice.size or DEFAULT_SIZE[platform], workloads.SIZES, "size")
    precisions = names(choice.precision or DEFAULT_PRECISIONS[platform], PRECISIONS, "precision")
    if choice.seed < 0:
        raise WrongInput(f"--seed {choice.seed}: give a whole number from 0")
    return [
        make_cell(choice, manifests[impl], variant, workload, size, precision, platform, spread)
        for workload in chosen
        for impl in impls
        for variant in plan_variants(choice.variant, impls, manifests[impl], platform, manifests)
        for precision in precisions
        for spread in spreads(choice)
    ]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a cell spreads over devices."""

    devices: int
    scaling: str | None  # on one device the two are one
    engine: str


def spreads(choice: Choice) -> list[Spread]:
    """One device as it is; in a sweep also behind the engine that drives several, the base of all efficiencies."""
    counts = device_counts(choice)
    kinds = ("weak", "strong") if choice.scaling == "both" else (one(choice.scaling, SCALINGS, "scaling"),)
    plain = Spread(devices=1, scaling=None, engine="plain")
    if counts == [1]:
        return [plain]
    base = replace(plain, engine="distributed")
    several = [Spread(devices=n, scaling=kind, engine="distributed") for kind in kinds for n in counts if n > 1]
    return [plain, base, *several]


def device_counts(choice: Choice) -> list[int]:
    """The counts named, in order, with 1 for the base; else 1, 2, 4, … and the number of devices itself."""
    if wrong := [n for n in (*choice.device_counts, choice.devices) if n < 1]:
        flag = "--device-counts" if choice.device_counts else "--devices"
        raise WrongInput(f"{flag} {wrong[0]}: give a number of devices from 1")
    if choice.device_counts:
        return sorted({1, *choice.device_counts})
    powers = [2**k for k in range(choice.devices.bit_length())]
    return sorted({*powers, choice.devices})


def absence(cell: Cell, manifests: Mapping[str, Manifest]) -> str | None:
    """Why a cell cannot run here at all, or None."""
    manifest = manifests[cell.impl]
    if manifest.absence:
        return manifest.absence
    if not manifest.has(cell.workload):
        return f"{cell.impl} has no {cell.workload}"
    if (cell.precision, cell.platform) == ("tf32", "cpu"):
        return "TF32 is a mode of NVIDIA's tensor cores: a processor would compute fp32"
    return manifest.lacks(cell.variant)


def plan_variants(
    asked: Sequence[str], impls: Sequence[str], manifest: Manifest, platform: str, manifests: Mapping[str, Manifest]
) -> Sequence[str]:
    """The variants of one implementation that were asked for; none if they are all another's."""
    if not asked:
        return (manifest.default_variant[platform],)
    known = dict.fromkeys(variant for impl in impls for variant in manifests[impl].variants)
    return [variant for variant in names(asked, known, "variant") if variant in manifest.variants]


def make_cell(
    choice: Choice,
    manifest: Manifest,
    variant: str,
    workload: str,
    size: str,
    precision: str,
    platform: str,
    spread: Spread,
) -> Cell:
    batch = choice.batch if choice.batch is not None else CPU_BATCH.get((workload, size))
    spec, devices = workloads.get(workload, size, batch), spread.devices
    if spread.scaling == "weak":
        spec = workloads.get(workload, size, spec.batch * devices)
    if spec.batch % devices:
        raise WrongInput(
            f"{workload}: {devices} devices cannot share a batch of {spec.batch} evenly; give another --batch"
        )
    spec.check(devices)
    return Cell(
        workload=workload,
        size=size,
        impl=manifest.name,
        variant=variant,
        precision=precision,
        platform=platform,
        devices=devices,
        nodes=1,
        scaling=spread.scaling,
        batch_per_device=spec.batch // devices,
        global_batch=spec.batch,
        norm_groups=devices,
        optimizer=check_optimizer(choice.optimizer or spec.default_optimizer),
        kernels=one(choice.kernels or DEFAULT_KERNELS[platform], KERNELS, "kernels"),
        engine=spread.engine,
        input=one(choice.input, INPUTS, "input"),
        seed=choice.seed,
    )


def rounds(cells: Sequence[Cell], repeats: Iterable[int], seed: int) -> Iterator[Job]:
    """Every cell once a round, in an order drawn from the seed and the round's number."""
    for repeat in repeats:
        shuffled = list(cells)
        random.Random(f"{seed} {repeat}").shuffle(shuffled)
        yield from (Job(cell=cell, repeat=repeat) for cell in shuffled)


def warm_up_steps(cell: Cell) -> int:
    """Steps before anything is timed."""
    return WARM_UP_STEPS.get(cell.size, 20)


def estimate_s(cells: Iterable[Cell], repeats: int, min_time_s: float, threads: int) -> float:
    """Seconds that measuring the cells will about take, from their arithmetic and an assumed rate."""
    total = 0.0
    for cell in cells:
        step_s = workloads.get(cell.workload, cell.size, cell.global_batch).flops_per_step / (RATE_FLOPS * threads)
        windows_s, latency_s = max(min_time_s, 5 * step_s), min(50 * step_s, 1.0 + step_s)
        total += repeats * (CELL_S + warm_up_steps(cell) * step_s + windows_s + latency_s) + COMPILE_S.get(
            cell.variant, 0.0
        )
    return total


def names(asked: Sequence[str], known: Iterable[str], what: str) -> list[str]:
    """The names asked for, `all` resolved, without repetition, each checked."""
    known = list(known)
    if not asked:
        raise WrongInput(f"no {what} given; valid: {', '.join(known)}")
    if "all" in asked:
        return known
    return list(dict.fromkeys(one(name, known, what) for name in asked))


def percentage(flag: str, text: str) -> float:
    """The share that a flag gives as `2%` or `0.02`; raises WrongInput unless it lies between 0 and 1."""
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = float("nan")
    if rest or not 0 < share < 1:
        raise WrongInput(f"--{flag} {text}: give a share such as 2% or 0.02")
    return share


def positive(flag: str, value: float) -> None:
    """Raises WrongInput unless the value of a flag is a finite number above zero."""
    if not 0 < value < float("inf"):
        raise WrongInput(f"--{flag} {value}: give a number above zero")
