"""HTML that works from a USB stick: one file with its own plotly.js, its style and its data.

The page's content security policy runs only the scripts whose hashes it names, and lets nothing ask the network.
"""

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from report.layout import Figure
from report.panels import Table

HERE = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)  # plotly.js writes styles of its own, and makes pictures from blobs


def render(template: str, **values: Any) -> str:
    """A page of `templates/`, given its values; text is escaped wherever it stands."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plotly, script = plotly_js(), (HERE / "page.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        **values,
        policy=POLICY.format(hashes=" ".join(map(source_hash, (plotly, script)))),
        plotly=own(plotly),
        script=own(script),
        style=own((HERE / "page.css").read_text(encoding="utf-8")),
        embedded=embedded,
    )


def own(text: str) -> Markup:
    """Text that is written as it stands: the package's own, or JSON in which nothing is left that HTML reads."""
    return Markup(text)  # nosec B704


def pack(data: Mapping[str, Any]) -> str:
    """Data as JSON, gzip and base64: pages of many cells stay small, and no text in it can break out of its element."""
    try:
        plain = json.dumps(data, separators=(",", ":"), allow_nan=False)
    except ValueError:  # of a stranger's numbers: what is not finite is no point
        plain = json.dumps(finite(data), separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(plain.encode("utf-8", "replace"), 6, mtime=0)).decode()


def finite(value: Any) -> Any:
    """The same with null for each number that is not finite."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: finite(inner) for name, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [finite(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def plain(table: Table, label: str) -> dict[str, Any]:
    """A table as the page's script builds it: of each line its cell, whether it is struck out, its values."""
    lines = [[line.cell, line.struck, list(line.values)] for line in table.lines]
    return {"label": label, "head": list(table.head), "numeric": sorted(table.numeric), "lines": lines}


def plotly_js() -> str:
    """The source of plotly.js; nothing in it ends a script element."""
    from plotly.offline import get_plotlyjs  # pyright: ignore[reportMissingTypeStubs]

    return str(get_plotlyjs()).replace("\r\n", "\n")


def source_hash(script: str) -> str:
    """How a content security policy names a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def embedded(figure: Figure) -> Markup:
    """JSON that no text in it can break out of: a script element ends at `</script`, whatever the quotes."""
    plain = json.dumps(figure, separators=(",", ":"), allow_nan=False)
    return own(plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
