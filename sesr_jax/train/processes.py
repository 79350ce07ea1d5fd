"""Several processes that train one network: how they meet, agree and end.

    join("10.0.0.1:1234", count=4, index=0)     # in each process, before anything else of jax
    train(config, "runs/sesr_m5_x2")

All of them run the same program. The first alone reads and writes a run's folder, and the others hear from it
what the folder holds, so that it need not be shared between hosts. With one process every function here is
trivial.
"""

import contextlib
import json
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

from sesr_jax.errors import InputError, Stopped

_LAST_WORDS = (
    "this process ended before its work was done, by itself or because another process of the run did; the "
    "last checkpoint is whole: start all processes again with the same command, and the run goes on from it."
)


def join(
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
    *,
    patience: int = 30,
) -> None:
    """Makes this process one of the `count` that train together; returns when all are there.

    Args:
      coordinator: "HOST:PORT" of the first process, the same in all. It and the next two are found by jax
        itself on TPU pods, under Slurm, Open MPI and Kubernetes.
      count: of processes.
      index: of this one, from 0.
      patience: the seconds after which a silent process is taken for dead, and the others end.

    Raises:
      InputError: jax cannot find what is not given, or the processes do not meet.
    """
    # SIGTERM is heard by `listen_for_sigterm`, whose agreement needs no step to be waited for.
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
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the processes of this run do not meet ({reason}): each needs the same --coordinator HOST:PORT "
            "and --processes, and its own --process, where jax does not know the cluster; give them."
        ) from error
    # Gloo's processes must connect within 30 s of one another, which they are nearest to now.
    multihost_utils.sync_global_devices("joined")


def is_first() -> bool:
    """Returns whether this process is the one that writes."""
    return jax.process_index() == 0


def run_in_first(function: Callable[[], Any]) -> Any:
    """Calls `function` in the first process alone, and returns its value (as JSON holds it) in every one.

    Raises:
      InputError: `function` raised it; then in every process.
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
    value, refusal = json.loads(_from_first(text if is_first() else np.zeros(size, np.uint8)))
    if refusal is not None:
        raise InputError(refusal)
    return value


def broadcast(tree: Any) -> Any:
    """Returns the arrays of the first process in every process, bit for bit; shapes are the same in all."""
    if jax.process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(jax.device_get(tree))
    data = _from_first(np.frombuffer(b"".join(np.asarray(x).tobytes() for x in leaves), np.uint8))
    given, start = [], 0
    for leaf in map(np.asarray, leaves):
        part = data[start : (start := start + leaf.nbytes)]
        given.append(jnp.asarray(np.frombuffer(part, leaf.dtype).reshape(leaf.shape)))
    return jax.tree.unflatten(structure, given)


def _from_first(data: np.ndarray) -> bytes:
    # The broadcast is a sum over the processes, of a wider type.
    return np.asarray(multihost_utils.broadcast_one_to_all(data)).astype(np.uint8).tobytes()


@contextlib.contextmanager
def listen_for_sigterm() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether SIGTERM has come to any process.

    All processes call it equally often and hear the same, one call later than alone: the devices carry
    it, and the host waits for no step that is still being computed.
    """
    came: list[int] = []
    on_device: list[jax.Array] = []

    total = jax.pmap(lambda x: lax.psum(x, "all"), axis_name="all")

    def has_come() -> bool:
        if jax.process_count() == 1:
            return bool(came)
        on_device.append(total(np.full(jax.local_device_count(), len(came), np.int32)))
        return len(on_device) > 1 and bool(np.asarray(on_device.pop(0))[0])

    if (
        threading.current_thread() is not threading.main_thread()
    ):  # Python hears signals there alone
        yield has_come
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield has_come
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def last_words(prefix: str) -> Iterator[None]:
    """Prints a sentence if this process dies within the block, however it does.

    When one of several processes dies, jax aborts the others from a thread that runs no Python. So a shell
    waits for the end of a pipe from this process, and speaks unless it is told that all is well.
    """
    script = 'read -r farewell || echo "$0" >&2'
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", script, f"{prefix}: {_LAST_WORDS}"],
        stdin=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is not for it
    )
    assert watcher.stdin is not None
    farewell = b""
    try:
        yield
        farewell = b"\n"
    except (InputError, Stopped, KeyboardInterrupt):
        farewell = b"\n"  # they say enough
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            watcher.communicate(farewell)
