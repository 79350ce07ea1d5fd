"""Writing files whole or not at all, and reading them likewise."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
from safetensors import SafetensorError, safe_open

from sesr_jax.errors import InputError


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives the block a temporary path beside `path`; at its end the file written there becomes `path`.

    If the block raises, the temporary file is removed and what stood at `path` stays. The temporary path has
    the suffix of `path`, for writers that choose the format by it. Missing folders are made.

    Raises:
      InputError: the file system refuses.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    check_writable(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _refuse(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_distinct(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Checks that `target` is not the file `source`, perhaps by another name.

    Raises:
      InputError: both are one file, which writing `target` would destroy.
    """
    with contextlib.suppress(OSError):
        if os.path.samefile(source, target):
            raise InputError(
                f"{target} is {source} itself, which would be lost; name another file."
            )


def check_writable(path: str | os.PathLike[str]) -> None:
    """Checks, before long work, that a file can be written at `path`, and makes missing folders.

    Raises:
      InputError: it cannot be written.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise _refuse(path, "it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _refuse(path, error) from error


def make_folder(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Makes `folder`, and those that it lies in, if they are missing, and returns it.

    Raises:
      InputError: the file system refuses.
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refuse(folder, error) from error
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


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays of a file by name, and its metadata.

    Raises:
      InputError: the file is damaged, or of another format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except SafetensorError as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}); fetch it again."
        ) from error


def _refuse(path: str | os.PathLike[str], reason: OSError | str) -> InputError:
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    return InputError(f"{path} can't be written ({reason}); choose another place.")
