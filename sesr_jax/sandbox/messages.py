"""What a process and its sandbox send each other: JSON, and behind it the arrays in it, byte for byte."""

import json
import struct
from typing import IO, Any

import numpy as np

_LENGTH = struct.Struct("<Q")


def send(file: IO[bytes], message: Any) -> None:
    """Writes a message: JSON's values, with bytes and arrays of numbers among them."""
    blobs: list[bytes | memoryview] = []

    def replace(value: Any) -> Any:
        if isinstance(value, bytes):
            blobs.append(value)
            return {"bytes": len(value)}
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value)
            blobs.append(array.reshape(-1).view(np.uint8).data)
            return {"dtype": array.dtype.str, "shape": value.shape, "bytes": array.nbytes}
        raise TypeError(f"{type(value).__name__} cannot be sent")

    text = json.dumps(message, default=replace).encode()
    file.write(_LENGTH.pack(len(text)))
    file.write(text)
    for blob in blobs:
        file.write(blob)
    file.flush()


def receive(file: IO[bytes]) -> Any:
    """Reads a message.

    Raises:
      EOFError: the other side has ended.
    """
    (length,) = _LENGTH.unpack(_read(file, _LENGTH.size))
    blobs: list[dict[str, Any]] = []

    def note(value: dict[str, Any]) -> dict[str, Any]:
        if "bytes" in value:
            blobs.append(value)
        return value

    message = json.loads(_read(file, length), object_hook=note)
    for blob in blobs:
        data = _read(file, blob.pop("bytes"))
        blob["value"] = (
            np.frombuffer(data, blob["dtype"]).reshape(blob["shape"]) if "dtype" in blob else data
        )
    return _with_blobs(message)


def _with_blobs(value: Any) -> Any:
    if isinstance(value, dict):
        return value["value"] if "value" in value else {k: _with_blobs(v) for k, v in value.items()}
    return [_with_blobs(one) for one in value] if isinstance(value, list) else value


def _read(file: IO[bytes], count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view.nbytes:
        read = file.readinto(view)  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        view = view[read:]
    return data
