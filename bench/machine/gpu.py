"""NVIDIA's GPUs as their driver tells of them (NVML), and what runs on them. Nothing is ever set or ended.

Read by the runner alone, never by a cell: a worker needs its framework and nothing else. No serial numbers; a GPU is
known by a hash of its identifier.
"""

import contextlib
import hashlib
import importlib
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

# Between readings while a cell runs. One takes the driver milliseconds on a core that the cell may use; a clock that is
# held down stays so for seconds.
SAMPLE_S = 1.0
NO_LIBRARY = "nvidia-ml-py is not installed"
NO_DRIVER = "there is no NVIDIA driver here"
LINKS = 18  # NVLink's links of one GPU, where the library does not say how many there may be
Reading = dict[str, Any]


def load() -> Any:
    """NVML, started.

    Raises:
        OSError: it is not there; the text says why.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise OSError(NO_LIBRARY) from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise OSError(f"{NO_DRIVER} ({error})") from None
    return nvml


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """The GPUs of this machine."""

    nvml: Any

    def facts(self) -> Reading:
        """What does not change while a run lasts. A value that the driver does not tell is None."""
        ask = self._ask
        return {
            "driver": ask("nvmlSystemGetDriverVersion"),
            "cuda_driver": _cuda_version(ask("nvmlSystemGetCudaDriverVersion")),
            "devices": [self._device(handle) for handle in self._handles()],
            "links": self._links(),
        }

    def clocks(self) -> list[Reading]:
        """Clocks (Hz), power (W), temperature (°C) and reasons for throttling of each GPU, now."""
        return [self._clocks(handle) for handle in self._handles()]

    def processes(self) -> list[list[tuple[int, int | None]]]:
        """For each GPU the process ids on it, with bytes where the driver tells."""
        return [self._processes(handle) for handle in self._handles()]

    def _device(self, handle: Any) -> Reading:
        ask, nvml = self._ask, self.nvml
        memory, uuid = ask("nvmlDeviceGetMemoryInfo", handle), ask("nvmlDeviceGetUUID", handle)
        power_mw = ask("nvmlDeviceGetPowerManagementLimit", handle)
        return {
            "name": ask("nvmlDeviceGetName", handle),
            "id": uuid and hashlib.sha256(str(uuid).encode()).hexdigest()[:12],
            "memory_bytes": memory and memory.total,
            "power_limit_w": power_mw and power_mw / 1e3,
            "sm_max_hz": _hertz(ask("nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_SM)),
            "memory_max_hz": _hertz(ask("nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_MEM)),
        }

    def _clocks(self, handle: Any) -> Reading:
        ask, nvml = self._ask, self.nvml
        power_mw = ask("nvmlDeviceGetPowerUsage", handle)
        return {
            "sm_hz": _hertz(ask("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM)),
            "memory_hz": _hertz(ask("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_MEM)),
            "power_w": power_mw and power_mw / 1e3,
            "temperature_c": ask("nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU),
            "throttle": self._throttle(ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)),
        }

    def _throttle(self, bits: int | None) -> list[str] | None:
        """Names of the reasons in a set of bits; an idle GPU's low clock is none."""
        if bits is None:
            return None
        prefix, idle = "nvmlClocksThrottleReason", ("None", "All", "GpuIdle")
        known = {
            name.removeprefix(prefix): getattr(self.nvml, name) for name in dir(self.nvml) if name.startswith(prefix)
        }
        return sorted(name for name, bit in known.items() if name not in idle and bits & bit)

    def _processes(self, handle: Any) -> list[tuple[int, int | None]]:
        found: list[Any] = self._ask("nvmlDeviceGetComputeRunningProcesses", handle) or []
        return [(process.pid, process.usedGpuMemory) for process in found]

    def _links(self) -> list[list[int]] | None:
        """Active NVLinks from each GPU (row) to each (column); None for a single GPU, or where it is not told."""
        handles = self._handles()
        places = [getattr(self._ask("nvmlDeviceGetPciInfo", handle), "busId", None) for handle in handles]
        if len(handles) < 2 or None in places:
            return None
        found = [[0] * len(handles) for _ in handles]
        for row, handle in enumerate(handles):
            for link in range(getattr(self.nvml, "NVML_NVLINK_MAX_LINKS", LINKS)):
                if self._ask("nvmlDeviceGetNvLinkState", handle, link):
                    other = self._ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, link)
                    if other is not None and other.busId in places:
                        found[row][places.index(other.busId)] += 1
        return found

    def _handles(self) -> list[Any]:
        """Of each GPU that answers: one that was lost, or that others alone may ask, is left out."""
        places = range(self._ask("nvmlDeviceGetCount") or 0)
        return [handle for place in places if (handle := self._ask("nvmlDeviceGetHandleByIndex", place)) is not None]

    def _ask(self, question: str, *about: Any) -> Any:
        """The driver's answer, bytes as text; None where it has none."""
        try:
            answer = getattr(self.nvml, question)(*about)
        except (self.nvml.NVMLError, AttributeError):
            return None
        return answer.decode() if isinstance(answer, bytes) else answer


