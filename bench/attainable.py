"""What a device attains, from the ceilings that a run measured on it; and the name that a device goes by.

`run.json` and records may be a stranger's: what is missing or of a wrong kind gives None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.record import Record
from bench.spec import Cell

NAMELESS = "/device:"  # how TensorFlow's names for devices begin, which do not tell what they are
WAY = ("impl", "variant", "platform", "precision")
Key = tuple[str, str]  # of a ceiling: device, precision


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The best that a run's implementations and variants attained on one device at one precision."""

    device: str
    precision: str
    flops_per_s: float | None = None  # of a product of matrices
    product_by: str = ""  # whose that was, such as `jax jit`
    copy_bytes_per_s: float | None = None  # read and written
    copy_by: str = ""
    others: float = 0.0  # share of the processor time during that product which was not the measurement's


def way(of: Mapping[str, Any]) -> tuple[Any, ...]:
    """In which way a device is used, by an entry or a cell: once each is measured."""
    return tuple(of.get(name) for name in WAY)


def entry(cell: Cell, machine: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` says of one measurement: windows, or the status and the reason why there are none.

    Args:
        cell: that it was measured for, on one device.
        machine: the fingerprint.
        fields: what came back from the process.
    """
    whose = {name: getattr(cell, name) for name in WAY}
    found = fields.get("ceilings")
    if fields["status"] == "ok" and {"device", "matmul", "copy"} <= {*_dict(found)}:
        told: Any = _dict(found)["device"]
        device = device_name(cell.platform, machine, [told]) or told
        return {**whose, "device": device, "matmul": _dict(found)["matmul"], "copy": _dict(found)["copy"]}
    status = "crashed" if fields["status"] == "ok" else fields["status"]
    reason = fields.get("reason") or "the process wrote no windows"
    return {**whose, "device": device_name(cell.platform, machine, ()), "status": status, "reason": reason}


def device_name(platform: Any, machine: Any, told: Iterable[Any]) -> str | None:
    """The one name of all devices in use, or None where there is no such.

    On a processor that is its model. Else the driver and the framework must agree: the driver gives a whole GPU's name
    where the framework sees a part of it (MIG).
    """
    if platform == "cpu":
        return _text(_dict(machine).get("cpu"))
    names = [_dict(gpu).get("name") for gpu in _list(_dict(machine).get("gpus"))]
    names += [name for ranks in told if isinstance(ranks, str) for name in ranks.split(", ")]
    texts = {str(name) for name in names if not str(name).startswith(NAMELESS)}
    return _text(texts.pop()) if len(texts) == 1 and all(isinstance(name, str) for name in names) else None


def device_of(record: Record) -> str | None:
    """The one name of all devices of a record's cell."""
    told = [_dict(rank).get("device") for rank in _list(record["ranks"])]
    return device_name(_dict(record["cell"]).get("platform"), record["machine"], told)


def best(meta: Mapping[str, Any]) -> dict[Key, Ceiling]:
    """The ceilings of a run, by device and precision."""
    found: dict[Key, Ceiling] = {}
    for one in map(_dict, _list(meta.get("ceilings"))):
        device, precision = _text(one.get("device")), _text(one.get("precision"))
        if device is None or precision is None:
            continue
        by, flops, copied = f"{one.get('impl')} {one.get('variant')}", product_flops_per_s(one), copy_bytes_per_s(one)
        top = found.get((device, precision), Ceiling(device=device, precision=precision))
        if flops and flops > (top.flops_per_s or 0):
            top = replace(top, flops_per_s=flops, product_by=by, others=others(one["matmul"]))
        if copied and copied > (top.copy_bytes_per_s or 0):
            top = replace(top, copy_bytes_per_s=copied, copy_by=by)
        if top.flops_per_s or top.copy_bytes_per_s:
            found[device, precision] = top
    return found


def others(part: Mapping[str, Any]) -> float:
    """Share that others, the hypervisor too, had in the processor time of a measurement's best window, if told."""
    window = _best_window(part) or {}
    took, own = (
        sum(_number(window.get(name)) or 0.0 for name in names) for names in (("foreign_cpu_s", "steal_s"), ("cpu_s",))
    )
    return took / (took + own) if took else 0.0


def product_flops_per_s(one: Mapping[str, Any]) -> float | None:
    """That of an entry's best window: 2·side³ operations a product, a multiplication and an addition each."""
    side = _number(_dict(one.get("matmul")).get("side"))
    return None if side is None else _best_rate(one["matmul"], 2 * side**3)


def copy_bytes_per_s(one: Mapping[str, Any]) -> float | None:
    """That of an entry's best window; each copy reads the array and writes it."""
    size = _number(_dict(one.get("copy")).get("bytes"))
    return None if size is None else _best_rate(one["copy"], 2 * size)


def ceiling_of(record: Record, ceilings: Mapping[Key, Ceiling]) -> Ceiling | None:
    """That of a record's device at its precision; None where the run measured none."""
    device, precision = device_of(record), _text(_dict(record["cell"]).get("precision"))
    return ceilings.get((device, precision)) if device and precision else None


def flops_per_s(cell: Mapping[str, Any], ceiling: Ceiling | None) -> float | None:
    """What all devices of a cell together would attain; emulated ones share the one processor."""
    if ceiling is None or ceiling.flops_per_s is None:
        return None
    return ceiling.flops_per_s * (1 if cell["platform"] == "cpu" else cell["devices"])


def _best_rate(part: Mapping[str, Any], work: float) -> float | None:
    """Work a call over seconds a call, of the best window."""
    best = _best_window(part)
    return None if best is None else work * best["count"] / best["seconds"]


def _best_window(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The fastest, as what disturbs a window only slows it down; None unless every window has its count and seconds."""
    windows = [_dict(one) for one in _list(part.get("windows"))]
    pairs = [(_number(one.get("count")), _number(one.get("seconds"))) for one in windows]
    rates = [count / seconds for count, seconds in pairs if count is not None and seconds is not None]
    return windows[rates.index(max(rates))] if rates and len(rates) == len(windows) else None


def _number(value: Any) -> float | None:
    """A number that can have been measured, and whose third power is one."""
    # 1e±30 lie beyond any machine, and keep a third power within the floats
    able = isinstance(value, int | float) and not isinstance(value, bool) and 1e-30 < value < 1e30
    return float(value) if able else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
