"""Reading what strangers wrote: regular files alone, in time and memory that their size bounds.

    data = read_bytes("m.tflite")
    facts = parse_json(text, "the metadata of m.tflite")
    arrays = read_npz("m.golden.npz")

Everything that a reader of this package finds wrong is an `InputError`. `refuse_damaged` makes one of what
the libraries and the code behind them raise for contents that nobody foresaw.
"""

import contextlib
import io
import json
import math
import os
import pathlib
import stat
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from sesr_jax.errors import InputError, MissingError, find_reason

_DEEPEST = 100
"""How many lists and tables may lie inside each other; a network's structure takes about 30."""

_MOST_DIGITS = 19
"""Of an integer: what 64 bits hold."""

_LARGEST_TOML = 1 << 20
_LARGEST_NPZ = 1 << 30

_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Reads the header of an array in a .npz file, by the version of its format."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(path: str | os.PathLike[str]) -> None:
    """Checks that `path` is a regular file: reading a pipe or a device may never end.

    Raises:
      MissingError: there is no such file.
      InputError: it is a folder, a pipe, a socket or a device, or it cannot be looked at.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingError(f"no such file: {os.fspath(path)}.") from error
    except (OSError, ValueError) as error:  # a ValueError: the name holds a NUL
        raise InputError(f"{os.fspath(path)} cannot be read ({_describe_error(error)}).") from error
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "of another kind")
        raise InputError(f"{os.fspath(path)} is {kind}: it must be a regular file.")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns the content of a regular file.

    Raises:
      InputError: as `check_regular`, or it cannot be read.
    """
    check_regular(path)
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{os.fspath(path)} cannot be read ({_describe_error(error)}).") from error


def read_text(path: str | os.PathLike[str]) -> str:
    """Returns the content of a regular file of UTF-8.

    Raises:
      InputError: as `read_bytes`, or it is no UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{os.fspath(path)} is no text in UTF-8 ({error.reason}).") from error


def parse_json(text: str | bytes, what: str, *, finite: bool = True) -> Any:
    """Returns the value of a JSON text of at most 100 levels, whose integers have at most 64 bits.

    Args:
      text: the JSON text.
      what: what it is, for messages, such as "the metadata of m.tflite".
      finite: whether NaN and infinity, which Python writes and JSON lacks, are refused.

    Raises:
      InputError: it is no such text.
    """
    number = _parse_finite if finite else float
    try:
        value = json.loads(
            text, parse_int=_parse_integer, parse_float=number, parse_constant=number
        )
    except (RecursionError, ValueError) as error:
        raise InputError(
            f"{what} is no JSON that can be read ({_describe_error(error)})."
        ) from error
    _check_depth(value, what)
    return value


def parse_toml(text: str, what: str) -> dict[str, Any]:
    """Returns the tables of a TOML text of at most 1 MiB that is at most 100 levels deep.

    Raises:
      InputError: it is no such text; `what` names it.
    """
    if len(text) > _LARGEST_TOML:
        raise InputError(
            f"{what} has {len(text):,} characters: it must have {_LARGEST_TOML:,} or less."
        )
    try:
        tables = tomllib.loads(text)
    except (RecursionError, ValueError) as error:
        raise InputError(
            f"{what} is no TOML that can be read ({_describe_error(error)})."
        ) from error
    _check_depth(tables, what)
    return tables


def read_npz(
    path: str | os.PathLike[str],
    *,
    read_objects: Callable[[BinaryIO], dict[str, np.ndarray]] | None = None,
) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file, which must hold no more than 1 GiB.

    Args:
      path: the file.
      read_objects: reads the arrays of the pickled object at a file's current position, and runs nothing of
        it. Without it a file with pickled objects is refused.

    Raises:
      InputError: as `check_regular`, or the file is damaged, too large or another than its headers say.
    """
    check_regular(path)
    with (
        refuse_damaged(f"{os.fspath(path)} is no whole .npz file of arrays"),
        zipfile.ZipFile(path) as archive,
    ):
        members = archive.infolist()
        if (total := sum(member.file_size for member in members)) > _LARGEST_NPZ:
            raise InputError(
                f"{os.fspath(path)} unpacks to {total:,} bytes: it must be {_LARGEST_NPZ:,} or less."
            )
        arrays: dict[str, np.ndarray] = {}
        for member in members:
            if not _check_npy(archive, member, path):
                arrays[member.filename.removesuffix(".npy")] = _read_npy(archive, member)
            elif read_objects is not None:
                arrays.update(read_objects(_skip_header(archive, member)))
            else:
                raise InputError(
                    f"{os.fspath(path)} holds pickled objects, which could run any code when they are read: "
                    "it must hold arrays alone."
                )
        return arrays


@contextlib.contextmanager
def refuse_damaged(claim: str) -> Iterator[None]:
    """Turns what the block raises into an InputError that begins with `claim`; an InputError stays as it is.

    It is for reading alone: contents can be wrong in more ways than code can foresee, and the readers'
    exceptions have no common base class. What ends the process is not caught.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{claim} ({_describe_error(error)}).") from error


def _check_npy(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str | os.PathLike[str]
) -> bool:
    """Checks that an array's header describes as many bytes as there are, before memory is taken for them.

    Returns whether the array holds pickled objects, of whose bytes the header tells nothing.
    """
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _READ_HEADER:
            raise InputError(
                f"{os.fspath(path)} has an array of the version {version}: it must be 1 or 2."
            )
        shape, _, dtype = _READ_HEADER[version](file)
        if dtype.hasobject:
            return True
        there = member.file_size - file.tell()
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != there:
            raise InputError(
                f"{os.fspath(path)} says that {member.filename} is {dtype}{list(shape)} and holds {there:,} "
                "bytes of it: the two must be the same."
            )
        return False


def _skip_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """Returns the content of an array, at the position behind its header."""
    file = io.BytesIO(archive.read(member))
    _READ_HEADER[np.lib.format.read_magic(file)](file)
    return file


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _parse_integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _parse_finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"the number {digits[:40]}")
    return number


def _check_depth(value: Any, what: str) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise InputError(f"{what} is nested more than {_DEEPEST} levels deep.")


def _describe_error(error: BaseException) -> str:
    """Returns `find_reason`, behind the error's class where the message alone may say nothing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    reason, kind = find_reason(error), type(error).__name__
    is_clear = isinstance(error, OSError | ValueError | RuntimeError) or reason == kind
    return reason if is_clear else f"{kind}: {reason}"