def _cuda_version(number: int | None) -> str | None:
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _hertz(mega: int | None) -> int | None:
    return None if mega is None else mega * 10**6


def fingerprint() -> Reading:
    """Facts of the GPUs, or why there are none."""
    try:
        return Gpus(nvml=load()).facts()
    except OSError as error:
        return {"devices": [], "reason": str(error)}


@dataclass(kw_only=True)
class Watch:
    """What was seen of the GPUs around and during a cell."""

    before: list[Reading] = field(default_factory=list[Reading])
    during: list[list[Reading]] = field(default_factory=list[list[Reading]])  # once a second, each at_s by the clock
    after: list[Reading] = field(default_factory=list[Reading])
    foreign: list[Reading] = field(default_factory=list[Reading])  # processes that are not the cell's, at the start
    peaks: dict[int, int] = field(default_factory=dict[int, int])  # bytes of the cell's own processes, by GPU
    reason: str | None = None  # why nothing was seen

    @property
    def driver_peak(self) -> list[int] | None:
        """Most bytes that the cell's processes held on each GPU that they used, as the driver counts."""
        return [self.peaks[place] for place in sorted(self.peaks)] or None

    @property
    def why_no_peak(self) -> str:
        return (
            self.reason or "the driver named no process of the cell: it counts processes of another namespace, or none"
        )


@contextlib.contextmanager
def watched(
    own: Callable[[], Collection[int]],
    name_of: Callable[[int], str],
    gpus: Gpus,
    period_s: float = SAMPLE_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Watch]:
    """Look at the GPUs before, during (from a thread of this process) and after what runs within.

    Args:
        own: ids of the processes that are the cell's, now.
        name_of: a process's name.
        gpus: where to look.
        period_s: between looks.
        clock: that of windows.
    """
    watch, stop = Watch(before=gpus.clocks(), foreign=foreign(gpus.processes(), own(), name_of)), threading.Event()

    def look() -> None:
        while not stop.wait(period_s):
            at_s = clock()
            watch.during.append([{"at_s": at_s, **one} for one in gpus.clocks()])
            note_peaks(watch.peaks, gpus.processes(), own())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        watch.after = gpus.clocks()


def note_peaks(peaks: dict[int, int], seen: Sequence[Iterable[tuple[int, int | None]]], own: Collection[int]) -> None:
    """Raise the peak of each GPU on which the processes of a cell were seen."""
    for place, processes in enumerate(seen):
        held = [size for pid, size in processes if pid in own and size is not None]
        if held:
            peaks[place] = max(peaks.get(place, 0), sum(held))


def foreign(
    seen: Sequence[Iterable[tuple[int, int | None]]], own: Collection[int], name_of: Callable[[int], str]
) -> list[Reading]:
    """Processes on the GPUs that are not the cell's: name and bytes, no command line, no user."""
    return [
        {"device": place, "name": name_of(pid), "memory_bytes": size}
        for place, processes in enumerate(seen)
        for pid, size in processes
        if pid not in own
    ]
