"""Saving states and restoring them: Orbax writes them, and every array has a checksum.

Orbax's formats carry checksums of their indices alone, so that a flipped bit in an array would not be
noticed. Therefore the metadata of each step hold the checksum of every array (`files.compute_checksums`) by
its path in the state, under "crc32". They are compared when the step is read. Steps of older versions have
none.
"""

import contextlib
import errno
import functools
import logging
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from sesr_jax.errors import InputError, find_reason
from sesr_jax.files import compute_checksums, find_damaged
from sesr_jax.train import processes

_CHECKSUMS = "crc32"
_UNFINISHED = ".orbax-checkpoint-tmp"
_BYTES_BESIDE = 1500
"""What Orbax writes about an array beside its values."""


def open_manager(
    run: str | os.PathLike[str], keep: int | None = None, *, clean: bool = False
) -> ocp.CheckpointManager:
    """Opens Orbax's manager of the run's steps, for this process alone; the caller must close it.

    Args:
      run: the folder of the run.
      keep: how many steps are kept; None keeps all.
      clean: whether steps that were never finished are removed; nobody else may be saving.
    """
    folder = pathlib.Path(run).absolute() / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    who = ocp.options.MultiprocessingOptions()
    if jax.process_count() > 1:
        me = jax.process_index()
        who = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
        )
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        enable_async_checkpointing=True,
        create=False,  # Orbax cannot make a folder for one process out of several
        cleanup_tmp_directories=clean,
        multiprocessing_options=who,
    )
    return ocp.CheckpointManager(folder, options=options)


class Checkpoints:
    """The checkpoints of a run in training; a context manager.

    The first process reads and writes them, and sends the others what they hold.

    Attributes:
      last: the latest step saved; None before the first.
    """

    def __init__(self, run: str | os.PathLike[str], keep: int) -> None:
        """Opens the checkpoints of `run`, and keeps the last `keep` of them."""
        self._failed = False
        self._manager = open_manager(run, keep, clean=True) if processes.is_first() else None
        self.last: int | None = processes.run_in_first(
            lambda: self._manager.latest_step() if self._manager else None
        )
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Checkpoints":
        self._stack.enter_context(_hush_orbax())
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            if not self._manager:
                return
            reported = self._failed
            try:
                with self._explain_failure():
                    self._manager.close()
            except InputError:
                if not reported:
                    raise
            finally:
                if self._failed:  # the disk may be full
                    for left in pathlib.Path(self._manager.directory).glob(f"*{_UNFINISHED}*"):
                        shutil.rmtree(left, ignore_errors=True)

    def restore(self, shapes: Any) -> Any:
        """Returns the latest state in every process; see the function `restore`."""
        state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)

        def read() -> None:
            nonlocal state
            if self._manager:
                state = restore(self._manager, shapes)

        processes.run_in_first(read)
        return processes.broadcast(state)

    def save(self, step: int, state: Any) -> None:
        """Saves `state`; the file is written while training continues.

        Raises:
          InputError: this one or the one before cannot be written.
        """
        self.last = step
        if self._manager:
            on_host = jax.device_get(state)
            arrays = name_arrays(on_host)
            with self._explain_failure():
                _check_space(pathlib.Path(self._manager.directory), arrays)
                self._manager.save(
                    step,
                    args=ocp.args.StandardSave(on_host if jax.process_count() > 1 else state),
                    custom_metadata={_CHECKSUMS: compute_checksums(arrays)},
                )

    def wait(self) -> None:
        """Waits until all checkpoints are written.

        Raises:
          InputError: one cannot be written.
        """
        if self._manager:
            with self._explain_failure():
                self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _explain_failure(self) -> Iterator[None]:
        """Turns what keeps a checkpoint from being written into one sentence."""
        try:
            yield
        except Exception as error:  # Orbax and tensorstore raise many kinds for one full disk
            assert self._manager
            self._failed = True
            folder = pathlib.Path(self._manager.directory)
            saved = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
            last = f"resumes from {folder / str(max(saved))}" if saved else "starts anew"
            raise InputError(
                f"{folder}: a checkpoint can't be written ({_find_reason(error)}); once that is put right, "
                f"the same command {last}."
            ) from error


def restore(steps: ocp.CheckpointManager, shapes: Any) -> Any:
    """Returns the latest state, which has these shapes, once its checksums are verified.

    Raises:
      InputError: the checkpoint is damaged or belongs to another model; the last one that is whole is named.
    """
    step = steps.latest_step()
    try:
        with _hush_orbax():
            return _read(steps, step, shapes)
    except Exception as error:  # Orbax and tensorstore raise many kinds for one damaged file
        folder = pathlib.Path(steps.directory)
        whole = _find_last_whole(steps, step)
        remedy = "no other one is whole."
        if whole is not None:
            remedy = (
                f"without that folder, the run resumes from {folder / str(whole)}, which is whole."
            )
        raise InputError(
            f"the checkpoint {folder / str(step)} cannot be read ({_find_reason(error)}): it must be whole "
            f"and of this model; {remedy}"
        ) from error


