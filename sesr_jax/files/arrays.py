"""Files of arrays, which carry checksums: they are read whole or not at all.

    write_safetensors("m5.safetensors", arrays, {"model": "sesr_m5"})
    arrays, metadata = read_safetensors("m5.safetensors")

A checksum is the CRC-32 of an array's bytes in C order, as eight hexadecimal digits. In the metadata of a
.safetensors file, "crc32" holds JSON with one for each array, and "metadata_crc32" that of all other entries
(as JSON with sorted keys). .npz files have the checksums of the zip format.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from sesr_jax.errors import InputError
from sesr_jax.files.writing import write_file
from sesr_jax.untrusted import check_regular

_ARRAYS = "crc32"
_METADATA = "metadata_crc32"


def compute_checksums(arrays: Mapping[str, Any]) -> dict[str, str]:
    """Returns the CRC-32 of each array's bytes in C order, in hexadecimal digits."""
    return {
        name: _compute_crc32(np.ascontiguousarray(array).tobytes())
        for name, array in arrays.items()
    }


def find_damaged(arrays: Mapping[str, Any], checksums: Mapping[str, str]) -> str | None:
    """Returns the name of an array that is not the one of which a checksum was taken; None if all are.

    An array without a checksum counts, and so does a checksum without an array.
    """
    found = compute_checksums(arrays)
    names = sorted(found.keys() | checksums.keys())
    return next((name for name in names if found.get(name) != checksums.get(name)), None)


def find_not_finite(arrays: Mapping[str, Any]) -> str | None:
    """Returns the name of an array with a value that is not finite; None if all are finite."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def write_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes arrays and metadata to a .safetensors file, whole or not at all, with checksums.

    Equal content makes equal files.

    Raises:
      InputError: the file cannot be written.
    """
    facts = {**metadata, _ARRAYS: json.dumps(compute_checksums(arrays), sort_keys=True)}
    facts[_METADATA] = _compute_metadata_crc32(facts)
    write_file(path, _sort_metadata(safetensors.numpy.save(dict(arrays), facts)))


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays of a file by name, and its metadata; checksums are verified where it has them.

    Raises:
      InputError: the file is damaged, or of another format.
    """
    with _open(path) as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    expected = _compute_metadata_crc32(metadata)
    if metadata.get(_METADATA, expected) != expected:
        raise InputError(
            f"{path} is damaged: its metadata are not those of its checksum; fetch it again."
        )
    if _ARRAYS in metadata:
        try:
            damaged = find_damaged(arrays, json.loads(metadata[_ARRAYS]))
        except (AttributeError, TypeError, ValueError):  # of a damaged list
            damaged = _ARRAYS
        if damaged is not None:
            raise InputError(
                f"{path} is damaged: {damaged} is not what its checksum says; fetch it again."
            )
    return arrays, metadata


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the metadata of a .safetensors file, without its arrays or a look at checksums.

    Raises:
      InputError: the file is damaged, or of another format.
    """
    with _open(path) as file:
        return dict(file.metadata() or {})


@contextlib.contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Opens a .safetensors file; what it raises while it is read becomes an InputError."""
    check_regular(path)
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    # A TypeError: NumPy has no such numbers, such as bfloat16.
    except (OSError, SafetensorError, TypeError) as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}); fetch it again."
        ) from error


def _compute_crc32(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _compute_metadata_crc32(metadata: Mapping[str, str]) -> str:
    others = {key: value for key, value in metadata.items() if key != _METADATA}
    return _compute_crc32(json.dumps(others, sort_keys=True).encode())


def _sort_metadata(data: bytes) -> bytes:
    """Sorts the metadata of a safetensors file, so that equal content has equal files.

    The library's order of metadata changes from one call to the next.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return data[:8] + text.ljust(end - 8) + data[end:]
