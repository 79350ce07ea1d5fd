"""Training in several processes: how they connect, agree and end.

    join("10.0.0.1:1234", count=4, index=0)     # in each process, before anything else of jax
    train(config, "runs/sesr_m5_x2")

All of them run the same program. Only the first one reads and writes a run's folder, and it sends the others
what they need from there, so that hosts need not share the folder. With one process every function here is
trivial.
"""

import contextlib
import json
import logging
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import multihost_utils

from sesr_jax.errors import InputError, Stopped, find_reason

_log = logging.getLogger(__name__)

_LAST_WORDS = (
    "this process ended before its work was done, by itself or because another process of the run did. The "
    "last checkpoint is whole: the same command, started again in all processes, resumes the run from it."
)


def join(
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
    *,
    patience: int = 30,
) -> None:
    """Connects this process to the `count` processes that train together, and waits for all of them.

    On TPU pods, and under Slurm, Open MPI and Kubernetes, jax finds the first three arguments itself.

    Args:
      coordinator: "HOST:PORT" of the first process, the same in all processes.
      count: the number of processes.
      index: the index of this process, from 0.
      patience: the seconds after which a silent process is considered dead, and the others end.

    Raises:
      InputError: jax cannot find an argument that is not given, or the processes do not connect.
    """
    # `listen_for_signals` handles SIGTERM in the place of jax's service, and waits for no step.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            count,
            index,
            heartbeat_timeout_seconds=patience,
            shutdown_timeout_seconds=patience,
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"the processes of this run do not connect ({find_reason(error)}): where jax does not know the "
            "cluster, all must have the same --coordinator HOST:PORT and --processes, and each its own "
            "--process."
        ) from error
    # Gloo's processes must connect within 30 s of one another, so they do it now, while they are in step.
    multihost_utils.sync_global_devices("joined")


def is_first() -> bool:
    """Returns whether this process is the first one, which alone writes."""
    return jax.process_index() == 0


def run_in_first(function: Callable[[], Any]) -> Any:
    """Calls `function` in the first process alone, and returns its value in every process, by way of JSON.

    Raises:
      InputError: `function` raised it; it is raised in every process.
    """
    if jax.process_count() == 1:
        return function()
    value = refusal = None
    if is_first():
        try:
            value = function()
        except InputError as error:
            refusal = str(error)
    text = np.frombuffer(json.dumps([value, refusal]).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(text.size)))
    value, refusal = json.loads(_broadcast_bytes(text if is_first() else np.zeros(size, np.uint8)))
    if refusal is not None:
        raise InputError(refusal)
    return value


def broadcast(tree: Any) -> Any:
    """Returns the arrays of the first process in every process, bit for bit; shapes must agree in all."""
    if jax.process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(jax.device_get(tree))
    data = _broadcast_bytes(
        np.frombuffer(b"".join(np.asarray(x).tobytes() for x in leaves), np.uint8)
    )
    received, start = [], 0
    for leaf in map(np.asarray, leaves):
        part = data[start : (start := start + leaf.nbytes)]
        received.append(jnp.asarray(np.frombuffer(part, leaf.dtype).reshape(leaf.shape)))
    return jax.tree.unflatten(structure, received)


def _broadcast_bytes(data: np.ndarray) -> bytes:
    # The broadcast is a sum over the processes, of a wider type.
    return np.asarray(multihost_utils.broadcast_one_to_all(data)).astype(np.uint8).tobytes()


@contextlib.contextmanager
def listen_for_signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """Yields a function that returns the signal by which any process is asked to end, or None.

    The signals are SIGTERM and SIGINT, which Ctrl-C sends; a second SIGINT raises KeyboardInterrupt. All
    processes must call the function equally often, and all get the same answer. With several processes the
    answer is that of the call before: the devices exchange it, so that the host waits for no running step.
    """
    came = [0]
    on_device: list[jax.Array] = []

    largest = jax.pmap(lambda x: lax.pmax(x, "all"), axis_name="all")

    def find() -> signal.Signals | None:
        number = came[-1]
        if jax.process_count() > 1:
            on_device.append(largest(np.full(jax.local_device_count(), number, np.int32)))
            number = int(np.asarray(on_device.pop(0))[0]) if len(on_device) > 1 else 0
        return signal.Signals(number) if number else None

    def note(number: int, _: object) -> None:
        came.append(number)
        if number == signal.SIGINT:
            signal.signal(number, before[signal.SIGINT])
            _log.warning(
                "ends after this call of steps; Ctrl-C again ends at once and saves nothing."
            )

    # Python handles signals in the main thread alone.
    if threading.current_thread() is not threading.main_thread():
        yield find
        return
    before = {
        number: signal.signal(number, note)
        for number in (signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) is not signal.SIG_IGN  # as in the background of a shell
    }
    try:
        yield find
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def announce_death(prefix: str) -> Iterator[None]:
    """Prints a sentence if this process dies within the block, whatever kills it.

    When one of several processes dies, jax aborts the others from a thread that runs no Python. Therefore a
    shell waits for the end of a pipe from this process, and prints the sentence unless the pipe says that the
    block has ended properly.
    """
    script = 'read -r farewell || echo "$0" >&2'
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", script, f"{prefix}: {_LAST_WORDS}"],
        stdin=subprocess.PIPE,
        start_new_session=True,  # so that Ctrl-C does not end it
    )
    assert watcher.stdin is not None
    farewell = b""
    try:
        yield
        farewell = b"\n"
    except (InputError, Stopped, KeyboardInterrupt):
        farewell = b"\n"  # their messages say enough
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            watcher.communicate(farewell)
