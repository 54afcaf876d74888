"""Disks that fill up or cannot be written: the cells that need them have their word, and no record is lost."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.place import Place, agrees, may_mount, refused

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not may_mount(), reason="only root can mount a small disk"),
]


@contextmanager
def disk(folder: Path, size: str) -> Iterator[None]:
    """A small file system at the folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """The file that takes all the room that there was."""
    file = folder / "filler"
    with suppress(OSError), file.open("wb", buffering=0) as target:
        while True:
            target.write(bytes(2**12))
    return file


def test_a_worker_fills_the_scratch_disk(place: Place, tried: Callable[..., None]) -> None:
    with disk(place.scratch, "16m"):
        code, _ = place.go(copies={"a": {}, "b": {"FAKE_FAULT": "fill-step"}}, repeats=3)
        assert code == 1
        for found in place.records():
            if found["cell"]["impl"] == "a":
                assert found["status"] == "ok", found["reason"]
            else:
                agrees(found, "crashed", "wrote no record$|No space left", "No space left on device")
        place.nothing_left()
    tried("a worker fills the scratch disk", "crashed; its files are removed, the other cells run")


def test_another_fills_the_scratch_disk_for_a_while(place: Place, tried: Callable[..., None]) -> None:
    with disk(place.scratch, "16m"):
        runner = place.start(repeats=20)
        place.wait_for_records(3, runner)
        filler = fill(place.scratch)
        before = len(place.measured())
        place.wait_for_records(before + 3, runner)
        filler.unlink()
        code, said = place.finish(runner)
        assert code == 1, said[-5:]
        records = place.records()
        assert len(records) == 40 and records[-1]["status"] == "ok"
        failed = [one for one in records if one["status"] != "ok"]
        assert failed
        for found in failed:
            agrees(found, "crashed", "No space left on device|wrote no record")
        place.nothing_left()
    tried("another program fills the scratch disk for a while", "crashed meanwhile, ok after it")


def test_the_results_disk_fills_up(place: Place, tried: Callable[..., None]) -> None:
    with disk(place.run.parent, "128k"):
        code, said = place.go(repeats=40)
        kept = place.measured()
        assert code == 1 and said[-1].startswith("bench: cannot write") and "No space left" in said[-1], said[-3:]
        assert 0 < len(kept) <= len(place.records()) < 80
        place.nothing_left()
        subprocess.run(["mount", "-o", "remount,size=16m", place.run.parent], check=True)
        code, said = place.go(resume=True)
        assert code == 0 and place.holds(kept), said[-3:]
        assert len({(one["cell_id"], one["repeat"]) for one in place.records()}) == 80
        place.nothing_left()
    tried("the disk of the results fills up", "one line, exit 1; no record lost, --resume completes the set")


def test_the_results_disk_is_full(place: Place, tried: Callable[..., None]) -> None:
    with disk(place.run.parent, "64k"):
        fill(place.run.parent)
        refused(place.go(), "No space left on device")
        place.nothing_left()
    tried("the disk of the results is full from the start", "one line, exit 2")


def test_the_results_folder_is_read_only(place: Place, tried: Callable[..., None]) -> None:
    runner = place.start(repeats=50)
    place.wait_for_records(2, runner)
    place.kill(runner)
    kept = place.whole_lines()
    place.nothing_left()
    results = str(place.run.parent)
    subprocess.run(["mount", "--bind", results, results], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", results], check=True)
        refused(place.go(resume=True), "Read-only file system")
        place.run = place.run.with_name("another")
        refused(place.go(), "Read-only file system")
    finally:
        subprocess.run(["umount", "-l", results], check=True)
    place.run = place.run.with_name("run")
    assert place.whole_lines() == kept
    place.nothing_left()
    tried("the results folder is read-only, for a new run and for --resume", "one line, exit 2; no record lost", 2)
