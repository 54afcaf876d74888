"""Values of records, which may be old, odd or written by strangers: each as what it should be, or None."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # how records write them


def at(record: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is nothing."""
    return inside(record, path.split("."))


def inside(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The same, of names already split."""
    value: Any = record
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return value  # pyright: ignore[reportUnknownVariableType]


def text(value: Any) -> str | None:
    """Text that can be written as UTF-8; what is neither text nor missing is shown as JSON."""
    if value is None:
        return None
    found = value if isinstance(value, str) else json.dumps(value, default=str)
    return found.encode("utf-8", "replace").decode()


def number(value: Any) -> float | None:
    """A float, with the records' strings for non-finite ones; None for anything else."""
    if type(value) is float:  # most are
        return value
    if isinstance(value, str):
        return NON_FINITE.get(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def measurable(value: float) -> bool:
    """Whether a value can have been measured; beyond it lies what arithmetic on squares of it cannot hold."""
    return 1e-100 < value < 1e100


def finite(value: Any) -> float | None:
    """A float that an axis can hold; None for anything else."""
    found = number(value)
    return found if found is not None and abs(found) < 1e100 else None


def whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None or not found.is_integer() or abs(found) >= 2**63 else int(value)


def numbers(value: Any) -> Any:
    """The same, with the records' strings for non-finite numbers turned into these, however deep they lie."""
    match value:
        case float() | int():
            return value
        case str():
            return NON_FINITE.get(value, value)
        case dict():
            return {key: numbers(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return value if floats(value) else [numbers(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return value


def floats(values: list[Any]) -> bool:
    """Whether a list holds floats alone, as samples nearly always do: told far faster than each is looked at."""
    return set(map(type, values)) == {float}


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
