"""Working in several threads: calls beside each other, and an iterator that is read ahead.

Both keep the order, hold few results, and raise in the caller's thread what a call or the iterator raises.
NumPy, LiteRT and FFmpeg compute without Python's lock, so that threads are enough.
"""

import collections
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_THREADS = 8  # each holds a tile


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_beside(
    function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Generator[_Result, None, None]:
    """Yields ``function(item)`` for each item in order, computed by a thread on each core, up to eight.

    As many results wait as there are threads. Whoever stops early waits for the calls that have begun.
    """
    threads = min(count_cores(), _MOST_THREADS)
    waiting: collections.deque[Future[_Result]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextlib.contextmanager
def read_ahead(items: Iterable[_Item], most: int) -> Iterator[Iterator[_Item]]:
    """Gives the block an iterator of `items`, which a thread of its own reads ahead, up to `most` of them.

    At the end of the block the thread has ended, at the latest after the item that it is reading.
    """
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(most)
    is_left = threading.Event()

    def put(is_item: bool, value: Any) -> None:
        while not is_left.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((is_item, value), timeout=0.1)
                return

    def read() -> None:
        try:
            for item in items:
                put(True, item)
                if is_left.is_set():
                    return
        except BaseException as error:  # raised again where the items are taken
            put(False, error)
        else:
            put(False, None)

    def take() -> Iterator[_Item]:
        while True:
            is_item, value = ready.get()
            if is_item:
                yield value
            elif value is None:
                return
            else:
                raise value

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        is_left.set()
        thread.join()
