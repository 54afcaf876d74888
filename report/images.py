"""Charts as pictures, through kaleido and the browser that it finds: `bench report … --images DIR`."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import browsers
from bench.store import WrongInput
from report.panels import Section

FORMATS = ("png", "svg")
WIDTH_PX, TITLE_PX = 720, 64
INK = "#1c2024"


def check(folder: Path, format: str) -> str:
    """The browser's path.

    Raises:
        WrongInput: pictures of this format cannot be made, or not in this folder; nothing was written then.
    """
    if format not in FORMATS:
        raise WrongInput(f"no picture format {format}; --image-format takes {' or '.join(FORMATS)}")
    try:
        import kaleido  # noqa: F401  # pyright: ignore[reportUnusedImport, reportMissingTypeStubs]
    except ModuleNotFoundError as error:
        raise WrongInput("kaleido is not installed: pip install 'samestep[images]'") from error
    browser = browsers.find()
    if browser is None:
        raise WrongInput("pictures need a browser and there is none: apt-get install chromium, or leave out --images")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".samestep"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WrongInput(f"cannot write pictures to {folder}: {error.strerror}; name another folder") from error
    return browser


def write(sections: Sequence[Section], folder: Path, format: str) -> list[Path]:
    """One picture a chart, named by its section and place; returns the files.

    Raises:
        WrongInput: see `check`.
    """
    browser = check(folder, format)
    import kaleido  # pyright: ignore[reportMissingTypeStubs]

    named = [
        (folder / f"{section.id}-{n}.{format}", pictured(panel.figure, panel.title, panel.setting))
        for section in sections
        for n, panel in enumerate(section.panels, 1)
    ]
    jobs = [{"fig": figure, "path": str(path), "opts": options(figure, format)} for path, figure in named]
    kaleido.write_fig_from_object_sync(jobs, kopts={"path": browser, "mathjax": False})  # pyright: ignore[reportUnknownMemberType]
    return [path for path, _ in named]


def options(figure: dict[str, Any], format: str) -> dict[str, Any]:
    size = {"width": WIDTH_PX, "height": figure["layout"]["height"]}
    return {"format": format, "scale": 2 if format == "png" else 1, **size}


def pictured(figure: dict[str, Any], title: str, setting: str) -> dict[str, Any]:
    """The figure with what its page says around it, on white."""
    layout = figure["layout"]
    margin = layout["margin"]
    said = f"<b>{html.escape(title)}</b><br><sub>{html.escape(setting)}</sub>".replace("%{", "%&#123;")
    return figure | {
        "layout": layout
        | {
            "title": {"text": said, "x": 0.02, "y": 1, "yanchor": "top", "pad": {"t": 12}, "font": {"size": 16}},
            "height": layout["height"] + TITLE_PX,
            "margin": margin | {"t": margin["t"] + TITLE_PX, "l": max(margin["l"], 14), "r": max(margin["r"], 14)},
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "font": layout["font"] | {"color": INK},
        }
    }
