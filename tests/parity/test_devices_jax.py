"""JAX on several devices: what each holds, what the exchange is, and what is waited for."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from bench import manifests, workloads
from bench.launch import Launcher
from bench.machine.processor import physical_cores
from bench.spec import Cell
from tests.parity.devices import cell_of, measurement
from tests.parity.test_precision_jax import trials

pytestmark = pytest.mark.long

SHARED, WAIT_S = 3, 0.2  # devices of the trials; seconds that one of them is late
SPREAD, DEALT, WAITED = f"spread({SHARED})", f"dealt({SHARED})", f"waited({SHARED}, {WAIT_S})"
FORGOTTEN = f"measured('sync', devices={SHARED})"
TRIALS = (SPREAD, DEALT, WAITED, FORGOTTEN)


@pytest.fixture(scope="module")
def launcher() -> Generator[Launcher]:
    with Launcher(manifests.find(), cold=False) as one:
        yield one


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return trials(*TRIALS)


def measure(launcher: Launcher, cell: Cell, folder: Path, cache: str = "") -> dict[str, Any]:
    outcome = launcher.run(measurement(cell, folder, cache=cache), 120.0, folder.with_suffix(".log"))
    assert outcome.ok, outcome.fields
    return outcome.fields


def test_eight_devices_are_measured_and_share_the_cores(launcher: Launcher, tmp_path: Path) -> None:
    """XLA's pool has a thread for each device at least: with fewer, the last could never come to an all-reduce."""
    told = measure(launcher, cell_of("jax", "autoencoder", 8, 8, "bf16"), tmp_path / "cell")
    assert len(told["communication"]["all_reduce"]) == 4 and len(told["communication"]["without_exchange"]) == 2
    assert told["communication"]["gradient_bytes"] == told["communication"]["all_reduce"][-1]["bytes"]
    assert all(one["seconds"] > 0 for one in told["communication"]["all_reduce"])
    assert told["threads"]["intra"] == max(8, len(physical_cores()))
    assert told["threads"]["affinity"] == list(physical_cores())
    assert told["ranks"][0]["device"].split(", ") == ["cpu"] * 8
    assert told["effective_precision"] == {"matmul": "bf16", "conv": "bf16"}


def test_compiled_programs_are_kept_for_several_devices(launcher: Launcher, tmp_path: Path) -> None:
    cell, cache = cell_of("jax", "autoencoder", 2, 2, "fp32"), tmp_path / "cache"
    cold = measure(launcher, cell, tmp_path / "first", str(cache))
    kept = {file.name for file in cache.iterdir() if file.name.endswith("-cache")}
    warm = measure(launcher, cell, tmp_path / "second", str(cache))
    assert (cold["compile_cache"], warm["compile_cache"]) == ("cold", "warm")
    assert any("step" in name for name in kept)
    assert {file.name for file in cache.iterdir() if file.name.endswith("-cache")} == kept
    assert cold["losses"] == warm["losses"]


def test_devices_differ_only_where_the_exchange_is_left_out(found: dict[str, Any]) -> None:
    """Without it every parameter and slot does: so each device's own copy is what is read."""
    assert found[SPREAD]["exchanged"]["differ"] == []
    params = workloads.get("autoencoder", "tiny").param_specs()
    names = {*params, *(f"{slot}/{name}" for slot in "mv" for name in params)}
    assert set(found[SPREAD]["left out"]["differ"]) == names


def test_the_gradients_of_an_update_are_one_all_reduce(found: dict[str, Any]) -> None:
    """Of all parameters and the loss; and the step is compiled once, the state given to it."""
    arrays = len(workloads.get("autoencoder", "tiny").param_specs()) + 1
    told = found[SPREAD]
    assert told["exchanged"]["told"] == f"XLA's all-reduce, 1 a step, of {arrays} arrays, not overlapping"
    assert told["left out"]["told"] == "none"
    assert all(one["compiled_once"] and one["donation"] for one in told.values())


def test_each_device_gets_its_own_samples_and_no_memory_of_the_host(found: dict[str, Any]) -> None:
    assert found[DEALT]["shards"] == [[[2, 2048], device, device] for device in range(SHARED)]


def test_an_all_reduce_is_the_mean_on_every_device(found: dict[str, Any]) -> None:
    assert found[DEALT]["mean"] == [[5.0, 6.0, 7.0, 8.0, 9.0]] * SHARED  # of 0, 5, 10 and so on


def test_whichever_device_is_late_is_waited_for(found: dict[str, Any]) -> None:
    assert all(seconds >= WAIT_S for seconds in found[WAITED]), found[WAITED]


def test_a_wait_that_is_forgotten_is_found_on_several_devices_too(found: dict[str, Any]) -> None:
    """An honest one passes: cells of several devices that are measured above are `ok`."""
    assert found[FORGOTTEN]["status"] == "invalid"
    assert "longer than on an idle device" in found[FORGOTTEN]["reason"]
