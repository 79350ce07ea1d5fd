"""Timing on a machine that does other work too: contestants take turns.

medians = interleaved({"a": step_a, "b": step_b}, repetitions=9)
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

_TURN = 0.1
"""Seconds."""


def interleaved(functions: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, float]:
    """Median seconds of each function, after a run that compiles; they take turns.

    A turn lasts `_TURN` seconds or one run: a single run of a millisecond is at the mercy of the machine.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(repetitions):
        for name, function in functions.items():
            seconds[name] += turn(lambda function=function: jax.block_until_ready(function()))
    return {name: statistics.median(times) for name, times in seconds.items()}


def turn(function: Callable[[], Any]) -> list[float]:
    """Seconds of each run of a turn."""
    seconds = []
    begun = start = time.perf_counter()
    while start < begun + _TURN:
        function()
        end = time.perf_counter()
        seconds.append(end - start)
        start = end
    return seconds
