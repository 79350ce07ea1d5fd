import threading
import time

import pytest

from sesr_jax.upscale.threads import map_beside, read_ahead


def test_results_keep_their_order():
    def wait(n):
        time.sleep(0.002 * (n % 3))
        return n

    assert list(map_beside(wait, range(20))) == list(range(20))


def test_calls_end_with_the_first_that_fails():
    def divide(n):
        return 6 // (3 - n)

    results = map_beside(divide, iter(range(10**9)))
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_few_items_are_read_ahead_and_the_thread_ends_with_the_block():
    read = []

    def items():
        for n in range(1000):
            read.append(n)
            yield n

    before = threading.active_count()
    with read_ahead(items(), 2) as ahead:
        assert [next(ahead) for _ in range(3)] == [0, 1, 2]
        time.sleep(0.05)
        assert len(read) <= 6
    assert threading.active_count() == before


def test_all_items_come_and_then_what_the_iterator_raises():
    def items():
        yield from range(5)
        raise KeyError("five")

    with read_ahead(items(), 2) as ahead, read_ahead((n + 1 for n in ahead), 2) as more:
        assert [next(more) for _ in range(5)] == [1, 2, 3, 4, 5]
        with pytest.raises(KeyError, match="five"):
            next(more)
