"""Changes that leave JSON whole, so that they reach further than odd bytes do: other values, names, places."""

import json
import random
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 8, 0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 2**53, 2**63, 10**30,
    "", "nan", "-inf", "ok", "crashed", "proven", "diverged", "cold", "fp32", "torch", "distributed", "strong", "cuda",
    "\ud800", "\x00", "<b>", "%{x}", "9" * 50, "x" * 200, "__proto__", "2026-11-28", "9999-12-31T23:59:59+14:00",
    [], {}, [[]], [None], [0], [1e308, 1e308], {"": None}, [{}], {"steps": 0, "seconds": 0}, {"bytes": 0, "seconds": 0},
)  # fmt: skip
Place = tuple[Any, Any]  # an object or list, and a name or index in it


def mutated(data: bytes, seed: int, at_most: int = 4) -> bytes:
    """The input with a few changes drawn from a seed; bytes where it is no JSON."""
    draw = random.Random(seed)
    lines = list(parsed(data))
    for _ in range(draw.randint(1, at_most)):
        draw.choice((replace, replace, replace, remove, rename, repeat, copy, scale, line))(lines, draw)
    text = b"\n".join(json.dumps(one).encode() if not isinstance(one, bytes) else one for one in lines) + b"\n"
    return cut(text, draw) if draw.random() < 0.1 else text


def parsed(data: bytes) -> Iterator[Any]:
    for one in data.split(b"\n"):
        try:
            yield json.loads(one)
        except (ValueError, RecursionError):
            yield one


def places(value: Any) -> list[Place]:
    found: list[Place] = []
    open_ones = [value]
    while open_ones:
        one = open_ones.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        found += [(one, key) for key in keys]
        open_ones += [one[key] for key in keys]
    return found


def anywhere(lines: list[Any], draw: random.Random) -> Place:
    """A place drawn from one line; shallow ones more often, as lists of samples are long."""
    chosen = places(draw.choice(lines))
    return draw.choice(draw.choice([chosen, chosen[:40]])) if chosen else (lines, draw.randrange(len(lines)))


def replace(lines: list[Any], draw: random.Random) -> None:
    where, key = anywhere(lines, draw)
    where[key] = json.loads(json.dumps(draw.choice(ODD)))


def remove(lines: list[Any], draw: random.Random) -> None:
    where, key = anywhere(lines, draw)
    if len(lines) > 1 or where is not lines:
        del where[key]


def rename(lines: list[Any], draw: random.Random) -> None:
    where, key = anywhere(lines, draw)
    if isinstance(where, dict):
        where[draw.choice((*where, "", "x", "__proto__", "\ud800"))] = where.pop(key)


def repeat(lines: list[Any], draw: random.Random) -> None:
    where, key = anywhere(lines, draw)
    if isinstance(where, list):
        where[key:key] = json.loads(json.dumps([where[key]] * draw.choice((1, 2, 50)), default=str))


def copy(lines: list[Any], draw: random.Random) -> None:
    (where, key), (other, name) = anywhere(lines, draw), anywhere(lines, draw)
    where[key] = json.loads(json.dumps(other[name], default=str))


def scale(lines: list[Any], draw: random.Random) -> None:
    where, key = anywhere(lines, draw)
    if type(where[key]) in (int, float):
        where[key] = where[key] * draw.choice((-1, 0, 1e-300, 1e300, 10**6)) if abs(where[key]) < 1e300 else -where[key]


def line(lines: list[Any], draw: random.Random) -> None:
    """Another repeat, schema, framework or precision of a record."""
    record = json.loads(json.dumps(draw.choice(lines), default=str))
    if isinstance(record, dict):
        record |= draw.choice(({"repeat": draw.randint(0, 5)}, {"schema": draw.randint(0, 6)}, {"status": "oom"}, {}))
        cell = record.get("cell")
        if isinstance(cell, dict):
            cell |= draw.choice(
                ({"impl": "jax"}, {"precision": "bf16"}, {"devices": 4}, {"arm": "a"}, {"platform": "cuda"})
            )
            record["cell_id"] = draw.choice((record.get("cell_id"), str(draw.random())))
    lines.insert(draw.randint(1, len(lines)), record)


def cut(text: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(text))
    odd = draw.choice((b"", b"\xff", b"\x00", b"\n", b"\r\n", b"[" * 2000, b"\xef\xbb\xbf", b"NaN", b'"'))
    return text[:start] + odd + text[start + draw.choice((0, 1, 100)) :]
