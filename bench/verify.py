"""`bench verify`: every implementation from the same parameters over the same batches, compared step by step.

In float64 each is compared with the other frameworks: losses of every step, parameters, slots and statistics at
the end. In float32 its losses are compared with another framework's float64.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bench import parity, plan, proofs, show, workloads
from bench.launch import Launcher
from bench.machine import physical_cores
from bench.manifests import Manifest
from bench.parity import Trace
from bench.plan import Choice
from bench.proofs import TraceFailed
from bench.spec import Cell, Request, WrongInput

STEPS = {"tiny": 20, "small": 3}
DEFAULT_SIZES = {"gan": ("tiny", "small"), "autoencoder": ("tiny", "small"), "lm": ("tiny",)}
DEFAULT_PRECISIONS = ("fp64", "fp32")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cell's part of the proof: how far it lies from the others, and whether that is near enough."""

    cell: Cell
    steps: int
    equal: bool
    against: str
    difference: parity.Difference | None
    reason: str | None = None


def verify(choice: Choice, steps: int | None, timeout_s: float, manifests: Mapping[str, Manifest]) -> list[Row]:
    """Run and compare what was chosen; a row for each cell whose framework is installed."""
    cells = plan_cells(choice, manifests)
    rows: list[Row] = []
    with Launcher(manifests, cold=False) as launcher, show.Progress(f"{len(cells)} cells to verify") as progress:

        def run(cell: Cell, count: int) -> Trace:
            progress.note(f"tracing {cell.label}, {count} steps")
            cores = physical_cores()
            request = Request(cell=cell, task="trace", folder="", threads=len(cores), cpus=cores)
            return proofs.run_trace(launcher, cell, count, request, timeout_s, launcher.scratch / "trace.log")

        for (_, size), group in groupby(cells, key=lambda cell: (cell.workload, cell.size)):
            rows += verify_workload(list(group), steps or STEPS[size], run, manifests)
    return rows


def check(steps: int | None, timeout_s: float) -> None:
    """Raises WrongInput for a number that makes no sense."""
    if steps is not None and steps < 1:
        raise WrongInput(f"--steps {steps}: give a positive number")
    plan.positive("timeout", timeout_s)


def plan_cells(choice: Choice, manifests: Mapping[str, Manifest]) -> list[Cell]:
    """The cells to prove: by default each workload at its sizes, in float64 and float32."""
    chosen = plan.names(choice.workload, workloads.WORKLOADS, "workload")
    precisions = choice.precision or DEFAULT_PRECISIONS
    cells: list[Cell] = []
    for workload in chosen:
        for size in (choice.size,) if choice.size else DEFAULT_SIZES[workload]:
            cells += plan.plan_cells(replace(choice, workload=(workload,), size=size, precision=precisions), manifests)
    return [cell for cell in cells if manifests[cell.impl].installed and manifests[cell.impl].has(cell.workload)]


def verify_workload(
    cells: Sequence[Cell], steps: int, run: Callable[[Cell, int], Trace], manifests: Mapping[str, Manifest]
) -> list[Row]:
    """Rows for the cells of one workload at one size. Float64 is traced whether or not it was asked for."""
    references: dict[tuple[str, str], Trace] = {}
    failures: dict[str, str] = {}

    def attempt(cell: Cell) -> Trace | None:
        try:
            return run(cell, steps)
        except TraceFailed as error:
            failures[cell.id] = str(error)
            return None

    doubles = {(cell.impl, cell.variant): replace(cell, precision="fp64") for cell in cells}
    for key, cell in doubles.items():
        if trace := attempt(cell):
            references[key] = trace
    rows = judge_doubles(doubles, references, failures, steps, manifests)
    rows = [row for row in rows if row.cell in cells]
    for cell in cells:
        if cell.precision != "fp64":
            rows.append(judge_single(cell, attempt(cell), references, failures, steps))
    return rows


def judge_doubles(
    cells: Mapping[tuple[str, str], Cell],
    traces: Mapping[tuple[str, str], Trace],
    failures: Mapping[str, str],
    steps: int,
    manifests: Mapping[str, Manifest],
) -> list[Row]:
    """The float64 rows: all traces against one another. Those that are equal are kept, where they are a proof."""
    first = next(iter(cells.values()))
    workload = workloads.get(first.workload, first.size, first.global_batch)
    judged = parity.judge(traces, workload.param_specs(), workload.optimizer(first.optimizer).lr)
    rows: list[Row] = []
    for key, cell in cells.items():
        if key not in judged:
            rows.append(Row(cell=cell, steps=steps, equal=False, against="", difference=None, reason=failures[cell.id]))
            continue
        said = judged[key]
        if proofs.proof_cell(cell) == cell and steps >= proofs.PROOF_STEPS:
            proofs.keep_proof(proofs.proof_key(manifests[cell.impl], cell), said)
        against = ", ".join(said.against)
        rows.append(
            Row(
                cell=cell,
                steps=steps,
                equal=said.equal,
                against=against,
                difference=said.difference,
                reason=said.reason,
            )
        )
    return rows


def judge_single(
    cell: Cell,
    trace: Trace | None,
    references: Mapping[tuple[str, str], Trace],
    failures: Mapping[str, str],
    steps: int,
) -> Row:
    """A lower precision's row: its losses against float64 of another framework, its own if there is no other."""
    if trace is None:
        return Row(cell=cell, steps=steps, equal=False, against="", difference=None, reason=failures[cell.id])
    keys = sorted(references, key=lambda key: key[0] == cell.impl)
    if not keys:
        return Row(cell=cell, steps=steps, equal=False, against="", difference=None, reason="no float64 trace")
    reference = references[keys[0]]
    share, fault = parity.trajectory_fault(trace.losses, reference.losses, cell.precision, cell.size)
    difference = parity.Difference(loss=share, param=float("nan"), slot=float("nan"), worst="")
    against = f"{keys[0][0]} fp64"
    return Row(cell=cell, steps=steps, equal=fault is None, against=against, difference=difference, reason=fault)


def table(rows: Sequence[Row]) -> None:
    """Print the rows; a dash where nothing is compared."""

    def number(value: float) -> str:
        return "–" if value != value else f"{value:.1e}"

    show.rows(
        ("workload", "impl", "variant", "precision", "steps", "losses", "parameters", "slots", "against", "verdict"),
        (
            (
                f"{row.cell.workload}/{row.cell.size}", row.cell.impl, row.cell.variant, row.cell.precision, row.steps,
                *((number(d.loss), number(d.param), number(d.slot)) if (d := row.difference) else ("", "", "")),
                row.against, "equal" if row.equal else row.reason or "differs",
            )
            for row in rows
        ),
    )  # fmt: skip
