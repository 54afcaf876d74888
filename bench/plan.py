"""From what the user asked for to the requests that will run: cells, rounds, and an estimate of the time."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench import pace, workloads
from bench.machine import accelerators
from bench.manifests import Manifest
from bench.optimizer import check_optimizer
from bench.precision import PRECISIONS
from bench.spec import INPUTS, KERNELS, PLATFORMS, Cell, WrongInput, one
from bench.spread import Spread, device_counts, spreads

DEFAULT_PRECISIONS = {  # those that are of use there, in the order of their cost
    "cpu": ("fp32", "bf16"),
    "cuda": ("fp32", "tf32", "bf16", "fp16"),
    "rocm": ("fp32", "bf16", "fp16"),
    "tpu": ("fp32", "bf16"),
}
DEFAULT_SIZE = {"cpu": "tiny"}  # base elsewhere
# Three rounds are the fewest that have an interval. Where cells take turns, 20 windows that are seconds apart make each
# process known to its own spread: docs/statistics.md. Elsewhere windows follow each other, and only processes count.
DEFAULT_REPEATS = {"cpu": 3}
OTHER_REPEATS = 5
DEFAULT_MIN_TIME_S = {"cpu": 5.0}
OTHER_MIN_TIME_S = 1.0
DEFAULT_KERNELS = {"cpu": "plain"}  # best elsewhere
NO_TF32 = "TF32 is a mode of NVIDIA's tensor cores: another device would compute fp32"
WARM_UP_STEPS = {"base": 5, "large": 5}  # 20 at other sizes
EMULATED_STEPS = 5  # of warm-up, and of each window, where devices are emulated
EMULATED_WINDOWS = 2
EMULATED_S = 1.5  # assumed for each emulated device, in estimates of time
CPU_BATCH = {("lm", "small"): 8}  # where the size's own batch would take minutes a step
VISIT_S = 0.25  # of a window: longer than the ripples of a busy machine, short beside the seconds between visits
MIN_WINDOWS = 5  # of a process
BEHIND_S = 0.03  # assumed for what comes behind each window: two readings, and the caches filled between
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
    platform = platform_of(choice)
    size = one(choice.size or DEFAULT_SIZE.get(platform, "base"), workloads.SIZES, "size")
    precisions = names(choice.precision or DEFAULT_PRECISIONS[platform], PRECISIONS, "precision")
    if choice.seed < 0:
        raise WrongInput(f"--seed {choice.seed}: give a whole number from 0")
    counts = device_counts(choice.devices, choice.device_counts)
    return [
        make_cell(choice, manifests[impl], variant, workload, size, precision, platform, spread)
        for workload in chosen
        for impl in impls
        for variant in plan_variants(choice.variant, impls, manifests[impl], platform, manifests)
        for precision in precisions
        for spread in spreads(counts, choice.scaling)
    ]


def platform_of(choice: Choice) -> str:
    """The platform that was asked for, or that is here."""
    platform = one(choice.platform, ("auto", *PLATFORMS), "platform")
    return accelerators.choose() if platform == "auto" else platform


def absence(cell: Cell, manifests: Mapping[str, Manifest]) -> tuple[str, str] | None:
    """The status of a cell that cannot run here at all, and why; or None."""
    manifest, there = manifests[cell.impl], accelerators.here()[cell.platform]
    for reason in (
        manifest.absence,
        None if manifest.has(cell.workload) else f"{cell.impl} has no {cell.workload}",
        manifest.unsupported.get(cell.platform),
        NO_TF32 if cell.precision == "tf32" and cell.platform != "cuda" else None,
        manifest.lacks(cell.variant),
    ):
        if reason:
            return "unsupported", reason
    if cell.platform != "cpu" and cell.devices > len(there):
        return "unavailable", f"{cell.devices} {cell.platform} device(s) are needed, {len(there)} are here"
    return None


def plan_variants(
    asked: Sequence[str], impls: Sequence[str], manifest: Manifest, platform: str, manifests: Mapping[str, Manifest]
) -> Sequence[str]:
    """The variants of one implementation that were asked for; none if they are all another's."""
    if not asked:
        return (manifest.default_variant.get(platform, manifest.variants[-1]),)
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
    batch = choice.batch if choice.batch is not None or platform != "cpu" else CPU_BATCH.get((workload, size))
    spec, devices = workloads.get(workload, size, batch), spread.devices
    if spread.scaling == "weak":
        spec = workloads.get(workload, size, spec.batch * devices)
    if spec.batch % devices:
        raise WrongInput(
            f"{workload}: {devices} devices cannot share a batch of {spec.batch} evenly; "
            f"give --batch a multiple of {devices}"
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
        kernels=one(choice.kernels or DEFAULT_KERNELS.get(platform, "best"), KERNELS, "kernels"),
        engine=spread.engine,
        input=one(choice.input, INPUTS, "input"),
        seed=choice.seed,
    )


def rounds(cells: Sequence[Cell], repeats: Iterable[int], seed: int) -> Iterator[Job]:
    """Every cell once a round, in an order drawn from the seed and the round's number.

    Emulated devices tell nothing about hardware, however often they are measured: their cells run in the first alone.
    """
    for repeat in repeats:
        shuffled = [cell for cell in cells if not (cell.emulated and repeat)]
        random.Random(f"{seed} {repeat}").shuffle(shuffled)  # no secret  # nosec B311
        yield from (Job(cell=cell, repeat=repeat) for cell in shuffled)


def takes_turns(cell: Cell) -> bool:
    """Whether a cell can be alive beside others without disturbing them, or being disturbed.

    Accelerators' memory is preallocated, and ranks or an emulated mesh keep the cores busy while they wait.
    """
    return cell.platform == "cpu" and cell.devices == 1


def warm_up_steps(cell: Cell) -> int:
    """Steps before anything is timed."""
    return EMULATED_STEPS if cell.emulated else WARM_UP_STEPS.get(cell.size, 20)


def estimate_s(cells: Iterable[Cell], repeats: int, min_time_s: float, threads: int) -> float:
    """Seconds that measuring the cells will about take, from their arithmetic and this machine's rate."""
    return sum(seconds_of(cell, repeats, min_time_s, threads) for cell in cells)


def seconds_of(cell: Cell, repeats: int, min_time_s: float, threads: int) -> float:
    """The same, of all repeats of one cell."""
    if cell.emulated:
        return CELL_S + EMULATED_S * cell.devices
    flops = workloads.get(cell.workload, cell.size, cell.global_batch).flops_per_step
    step_s = flops / (pace.step_flops_per_s() * threads)
    window_s = max(VISIT_S, step_s)
    windows = max(MIN_WINDOWS, min_time_s / window_s)
    untimed_s = step_s + BEHIND_S if takes_turns(cell) else 0.0
    latency_s = min(50 * step_s, 1.0 + step_s)
    latencies = 1 if takes_turns(cell) else repeats
    each = CELL_S + warm_up_steps(cell) * step_s + windows * (window_s + untimed_s)
    return repeats * each + latencies * latency_s + COMPILE_S.get(cell.variant, 0.0)


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
