"""Runs contestants in turns, each in a process of its own, whose peak memory is read.

found = race({"a": make_a, "b": make_b}, args)
found["a"]["seconds"]["step"], found["a"]["peak_bytes"]
"""

import argparse
import contextlib
import multiprocessing
import pathlib
import resource
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

# A contestant's process imports this module: jax, PyTorch and TensorFlow are for those that need them.

Functions = dict[str, Callable[[], Any]]
"""What a contestant does, by name."""


def race(
    contestants: dict[str, Callable[[argparse.Namespace], Functions]], args: argparse.Namespace
) -> dict[str, Any]:
    """Returns by contestant and function the seconds of every run, and by contestant its peak memory."""
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        lines = {
            name: stack.enter_context(_process(make, args)) for name, make in contestants.items()
        }
        functions = {name: _receive(line) for name, line in lines.items()}
        for name, names in functions.items():
            found[name] = {"seconds": {function: [] for function in names}}
        for _ in range(args.repetitions):
            for name, line in lines.items():
                for function in functions[name]:
                    line.send(function)
                    found[name]["seconds"][function] += _receive(line)
        for name, line in lines.items():
            line.send(None)
            found[name]["peak_bytes"] = _receive(line)
    return found


@contextlib.contextmanager
def _process(
    make: Callable[[argparse.Namespace], Functions], args: argparse.Namespace
) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # A DataLoader has children of its own, which a daemon may not have.
    process = context.Process(target=_serve, args=(there, make, args))
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join()


def _receive(line: Connection) -> Any:
    found = line.recv()
    if isinstance(found, Exception):
        raise found
    return found


def _serve(
    line: Connection, make: Callable[[argparse.Namespace], Functions], args: argparse.Namespace
) -> None:
    """Makes a contestant's functions, runs each once, and from then on takes a turn at every request."""
    try:
        functions = make(args)
        from benchmarks.timing import run_turn  # it brings jax, which is no contestant's memory

        before = _peak()
        for function in functions.values():
            function()
            function()
        line.send(list(functions))
    except Exception as error:
        line.send(RuntimeError(f"{type(error).__name__}: {error}"))
        raise
    with contextlib.suppress(EOFError, OSError):  # the parent has given up
        while (name := line.recv()) is not None:
            functions[
                name
            ]()  # wakes its threads and fills its caches, as the step before does in a run
            line.send(run_turn(functions[name]))
        line.send(_peak() - before)


def _peak() -> int:
    """Returns the most bytes that this process has had in memory."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # What Linux counts as the usage's peak began in the parent.
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
