"""Writing files whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

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
