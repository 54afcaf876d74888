"""`bench verify`: every implementation from the same parameters over the same batches, compared step by step.

In float64 each is compared with the other frameworks: losses of every step, parameters, slots and statistics at
the end. In float32 its losses are compared with another framework's float64.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from queue import SimpleQueue
from typing import Any

from bench import plan, show, workloads
from bench.launch import Launcher
from bench.machine.processor import physical_cores
from bench.manifests import Manifest
from bench.plan import Choice
from bench.precision import FIRST_SCALE
from bench.proof import groups, parity, proofs, scope
from bench.proof.drift import unskipped
from bench.proof.groups import Group, Row
from bench.proof.parity import Trace
from bench.proof.proofs import TraceFailed
from bench.spec import Cell, Request, WrongInput

LANES = 4  # traces side by side at most: the twins of large networks take up to 3 GB each


def verify(choice: Choice, steps: int | None, timeout_s: float, manifests: Mapping[str, Manifest]) -> list[Row]:
    """Run and compare what was chosen; a row for each cell whose framework is installed."""
    return prove(groups.plan_groups(choice, steps, manifests), timeout_s, manifests)


def prove(chosen: Sequence[Group], timeout_s: float, manifests: Mapping[str, Manifest]) -> list[Row]:
    """Trace and compare groups of cells; the results of those that are equal are kept."""
    rows: list[Row] = []
    with (
        Launcher(manifests, cold=False) as launcher,
        show.Progress(f"{sum(len(group.cells) for group in chosen)} cells to verify") as progress,
        side_by_side(launcher, timeout_s, progress.note) as submit,
    ):
        wanted = [{cell: submit(cell, group.steps) for cell in group.traced} for group in chosen]
        for group in chosen:
            traces = wanted.pop(0)  # so that they are gone when they have been compared
            rows_of_group = verify_workload(
                group.cells, group.steps, lambda cell, _, of=traces: of[cell].result(), manifests
            )
            groups.keep(group, rows_of_group)
            rows += rows_of_group
    return rows


@contextmanager
def side_by_side(
    launcher: Launcher, timeout_s: float, report: Callable[[str], None]
) -> Generator[Callable[..., "Future[Trace]"]]:
    """A function that starts the trace of a cell over a number of steps as soon as a lane of processor cores is free.

    A third argument names another implementation (a manifest) than the cell's own.

    Nothing here is timed, so each trace has a share of the cores and others run beside it.
    """
    cores = physical_cores()
    count = min(len(cores), LANES)
    lanes: SimpleQueue[tuple[int, ...]] = SimpleQueue()
    for number in range(count):
        lanes.put(cores[number::count])

    def run(cell: Cell, steps: int, instead: Manifest | None = None) -> Trace:
        lane = lanes.get()
        try:
            report(f"tracing {cell.label} {cell.optimizer}, {steps} steps")
            cache = str(launcher.scratch / "compiled")
            request = Request(cell=cell, task="trace", folder="", threads=len(lane), cpus=lane, cache=cache)
            log = launcher.scratch / f"{cell.id}.log"

            def trace(cell: Cell, steps: int, first_scale: float = FIRST_SCALE) -> Trace:
                asked = replace(request, first_scale=first_scale)
                return proofs.run_trace(launcher, cell, steps, asked, timeout_s, log, instead)

            return unskipped(cell, steps, trace)[0]
        finally:
            lanes.put(lane)

    pool = ThreadPoolExecutor(count)
    try:
        yield partial(pool.submit, run)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        launcher.stop()
        raise
    finally:
        pool.shutdown()


def check(steps: int | None, timeout_s: float) -> None:
    """Raises WrongInput for a number that makes no sense."""
    if steps is not None and steps < 1:
        raise WrongInput(f"--steps {steps}: give a positive number")
    plan.positive("timeout", timeout_s)


def verify_workload(
    cells: Sequence[Cell], steps: int, run: Callable[[Cell, int], Trace], manifests: Mapping[str, Manifest]
) -> list[Row]:
    """Rows for the cells of one workload at one size. Float64 is traced whether or not it was asked for."""
    references: dict[parity.Key, Trace] = {}
    failures: dict[str, str] = {}

    def attempt(cell: Cell) -> Trace | None:
        try:
            return run(cell, steps)
        except TraceFailed as error:
            failures[cell.id] = str(error)
            return None

    doubles = {key_of(cell): cell for cell in scope.traced(cells, manifests) if cell.precision == "fp64"}
    for key, cell in doubles.items():
        if trace := attempt(cell):
            references[key] = trace
    rows = judge_doubles(doubles, references, failures, steps, manifests)
    rows = [row for row in rows if row.cell in cells]
    for cell in cells:
        if cell.precision != "fp64":
            rows.append(judge_single(cell, attempt(cell), references, failures, steps))
    return rows


def key_of(cell: Cell) -> parity.Key:
    return cell.impl, cell.variant, cell.engine, str(cell.devices)


def judge_doubles(
    cells: Mapping[parity.Key, Cell],
    traces: Mapping[parity.Key, Trace],
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
        if is_proof(cell, steps):
            proofs.keep_proof(manifests[cell.impl], cell, said, steps)
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


def is_proof(cell: Cell, steps: int) -> bool:
    """Whether the trace that was compared is the one that proofs are made of."""
    needed = workloads.PROOF_STEPS.get(cell.size)
    return needed is not None and steps >= needed and (cell.seed, cell.kernels) == (0, "plain")


def judge_single(
    cell: Cell,
    trace: Trace | None,
    references: Mapping[parity.Key, Trace],
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
    share, fault = parity.trajectory_fault(trace.losses, reference.losses, cell.precision, cell.size, cell.workload)
    difference = parity.Difference(loss=share, param=float("nan"), slot=float("nan"), worst="")
    against = f"{keys[0][0]} fp64"
    return Row(cell=cell, steps=steps, equal=fault is None, against=against, difference=difference, reason=fault)


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON has it: null where nothing is compared."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    difference = {} if row.difference is None else asdict(row.difference)
    names = (
        "workload", "size", "optimizer", "impl", "variant", "precision", "devices", "engine", "norm_groups",
    )  # fmt: skip
    cell = {name: getattr(row.cell, name) for name in names}
    told = {name: number(difference[name]) if name in difference else None for name in ("loss", "param", "slot")}
    return {**cell, "steps": row.steps, "equal": row.equal, **told, "against": row.against, "reason": row.reason}


def devices_of(cell: Cell) -> str:
    """Devices of a cell; on one also whether behind the engine for several."""
    return f"{cell.devices}{' distributed' if (cell.devices, cell.engine) == (1, 'distributed') else ''}"


def table(rows: Sequence[Row]) -> None:
    """Print the rows; a dash where nothing is compared."""

    def number(value: float) -> str:
        return "–" if value != value else f"{value:.1e}"

    show.rows(
        (
            "workload", "optimizer", "impl", "variant", "precision", "devices", "steps",
            "losses", "parameters", "slots", "against", "verdict",
        ),
        (
            (
                f"{row.cell.workload}/{row.cell.size}", row.cell.optimizer,
                row.cell.impl, row.cell.variant, row.cell.precision, devices_of(row.cell), row.steps,
                *((number(d.loss), number(d.param), number(d.slot)) if (d := row.difference) else ("", "", "")),
                row.against, "equal" if row.equal else row.reason or "differs",
            )
            for row in rows
        ),
    )  # fmt: skip
