"""Batches from the host's memory, copied to the device by a thread while earlier steps run, as training programs do.

The thread is at most `DEPTH` batches ahead of the steps: one that waits and one under way. It runs on the cell's cores
and its time counts like any other of the cell's. Copies that a window takes are made within it, but for the first
`DEPTH`, which are there when it begins; in their place those for the next window are begun before it ends.
"""

import itertools
import queue
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

DEPTH = 2  # batches that are made, or being made, and not yet taken


@contextmanager
def prefetched(put: Callable[[int], Any], first: int, depth: int = DEPTH) -> Generator[Callable[[int], Any]]:
    """A feed whose batches `put` makes ahead, in a thread that ends with the block.

    Batches must be asked for in order, from `first` on. An exception of `put` is raised by the feed that it was for.
    """
    room, ready, ended = threading.Semaphore(depth), queue.SimpleQueue[tuple[int, Any, BaseException | None]](), False

    def work() -> None:
        for number in itertools.count(first):
            room.acquire()
            if ended:
                return
            try:
                ready.put((number, put(number), None))
            except BaseException as error:  # raised where the batch is asked for
                ready.put((number, None, error))
                return

    def feed(number: int) -> Any:
        made, batch, error = ready.get()
        if error is not None:
            ready.put((number + 1, None, error))  # for whoever asks again: no other batch will come
            raise error
        assert made == number, f"batch {number} was asked for, and {made} is next"
        room.release()
        return batch

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        ended = True
        room.release()
        thread.join()
