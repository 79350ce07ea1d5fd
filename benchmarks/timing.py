"""Measures time on a machine that does other work too: contestants take turns.

medians = measure_in_turns({"a": step_a, "b": step_b}, repetitions=9)
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

_TURN = 0.1
"""The seconds of a turn."""


def measure_in_turns(
    functions: Mapping[str, Callable[[], Any]], repetitions: int
) -> dict[str, float]:
    """Returns the median seconds of each function, after a run that compiles; they take turns.

    A turn lasts `_TURN` seconds or one run: a single run of a millisecond is at the mercy of the machine.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(repetitions):
        for name, function in functions.items():
            seconds[name] += run_turn(lambda function=function: jax.block_until_ready(function()))
    return {name: statistics.median(times) for name, times in seconds.items()}


def run_turn(function: Callable[[], Any]) -> list[float]:
    """Runs the function for `_TURN` seconds, and returns the seconds of each run."""
    seconds = []
    first = start = time.perf_counter()
    while start < first + _TURN:
        function()
        end = time.perf_counter()
        seconds.append(end - start)
        start = end
    return seconds
