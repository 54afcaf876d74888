"""What can go wrong in a worker, by the name in the environment variable `FAKE_FAULT`: `<kind>-<phase>`.

In all processes of a cell, or in those whose ranks `FAKE_RANK` lists.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

from tests.fake import ranks

folder = Path()  # of the request
DAEMON = """
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
port = socket.create_server(("127.0.0.1", 0))
part = sys.argv[1] + ".part"
open(part, "w").write(str(port.getsockname()[1]))
os.rename(part, sys.argv[1])
time.sleep(3600)
"""


def begin(request: Any) -> None:
    global folder
    folder = Path(request.folder)


def fail_in(phase: str) -> None:
    """Go wrong now if this is the phase."""
    kind, _, where = os.environ.get("FAKE_FAULT", "").partition("-")
    if where == phase and str(ranks.rank) in os.environ.get("FAKE_RANK", str(ranks.rank)).split(","):
        FAULTS[kind]()


def fail() -> None:
    raise RuntimeError("the fault that was asked for")


def missing() -> None:
    raise NotImplementedError("convolution is not implemented for 'Half'")


def out_of_memory() -> None:
    raise MemoryError("cannot allocate 1 TiB")


def really_out_of_memory() -> None:
    """The system refuses: the limit of the address space is a little above what is used."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
    bytearray(2**30)


def speak_of_memory() -> None:
    """As someone would who has the word in another sense."""
    raise RuntimeError("memory format is not channels last")


def tell_the_score() -> None:
    raise RuntimeError(f"score {Path('/proc/self/oom_score_adj').read_text()}")


def end_by(number: signal.Signals, said: bytes = b"") -> None:
    os.write(2, said)
    os.kill(os.getpid(), number)


def gobble() -> None:
    """In a cgroup that allows so much and no more."""
    (Path(os.environ["FAKE_CGROUP"]) / "cgroup.procs").write_text(str(os.getpid()))
    taken: list[bytes] = []
    while len(taken) < 2**11:  # not the whole machine, if the cgroup does not hold
        taken.append(b"x" * 2**20)


def eat() -> None:
    """Take memory until someone puts an end to it, or there are 2 GiB."""
    eaten = []
    for _ in range(128):
        eaten.append(bytearray(os.urandom(2**12)) * 2**12)
        time.sleep(0.005)


def hang() -> None:
    if file := os.environ.get("FAKE_HANGING_FILE"):
        Path(file).touch()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def hang_in_native_code() -> None:
    """Without letting go of the interpreter: no thread of this process runs any more, nor any handler of a signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).pause()


def spin_in_native_code() -> None:
    import re

    signal.signal(signal.SIGTERM, lambda *_: None)
    re.match("(a+)+$", "a" * 64 + "b")  # takes centuries, and holds the interpreter


def flood() -> None:
    while True:
        os.write(1, b"the same line again and again, as a loop that cannot end writes it\n" * 1000)


def print_binary() -> None:
    os.write(1, bytes(range(256)) * 4 + b"\x1b[2J\x1b]0;title\x07\n")
    os._exit(3)


def write_record(text: str) -> None:
    (folder / "record.json").write_text(text)
    os._exit(0)


def leave_an_orphan() -> None:
    """A grandchild in a session of its own that outlives the cell."""
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(3600)"
    subprocess.Popen([sys.executable, "-c", code, os.environ["FAKE_PID_FILE"]], start_new_session=True)
    while not Path(os.environ["FAKE_PID_FILE"]).exists():
        time.sleep(0.01)


def leave_a_daemon() -> None:
    """As `leave_an_orphan`, but it has left its parent too, ignores SIGTERM and listens."""
    file = Path(os.environ["FAKE_PORT_FILE"])
    file.unlink(missing_ok=True)
    subprocess.Popen([sys.executable, "-c", DAEMON, str(file)]).wait()
    while not file.exists():
        time.sleep(0.01)


def leave_shared_memory() -> None:
    memory = shared_memory.SharedMemory(create=True, size=2**20)
    memory.buf[0] = 1
    die()


def leave_a_daemon_and_hang() -> None:
    leave_a_daemon()
    hang()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk() -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as file:
        while True:
            file.write(bytes(2**16))


BAD_ALLOC = b"terminate called after throwing an instance of 'std::bad_alloc'\n"
RECORD = {"fields": {"status": "ok", "phases_s": {}}, "reasons": {}, "told_at": 1.0}
FAULTS = {
    "raise": fail,
    "missing": missing,
    "oom": out_of_memory,
    "rlimit": really_out_of_memory,
    "words": speak_of_memory,
    "score": tell_the_score,
    "abort": lambda: end_by(signal.SIGABRT, BAD_ALLOC),
    "mute": lambda: end_by(signal.SIGABRT),
    "shot": lambda: end_by(signal.SIGKILL, BAD_ALLOC),
    "gobble": gobble,
    "eat": eat,
    "exit": lambda: os._exit(3),
    "exit0": lambda: os._exit(0),
    "sysexit": lambda: sys.exit(0),
    "kill": die,
    "realtime": lambda: os.kill(os.getpid(), signal.SIGRTMIN + 5),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": hang,
    "native": hang_in_native_code,
    "spin": spin_in_native_code,
    "slow": lambda: time.sleep(60),
    "flood": flood,
    "binary": print_binary,
    "print": lambda: print('{"pid": 1}', flush=True),
    "half": lambda: write_record(json.dumps(RECORD)[:40]),
    "list": lambda: write_record("[1, 2]"),
    "hollow": lambda: write_record(json.dumps(RECORD)),
    "nested": lambda: write_record("[" * 10**6),
    "orphan": leave_an_orphan,
    "daemon": leave_a_daemon,
    "daemons": leave_a_daemon_and_hang,
    "shm": leave_shared_memory,
    "fill": fill_the_disk,
}
