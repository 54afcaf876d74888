"""What an exception of a cell is called: lack of memory above all, which everyone tells in words of their own."""

import ctypes
import sys
from pathlib import Path

from bench.machine import memory
from bench.precision import MIXED

UNSUPPORTED_SIGNS = ("not implemented", "unimplemented", "not supported", "unsupported", "no registered")
MISTAKES = (TypeError, AttributeError, LookupError, NameError, AssertionError)  # whatever they say
TRIED = ("init", "compile", "warm-up", "ceilings")  # phases in which every kernel of a step is used for the first time
OOM_SIGNS = (
    "out of memory",  # CUDA, XLA, libgomp, compilers
    "outofmemory",  # types of exceptions
    "resource_exhausted",  # XLA
    "resourceexhausted",  # TensorFlow's type
    "oom when allocating",  # TensorFlow
    "allocate memory",  # PyTorch's allocator ("can't"), the C library ("cannot")
    "bad_alloc",  # C++
    "alloc_failed",  # cuBLAS, cuDNN
    "memory exhausted",  # compilers
    "memoryerror",  # Python, in a log
    "exception:status: 1, message: could not",  # TensorFlow of oneDNN, whose status 1 is lack of memory
)
NOT_OOM_SIGNS = (  # lines that hold a sign and tell something else
    "not a failure",  # TensorFlow's GPU allocator tried to have more than it needs
    "shared memory",  # that of a kernel within the device, whatever the batch
    "larger than max",  # a message of gRPC
)
CALL_FAILED = "API call failed"  # what a compiled program of PyTorch says
WORDLESS = (CALL_FAILED, "could not create a primitive", "could not create a memory", "could not execute a primitive")
WORDS = 1000  # characters of a reason
DEPTH = 10  # exceptions that one was raised from


def status_of(error: BaseException, precision: str, phase: str) -> str:
    """The status that stands for an exception; frameworks raise where they have no kernel for 16-bit numbers."""
    from bench.spec import Unavailable

    if isinstance(error, Unavailable):
        return "unavailable"
    if lack_of_memory(error):
        return "oom"
    text = f"{type(error).__name__} {error}".lower()
    could_be = precision in MIXED and phase in TRIED and not isinstance(error, (*MISTAKES, ImportError))
    return "unsupported" if could_be and any(sign in text for sign in UNSUPPORTED_SIGNS) else "crashed"


def lack_of_memory(error: BaseException) -> str | None:
    """The words in which an exception, or one that it was raised from, tells a lack of memory; None if none does."""
    cause: BaseException | None = error
    for _ in range(DEPTH):
        if cause is None:
            break
        if isinstance(cause, MemoryError):
            return first_line(cause)
        if not isinstance(cause, MISTAKES) and telling_line(f"{type(cause).__name__}: {words(cause)}"):
            return telling_line(words(cause)) or first_line(cause)
        if (found := without_words(cause)) is not None:
            return found
        cause = cause.__cause__
    return None


def reason_of(error: BaseException, phase: str) -> str:
    """Type, phase and the words that matter."""
    return f"{type(error).__name__} in {phase}: {(lack_of_memory(error) or first_line(error))[:WORDS]}"


def words(error: BaseException) -> str:
    """What an exception says; where a program of PyTorch says only which call has failed, before that what it said."""
    said = str(error)
    return f"{kept_words()}\n{said}".strip() if CALL_FAILED in said else said


def without_words(error: BaseException, process: Path = memory.PROCESS) -> str | None:
    """What PyTorch or oneDNN says of a call that failed, without why, close to a limit on this process's memory."""
    said = first_line(error)
    if not any(sign in said for sign in WORDLESS) or "descriptor" in said:
        return None
    limit, held = memory.limit_of(process), (memory.resident(process) or {}).get("VmHWM")
    if limit is None or held is None or not memory.is_near(held, limit):
        return None
    return f"{said[:60]}, as the process held {held} bytes and may have {limit}"


def kept_words() -> str:
    """What the C interface of PyTorch, if that is there, has kept of the last exception in this thread."""
    torch = sys.modules.get("torch")
    if torch is None or torch.__file__ is None:
        return ""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        ask = library.torch_exception_get_what_without_backtrace
        ask.restype = ctypes.c_char_p
        return (ask() or b"").decode(errors="replace")
    except (OSError, AttributeError):
        return ""


def first_line(error: BaseException) -> str:
    return (words(error).strip() or repr(error)).splitlines()[0]


def telling_line(text: str) -> str | None:
    """The first line of a text that tells a lack of memory."""
    for line in text.splitlines():
        low = line.lower()
        if any(sign in low for sign in OOM_SIGNS) and not any(sign in low for sign in NOT_OOM_SIGNS):
            return line.strip()
    return None