def name_arrays(state: Any) -> dict[str, np.ndarray]:
    """Returns the arrays of a pytree by their paths in it, as in "ema/params/head/term/kernel"."""
    flat = ocp.tree.to_flat_dict(state, sep="/")
    return {name: np.asarray(leaf) for name, leaf in flat.items() if leaf is not None}


def _read(steps: ocp.CheckpointManager, step: int, shapes: Any) -> Any:
    """Returns the state of `step`, with the shapes of the tree `shapes`.

    Raises:
      Exception: it is damaged; there are many kinds.
    """
    _read_arrays(steps, step)
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), shapes)
    state = steps.restore(step, args=ocp.args.StandardRestore(wanted))
    _compare(steps, step, name_arrays(state))
    return state


def _read_arrays(steps: ocp.CheckpointManager, step: int) -> dict[str, np.ndarray]:
    """Reads the arrays of a step by tensorstore alone, so that damage is one error.

    When Orbax cannot read one, the threads that read the others print a traceback each.

    Raises:
      ValueError: an array cannot be read.
    """
    folder = pathlib.Path(steps.directory, str(step), "default")
    store = {"driver": "ocdbt", "base": f"file://{folder}"}
    keys = tensorstore.KvStore.open(store).result().list().result()
    names = [key.removesuffix(b"/.zarray").decode() for key in keys if key.endswith(b"/.zarray")]
    specs = [{"driver": "zarr", "kvstore": {**store, "path": f"{name}/"}} for name in names]
    opened = [tensorstore.open(spec) for spec in specs]
    read = [array.result().read() for array in opened]
    return {name: array.result() for name, array in zip(names, read, strict=True)}


def _compare(steps: ocp.CheckpointManager, step: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that arrays are those of which the checksums of a step were taken, if it has any.

    Raises:
      ValueError: they are not, or the metadata cannot be read.
    """
    about = steps.metadata(step)
    if about.init_timestamp_nsecs is None:  # Orbax passes over metadata that it cannot read
        raise ValueError("its metadata are damaged")
    checksums = (about.custom_metadata or {}).get(_CHECKSUMS)
    if checksums is None:
        return
    # Files have dots where paths have slashes.
    found = {name.replace(".", "/"): array for name, array in arrays.items()}
    expected = {name.replace(".", "/"): checksum for name, checksum in checksums.items()}
    if damaged := find_damaged(found, expected):
        raise ValueError(f"{damaged} is not what its checksum says")


def _find_last_whole(steps: ocp.CheckpointManager, before: int) -> int | None:
    """Returns the last step before `before` that can be read and is what its checksums say."""
    with _hush_orbax():
        for step in sorted((s for s in steps.all_steps() if s < before), reverse=True):
            with contextlib.suppress(Exception):
                _compare(steps, step, _read_arrays(steps, step))
                return step
    return None


def _check_space(folder: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that the disk has room for arrays, before Orbax's threads fill it.

    Raises:
      OSError: it has not.
    """
    if shutil.disk_usage(folder).free < sum(x.nbytes + _BYTES_BESIDE for x in arrays.values()):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _find_reason(error: BaseException) -> str:
    """Returns the operating system's words for an error, or else its first line."""
    chain, text = [error], str(error)
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    for each in chain:
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO):
        if os.strerror(number) in text:
            return os.strerror(number)
    return find_reason(error)


@contextlib.contextmanager
def _hush_orbax() -> Iterator[None]:
    """Drops what Orbax and its tasks log; their errors are raised here as well."""
    _hush_late_errors()
    logger = logging.getLogger("absl")
    own = functools.partial(_is_other)  # of this block alone, which may stand inside another
    logger.addFilter(own)
    try:
        yield
    finally:
        logger.removeFilter(own)


@functools.cache  # once per process
def _hush_late_errors() -> None:
    """Drops, for good, what comes of the writes of a checkpoint of which one has failed already.

    A task that nobody asks speaks once it is collected, and errors that are being handled keep it. A write
    that ends later finds no event loop, which tensorstore reports as an error that cannot be raised.
    """
    logging.getLogger("asyncio").addFilter(_is_other)
    before = sys.unraisablehook

    def report_others(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = report_others


def _is_other(record: logging.LogRecord) -> bool:
    told = f"{record.pathname} {record.getMessage()} {record.exc_text or ''}"
    return "orbax" not in told
