"""Which accelerators there are, from planted system files."""

from pathlib import Path

import pytest

from bench.machine import accelerators


@pytest.fixture(autouse=True)
def nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators.gpu, "fingerprint", lambda: {"devices": [{"name": "A"}, {"name": "B"}]})


def plant(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_nothing_but_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators.gpu, "fingerprint", lambda: {"devices": []})
    found = accelerators.find(tmp_path, {})
    assert {name: len(devices) for name, devices in found.items()} == {"cpu": 1, "cuda": 0, "rocm": 0, "tpu": 0}
    monkeypatch.setattr(accelerators, "here", lambda: found)
    assert accelerators.choose() == "cpu"


@pytest.mark.parametrize(
    ("allowed", "seen"),
    [
        (None, ("A", "B")),
        ("", ()),
        ("1", ("B",)),
        ("1,0", ("B", "A")),
        ("0,5,1", ("A",)),
        ("-1", ()),
        ("GPU-8932", ("A",)),
    ],
)
def test_gpus_that_a_process_may_see(tmp_path: Path, allowed: str | None, seen: tuple[str, ...]) -> None:
    environment = {} if allowed is None else {"CUDA_VISIBLE_DEVICES": allowed}
    assert accelerators.find(tmp_path, environment)["cuda"] == seen


def test_nodes_of_amd_without_vector_units_are_processors(tmp_path: Path) -> None:
    nodes = "sys/class/kfd/kfd/topology/nodes"
    plant(tmp_path, **{f"{nodes}/0/properties": "cpu_cores_count 64\nsimd_count 0\n"})
    plant(tmp_path, **{f"{nodes}/1/properties": "simd_count 1216\n", f"{nodes}/1/name": "gfx942\n"})
    assert accelerators.find(tmp_path, {})["rocm"] == ("gfx942",)


def test_google_has_other_devices_than_tpus(tmp_path: Path) -> None:
    bus = "sys/bus/pci/devices"
    for place, (vendor, device) in enumerate([("0x1ae0", "0x0042"), ("0x1ae0", "0x0063"), ("0x10de", "0x0063")]):
        plant(tmp_path, **{f"{bus}/{place}/vendor": f"{vendor}\n", f"{bus}/{place}/device": f"{device}\n"})
    assert accelerators.find(tmp_path, {})["tpu"] == ("TPU v5e",)


def test_auto_takes_what_is_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "here", lambda: {"cpu": ("c",), "cuda": (), "rocm": (), "tpu": ("TPU v4",)})
    assert accelerators.choose() == "tpu"
