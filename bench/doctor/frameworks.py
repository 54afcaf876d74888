"""Each framework: that it is there, sees the devices, trains, keeps to each precision, and joins two devices."""

import ctypes.util
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from bench import environments, plan, store
from bench.doctor import Check, bench
from bench.launch import Launcher
from bench.machine import accelerators, gpu
from bench.manifests import Manifest
from bench.ranks import Outcome
from bench.runner import Runner
from bench.spec import Cell, WrongInput
from bench.units import scaled

TIMEOUT_S = 300.0  # what a run gives a cell unless it is told otherwise: where this is too short, so is that
MIN_TIME_S = 0.1  # of steady state: no speed is told, so that this can be as short on any machine
TF32_OVERRIDE = "NVIDIA_TF32_OVERRIDE"  # of CUDA's libraries, over what a program asks for


def check(cells: Iterable[Cell], manifests: Mapping[str, Manifest]) -> Iterator[Check]:
    """One framework after another.

    Args:
        cells: on one and on two devices, at each precision that is asked for.
        manifests: implementations by name.
    """
    with Launcher(manifests, cold=False) as launcher:
        (launcher.scratch / store.LOGS).mkdir()
        runner = Runner(
            launcher=launcher,
            folder=launcher.scratch,
            manifests=manifests,
            min_time_s=MIN_TIME_S,
            timeout_s=TIMEOUT_S,
        )
        for impl, own in groupby(cells, lambda cell: cell.impl):
            yield from framework(list(own), manifests[impl], runner)


def framework(cells: Sequence[Cell], manifest: Manifest, runner: Runner) -> Iterator[Check]:
    """Everything of one; where it cannot start, no more than why."""
    platform = cells[0].platform
    if why := manifest.unsupported.get(platform):
        yield Check(what=manifest.name, state="fails", told=why, mend=bench("list"))
        return
    try:
        there = manifest.installed
    except WrongInput as error:  # its Python is gone, or broken
        yield Check(what=manifest.name, state="fails", told=str(error), mend=install(manifest, platform))
        return
    if not there:
        told = f"{manifest.module} is not installed" + (
            f" for {manifest.interpreter.name}" if not manifest.interpreter.is_own else ""
        )
        yield Check(what=manifest.name, state="fails", told=told, mend=install(manifest, platform))
        return
    yield installed(manifest)
    yield from compilers(manifest, platform)
    single = [cell for cell in cells if cell.devices == 1 and cell.engine == "plain"]
    single = single or [cell for cell in cells if cell.devices == 1]
    outcomes = [(cell, runner.measure(plan.Job(cell=cell, repeat=0))) for cell in single]
    first, found = outcomes[0]
    yield trains(first, found, manifest)
    if found.fields["status"] in ("ok", "invalid"):
        yield from (keeps(cell, outcome) for cell, outcome in outcomes)
        yield joins(cells, manifest, runner)


def installed(manifest: Manifest) -> Check:
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions().items())
    python = manifest.interpreter
    where = "" if python.is_own else f", run by {python.name}"
    return Check(what=manifest.name, state="ok", told=f"{versions}, Python {python.python}{where}")


def compilers(manifest: Manifest, platform: str) -> Iterator[Check]:
    """What variants run to compile, and what Triton, which writes PyTorch's programs for GPUs, looks for besides."""
    for variant, program in manifest.programs.items():
        what = f"{manifest.name} {variant}"
        if why := manifest.lacks(variant):
            yield Check(what=what, state="note", told=why, mend=f"apt-get install {program}")
        if not manifest.interpreter.headers:
            told = f"Python.h of {manifest.interpreter.path} is missing, against which it compiles"
            yield Check(what=what, state="note", told=told, mend="apt-get install python3-dev")
        if platform == "cuda" and ctypes.util.find_library("cuda") is None:
            told = "the linker does not know libcuda.so.1, which is the driver's"
            yield Check(what=what, state="note", told=told, mend="ldconfig FOLDER_OF_LIBCUDA")


def install(manifest: Manifest, platform: str) -> str:
    """The command that makes an environment with the framework, for the devices that are here."""
    accelerator = suited(manifest, platform)
    if accelerator is None:
        return ""
    created = bench(f"env create {manifest.name} --accelerator {accelerator}")
    there = environments.find(manifest.name)
    return f"{bench(f'env remove {manifest.name}')} && {created}" if there and there.complete else created


def suited(manifest: Manifest, platform: str) -> str | None:
    """The accelerator of `bench env` that stands for a platform: of CUDA's the newest that the driver can run."""
    if platform != "cuda":
        return platform if platform in manifest.environments else None
    driver = gpu.fingerprint().get("cuda_driver") or "12"
    newest = int(driver.partition(".")[0])
    fits = [name for name in manifest.environments if name.startswith("cuda") and int(name[4:]) <= newest]
    return max(fits, default=None)


def trains(cell: Cell, outcome: Outcome, manifest: Manifest) -> Check:
    """A few steps of the smallest workload."""
    what, status = f"{cell.impl} on {cell.platform}", outcome.fields["status"]
    if status in ("ok", "invalid"):
        names = ", ".join(rank["device"] for rank in outcome.fields["ranks"])
        return Check(what=what, state="ok", told=f"{cell.variant} trains {cell.workload} on {names}")
    mend = install(manifest, cell.platform) if status == "unavailable" else ""
    return Check(what=what, state="fails", told=failure(outcome), mend=mend)


def keeps(cell: Cell, outcome: Outcome) -> Check:
    """What the probes found of the products' precision."""
    what, status = f"{cell.impl} {cell.precision}", outcome.fields["status"]
    found = outcome.fields.get("effective_precision")
    if status == "ok" and found:
        return Check(what=what, state="ok", told=", ".join(f"{kind} {name}" for kind, name in found.items() if name))
    overridden = os.environ.get(TF32_OVERRIDE) is not None
    return Check(what=what, state="fails", told=failure(outcome), mend=f"unset {TF32_OVERRIDE}" if overridden else "")


def joins(cells: Sequence[Cell], manifest: Manifest, runner: Runner) -> Check:
    """An all-reduce between two devices, emulated ones on a processor."""
    two = next(cell for cell in cells if cell.devices == 2)
    what = f"{two.impl} all-reduce"
    if two.platform != "cpu" and len(accelerators.here()[two.platform]) < 2:
        return Check(what=what, state="ok", told="one device is here: nothing to exchange")
    outcome = runner.measure(plan.Job(cell=two, repeat=0))
    told = outcome.fields.get("communication")
    if outcome.ok and told:
        last = told["all_reduce"][-1]
        kind = "emulated " if two.emulated else ""
        return Check(
            what=what,
            state="ok",
            told=f"two {kind}devices, {scaled(last['bytes'], 'B')} in {scaled(last['seconds'], 's')}",
        )
    return Check(what=what, state="fails", told=failure(outcome))


def failure(outcome: Outcome) -> str:
    """Status, reason, and the last line of the log if there is one."""
    fields = outcome.fields
    tail = (fields.get("log_tail") or "").strip().splitlines()
    return f"{fields['status']}: {fields.get('reason') or 'no reason was given'}" + (f" ({tail[-1]})" if tail else "")
