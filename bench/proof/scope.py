"""Which cells `bench verify` proves, and which traces that takes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from bench import plan, spread, workloads
from bench.manifests import Manifest
from bench.plan import Choice
from bench.proof import proofs
from bench.spec import Cell

STEPS = {"small": 3, **workloads.PROOF_STEPS}
DEFAULT_PRECISIONS = ("fp64", "fp32")
LEFT_OUT = {
    ("lm", "small", "*"),
    ("gan", "small", "xla"),
    ("autoencoder", "small", "xla"),
}  # by default, as they take half a minute a step
SPREAD = ("tiny", "base-twin")  # sizes at which several devices are proven
OTHERS_ON = ("autoencoder", "tiny")  # where every optimizer but the workload's own is proven, in float64
OTHERS = ("adamw", "adam+clip+cosine", "rmsprop", "rmsprop-centered+cosine", "sgd+clip", "sgd-nesterov+clip+cosine")


def plan_cells(choice: Choice, manifests: Mapping[str, Manifest]) -> list[Cell]:
    """The cells to prove, those that can run here: of what was not chosen all, and for large networks their twins.

    By default each workload at all sizes with its own optimizer in float64 and float32, then the other optimizers.
    """
    chosen = plan.names(choice.workload, workloads.WORKLOADS, "workload")
    precisions = choice.precision or DEFAULT_PRECISIONS
    wanted = replace(
        choice, variant=choice.variant or ("all",), precision=precisions, devices=1, device_counts=(), platform="cpu"
    )
    cells: list[Cell] = []
    for workload in chosen:
        for size in (choice.size,) if choice.size else workloads.SIZES:
            of_size = plan.plan_cells(replace(wanted, workload=(workload,), size=size), manifests)
            cells += [stand_in(cell) for cell in of_size if choice.size or not left_out(cell)]
    if choice.size is None and choice.optimizer is None and OTHERS_ON[0] in chosen:
        doubles = replace(wanted, workload=OTHERS_ON[:1], size=OTHERS_ON[1], precision=("fp64",))
        for optimizer in OTHERS:
            cells += plan.plan_cells(replace(doubles, optimizer=optimizer), manifests)
    cells = [cell for cell in cells if plan.absence(cell, manifests) is None]
    counts = device_counts(choice)
    if counts == [1]:
        return cells
    return cells + [one for count in counts for one in spread_out(cells, count, choice, manifests)]


def spread_out(cells: Iterable[Cell], count: int, choice: Choice, manifests: Mapping[str, Manifest]) -> Iterator[Cell]:
    """The cells on so many devices: of what was not chosen the sizes of `SPREAD`, the workload's own optimizer, and
    on more than two devices the default variant.
    """
    for cell in cells:
        variant = choice.variant or count <= 2 or cell.variant == manifests[cell.impl].default_variant[cell.platform]
        own = cell.optimizer == workloads.get(cell.workload, cell.size).default_optimizer
        if variant and (choice.size or cell.size in SPREAD) and (choice.optimizer or own):
            on_several = replace(cell, devices=count, norm_groups=count, engine="distributed")
            yield proofs.at_size(on_several, cell.size)


def device_counts(choice: Choice) -> list[int]:
    """Those of a sweep, and with more than two devices 3: some mistakes hide where each count halves the next."""
    counts = spread.device_counts(choice.devices, choice.device_counts)
    return sorted({*counts, 3}) if not choice.device_counts and counts[-1] > 3 else counts


def left_out(cell: Cell) -> bool:
    return any((cell.workload, cell.size, variant) in LEFT_OUT for variant in (cell.variant, "*"))


def stand_in(cell: Cell) -> Cell:
    """The twin of a cell whose network is too large to prove; the cell itself otherwise."""
    size = workloads.STAND_INS[cell.size]
    return cell if size == "tiny" else proofs.at_size(cell, size)


def function(cell: Cell) -> tuple[object, ...]:
    """What is the same in cells that compute one function: they are compared with one another."""
    return cell.workload, cell.size, cell.optimizer, cell.global_batch, cell.norm_groups


def traced(cells: Sequence[Cell], manifests: Mapping[str, Manifest]) -> list[Cell]:
    """All whose traces stand in a comparison, asked for or not.

    Float64 of each, and where there are several devices of each framework on one; then what else was asked for.
    """
    doubles = dict.fromkeys(replace(cell, precision="fp64") for cell in cells)
    if any(cell.devices > 1 for cell in cells):
        for cell in list(doubles):
            variant = manifests[cell.impl].default_variant[cell.platform]
            doubles[replace(cell.on_one_device(), variant=variant)] = None
    return [*doubles, *(cell for cell in cells if cell not in doubles)]
