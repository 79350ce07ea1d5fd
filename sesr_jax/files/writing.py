"""Writing files whole or not at all."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

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
        raise refuse(path, error) from error
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
        raise refuse(path, "it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise refuse(path, error) from error


def refuse(path: str | os.PathLike[str], reason: OSError | str) -> InputError:
    """Returns the error that says why `path` cannot be written."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    return InputError(f"{path} can't be written ({reason}); choose another place.")
