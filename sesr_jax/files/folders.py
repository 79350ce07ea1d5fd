"""Folders: making them, and locking them against other processes."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from sesr_jax.errors import InputError
from sesr_jax.files.writing import make_refusal


def make_folder(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Makes `folder`, and those that it lies in, if they are missing, and returns it.

    Raises:
      InputError: the file system refuses.
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise make_refusal(folder, error) from error
    return pathlib.Path(folder)


@contextlib.contextmanager
def lock_folder(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keeps all other processes from locking `folder` until the block or this process ends.

    A missing folder is made.

    Raises:
      InputError: another process holds the lock, or the folder cannot be made.
    """
    import fcntl

    handle = os.open(make_folder(folder), os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another process works in {folder}: only one may; wait for it, or choose another folder."
            ) from error
        except OSError:
            pass  # The file system knows no locks.
        yield
    finally:
        os.close(handle)
