"""Files are written whole or not at all, and read likewise."""

import contextlib
import os
import pathlib
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path} can't be written ({error.strerror or error}); choose another place."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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
