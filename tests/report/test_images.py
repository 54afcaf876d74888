"""Charts as pictures: one each, of a real browser; and what is said where they cannot be made."""

import shutil
from pathlib import Path

import pytest

from bench.store import WrongInput
from report import images, page
from tests.report import samples


def test_each_chart_is_a_picture(tmp_path: Path) -> None:
    run = samples.write_run(tmp_path / "run", samples.all_ok(impls=["jax"], workloads=["lm"]))
    page.write([run], tmp_path / "page.html", tmp_path / "pictures", "svg")
    (part,) = [page.part(1, *page.read(run))]
    expected = {f"{one.id}-{n}.svg" for one in part.sections for n, _ in enumerate(one.panels, 1)}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == expected
    text = (tmp_path / "pictures" / "run1-throughput_per_s-1.svg").read_text(encoding="utf-8")
    assert text.startswith("<svg") and "JAX jit" in text and "Language model, tiny" in text


@pytest.mark.parametrize("case", ["format", "file", "no browser"])
def test_what_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    run = samples.write_run(tmp_path / "run", samples.all_ok(impls=["jax"], workloads=["lm"]))
    (tmp_path / "file").touch()
    if case == "no browser":
        monkeypatch.setattr(shutil, "which", lambda _: None)
    folder = tmp_path / ("file" if case == "file" else "pictures")
    with pytest.raises(WrongInput, match={"format": "png or svg", "file": "name another folder"}.get(case, "apt-get")):
        page.write([run], tmp_path / "page.html", folder, "gif" if case == "format" else "png")
    assert not (tmp_path / "page.html").exists()
    assert not (tmp_path / "pictures").exists()


def test_without_kaleido_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kaleido", None)
    with pytest.raises(WrongInput, match=r"pip install 'samestep\[images\]'"):
        images.check(tmp_path, "png")
