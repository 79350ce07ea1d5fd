"""Writing files whole or not at all.

    write_file("scores.csv", text)                      # what is in memory
    with replace_file("large.mkv") as temporary: ...    # what another library writes by name

A file is written under a temporary name beside its place, synchronised with the disk, and renamed. Until
then what stood there stays, whatever happens: a full disk, a signal, a loss of power. A link stays a link,
and its target is replaced. Devices and pipes are written into.
"""

import contextlib
import dataclasses
import errno
import functools
import os
import pathlib
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator

from sesr_jax.errors import InputError

_MOST_LINKS = 40  # as Linux has it
_LONGEST_SUFFIX = 8
_TEMPORARY = re.compile(r"\.sesr-[0-9a-f]{16}(\.[^.]{1,7})?")
_STREAMS = (stat.S_ISCHR, stat.S_ISFIFO)
_REFUSED = {
    stat.S_ISDIR: "it is a folder",
    stat.S_ISBLK: "it is a block device",
    stat.S_ISSOCK: "it is a socket",
}
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@dataclasses.dataclass(frozen=True)
class _Stream:
    """Where output goes that does not replace a file: a device, a pipe, or an open file, by its number."""

    where: pathlib.Path | int


def write_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes `content` to `path`, whole or not at all; text is written as UTF-8. Missing folders are made.

    Raises:
      InputError: the file system refuses, for example because the disk is full; what stood there is kept.
      BrokenPipeError: the reader of a pipe has ended.
    """
    data = content.encode() if isinstance(content, str) else content
    with _explain(path):
        place = _find_place(path)
        if isinstance(place, _Stream):
            _write_stream(place, data)
            return
        with _create_temporary(place.parent, place) as (handle, temporary):
            _write_all(handle, data)
            if (size := os.fstat(handle).st_size) != len(data):
                raise OSError(errno.EIO, f"{size} of {len(data)} bytes were written")
            _synchronise(handle)
            _take_place(temporary, place)


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Gives the block a temporary path beside `path`; at its end the file written there becomes `path`.

    It is for writers that need a name; `write_file` writes what is in memory. If the block raises, the
    temporary file is removed and what stood at `path` stays. The temporary path has the suffix of `path`,
    for writers that choose the format by it. Missing folders are made.

    Raises:
      InputError: the file system refuses, or the block wrote nothing.
      BrokenPipeError: the reader of a pipe has ended.
    """
    with replace_files(path) as (temporary,):
        yield temporary


@contextlib.contextmanager
def replace_files(*paths: str | os.PathLike[str]) -> Iterator[tuple[pathlib.Path, ...]]:
    """Gives the block a temporary path for each of `paths`; at its end all of them take their places.

    See `replace_file`. None takes its place before all are written and synchronised with the disk.
    """
    with contextlib.ExitStack() as stack, _explain(*paths):
        places = [_find_place(path) for path in paths]
        opened = []
        for path, place in zip(paths, places, strict=True):
            # What goes into a pipe is completed elsewhere.
            folder = tempfile.gettempdir() if isinstance(place, _Stream) else place.parent
            created = _create_temporary(pathlib.Path(folder), pathlib.Path(path))
            opened.append(stack.enter_context(created))
        yield tuple(temporary for _, temporary in opened)
        for handle, temporary in opened:
            if not temporary.stat().st_size:
                raise OSError(errno.EIO, "nothing was written")
            _synchronise(handle)
        for (_, temporary), place in zip(opened, places, strict=True):
            if isinstance(place, _Stream):
                _write_stream(place, temporary.read_bytes())
            else:
                _take_place(temporary, place)


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
    with _explain(path):
        place = _find_place(path)
        if not isinstance(place, _Stream):
            with _create_temporary(place.parent, place):
                pass


def make_refusal(path: str | os.PathLike[str], reason: OSError | str) -> InputError:
    """Returns the error that says why `path` cannot be written."""
    remedy = "choose another place."
    if isinstance(reason, OSError):
        if reason.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "make space, or choose another place."
        reason = reason.strerror or str(reason)
    return InputError(f"{os.fspath(path)} can't be written ({reason}); {remedy}")


@contextlib.contextmanager
def _explain(*paths: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what the file system refuses in the block into an `InputError` that names the first path."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise make_refusal(paths[0], error) from error


def _find_place(path: str | os.PathLike[str]) -> pathlib.Path | _Stream:
    """Follows the links at `path`, and checks that output can go where they lead.

    Raises:
      OSError: it leads to what cannot be written.
    """
    place = pathlib.Path(path)
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(place.parent)
        if folder == os.path.realpath("/dev/fd") and place.name.isdecimal():
            os.fstat(int(place.name))
            return _Stream(int(place.name))
        place = pathlib.Path(folder, place.name)
        if not place.is_symlink():
            break
        place = pathlib.Path(folder, os.readlink(place))
    else:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return place
    for is_such, what in _REFUSED.items():
        if is_such(mode):
            raise OSError(errno.EINVAL, what)
    if not os.access(place, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return _Stream(place) if any(is_such(mode) for is_such in _STREAMS) else place


def _write_stream(stream: _Stream, data: bytes) -> None:
    if isinstance(stream.where, int):
        for printed in (sys.stdout, sys.stderr):  # what was printed comes first
            printed.flush()
        _write_all(stream.where, data)
        return
    handle = os.open(stream.where, os.O_WRONLY | os.O_NOCTTY)
    try:
        _write_all(handle, data)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


@contextlib.contextmanager
def _create_temporary(
    folder: pathlib.Path, like: pathlib.Path
) -> Iterator[tuple[int, pathlib.Path]]:
    """Gives a new, open and locked file in `folder`, which is made, and removes it unless it was renamed.

    It has the suffix of `like`, and its permissions where it exists. Its name cannot be foreseen, so that
    nobody else who may write to the folder can put a link there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    suffix = like.suffix if len(os.fsencode(like.suffix)) <= _LONGEST_SUFFIX else ""
    while True:
        temporary = folder / f".sesr-{secrets.token_hex(8)}{suffix}"
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        try:
            _lock(handle)
            if not os.fstat(handle).st_nlink:
                continue  # another process took it for a leftover before it was locked
            with contextlib.suppress(OSError):
                old = like.stat()
                if stat.S_ISREG(old.st_mode):
                    os.fchmod(handle, stat.S_IMODE(old.st_mode))
                    os.fchown(handle, old.st_uid, old.st_gid)
            yield handle, temporary
            return
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            os.close(handle)


@functools.cache  # once per process, since a folder may have many files
def _remove_leftovers(folder: pathlib.Path) -> None:
    """Removes the temporary files in `folder` whose writers are dead: nobody holds their locks."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                    try:
                        if _lock(handle, wait=False):
                            os.unlink(entry.path)
                    finally:
                        os.close(handle)


def _lock(handle: int, *, wait: bool = True) -> bool:
    """Locks an open file until it is closed; returns whether it did, which some file systems cannot."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return True
    return False


def _synchronise(handle: int) -> None:
    """Waits until an open file or folder is on the disk."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _take_place(temporary: pathlib.Path, place: pathlib.Path) -> None:
    os.replace(temporary, place)
    folder = os.open(temporary.parent, os.O_RDONLY)
    try:
        _synchronise(folder)
    finally:
        os.close(folder)
