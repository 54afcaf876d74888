"""Prefetching: in order, bounded, with errors where they belong, and an end."""

import threading
import time

import pytest

from bench import feed


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.001)


def prefetching() -> bool:
    return any(thread.name == "prefetch" for thread in threading.enumerate())


def test_batches_come_in_order_from_another_thread() -> None:
    threads: set[int] = set()

    def put(number: int) -> int:
        threads.add(threading.get_ident())
        return 10 * number

    with feed.prefetched(put, first=7) as take:
        assert [take(number) for number in range(7, 12)] == [70, 80, 90, 100, 110]
    assert threads and threading.get_ident() not in threads
    assert not prefetching()


def test_never_more_than_two_ahead() -> None:
    made: list[int] = []
    with feed.prefetched(made.append, first=0) as take:
        for taken in range(5):
            wait_for(lambda taken=taken: len(made) == taken + feed.DEPTH)
            time.sleep(0.02)
            assert len(made) == taken + feed.DEPTH
            take(taken)


def test_steps_do_not_wait_for_copies_that_are_shorter() -> None:
    """While a step runs its successor's batch is made: the step finds it there."""
    made: list[int] = []
    with feed.prefetched(made.append, first=0) as take:
        for number in range(3):
            wait_for(lambda number=number: len(made) > number)  # the step
            take(number)


def test_an_error_is_raised_by_the_batch_that_it_is_of_and_after() -> None:
    def put(number: int) -> int:
        if number == 2:
            raise ValueError("no such batch")
        return number

    with feed.prefetched(put, first=0) as take:
        assert (take(0), take(1)) == (0, 1)
        for number in (2, 3):
            with pytest.raises(ValueError, match="no such batch"):
                take(number)
    assert not prefetching()


def test_the_thread_ends_when_the_steps_fail() -> None:
    with pytest.raises(ZeroDivisionError), feed.prefetched(lambda number: number, first=0):
        raise ZeroDivisionError
    assert not prefetching()


def test_out_of_order_is_a_mistake() -> None:
    with feed.prefetched(lambda number: number, first=0) as take, pytest.raises(AssertionError, match="batch 5"):
        take(5)
