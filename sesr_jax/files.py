"""Files are written whole or not at all, and read likewise."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
from safetensors import SafetensorError, safe_open

from sesr_jax.errors import InputError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives a temporary path beside `path` to write to; on success it takes the name of `path`.

    If the block raises, the temporary file goes and what stood at `path` stays. The suffix is kept,
    for writers that read the format off it. Missing folders are made.

    Raises:
      InputError: the file system refuses.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    writable(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path} can't be written ({error.strerror or error}); choose another place."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def distinct(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Refuses to write `target` where that is the file `source`, perhaps by another name.

    Raises:
      InputError: it is.
    """
    with contextlib.suppress(OSError):
        if os.path.samefile(source, target):
            raise InputError(
                f"{target} is {source} itself, which would be lost; name another file."
            )


def writable(path: str | os.PathLike[str]) -> None:
    """Asks, before long work, whether a file can be written at `path`; missing folders are made.

    Raises:
      InputError: it cannot.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise InputError(f"{path} can't be written (it is a folder); choose another place.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{path} can't be written ({error.strerror or error}); choose another place."
        ) from error


def made(folder: str | os.PathLike[str]) -> pathlib.Path:
    """The folder, which is made if it is missing.

    Raises:
      InputError: the file system refuses.
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} can't be written ({error.strerror or error}); choose another place."
        ) from error
    return pathlib.Path(folder)


@contextlib.contextmanager
def alone(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Keeps others from entering such a block with `folder`, which is made, until it or its process ends.

    Raises:
      InputError: another process is at it, or the folder cannot be made.
    """
    import fcntl

    handle = os.open(made(folder), os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another process works in {folder}: only one may; wait for it, or choose another folder."
            ) from error
        except OSError:
            pass  # a file system that knows no locks
        yield
    finally:
        os.close(handle)


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file by name, and its metadata.

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
