"""Reads the tensors of PyTorch's files, without PyTorch and without running anything that a file names.

A file of `torch.save` is a pickle and the bytes of the tensors beside it. The pickle is followed, not run
(`importers.pickles`): PyTorch's tensors are recognised by their names, and an inert `Unknown` stands in the
place of every other object, so that the epoch, the optimiser or the options beside the weights do no harm.

    content = read_torch("RFDN_AIM.pth")        # {"fea_conv.weight": Tensor(…), …}
    content["fea_conv.weight"].read()           # an array

Two formats exist: a zip archive (since PyTorch 1.6), and before that five pickles in a row with the tensors'
bytes behind them ("legacy"). PyTorch documents neither; its `torch/serialization.py` is their description.
"""

import dataclasses
import io
import math
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, Literal

import numpy as np

from sesr_jax.importers.pickles import Unknown, follow

ZIP_MAGIC = b"PK\x03\x04"
"""The first bytes of a zip archive, as PyTorch has written it since its version 1.6."""

_MAGIC = 0x1950A86A20F9469CFC6C
"""The number in the first pickle of a legacy file."""

_DTYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
"""NumPy's types of the elements, by PyTorch's names; a bfloat16 is the upper half of a float32."""

_REBUILDERS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_DICTS = ("collections.OrderedDict", "collections.defaultdict")


class TorchFileError(ValueError):
    """A file is no whole file of `torch.save`; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Storage:
    """The bytes that tensors share: their key in the file, PyTorch's name of their type, and their number."""

    key: str
    kind: str
    elements: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """A tensor of the file, whose values are read on demand.

    Attributes:
      shape: its sides.
      read: returns its values, float32 where they are bfloat16 and of the file's own type elsewhere.
    """

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def read_torch(path: str | os.PathLike[str]) -> Any:
    """Returns what `torch.save` wrote, with a `Tensor` for each tensor.

    Raises:
      TorchFileError: the file is damaged or of another kind.
      PickleError: so is its pickle.
    """
    with pathlib.Path(path).open("rb") as file:
        is_zip = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
        file.seek(0)
        return _read_zip(file) if is_zip else _read_legacy(file)


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        programs = [name for name in members if name.endswith("/data.pkl")]
        if len(programs) != 1:
            raise TorchFileError(f"an archive with {len(programs)} entries data.pkl, not 1")
        folder = programs[0].removesuffix("data.pkl")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise TorchFileError("an archive with compressed entries, which PyTorch does not write")
        order: Literal["<", ">"] = "<"
        if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") == b"big":
            order = ">"
        # The archive closes before the tensors are read.
        data = {name: archive.read(name) for name in members if name.startswith(f"{folder}data/")}
        program = io.BytesIO(archive.read(programs[0]))
    return _run(
        program, lambda storage: _decode(data[f"{folder}data/{storage.key}"], storage, order)
    )


def _read_legacy(file: BinaryIO) -> Any:
    def refuse(storage: _Storage) -> np.ndarray:
        raise TorchFileError(f"the tensors' bytes lack {storage.key!r}")

    if _run(file, refuse) != _MAGIC:
        raise TorchFileError("it does not begin as PyTorch's files do")
    _run(file, refuse)  # the version of the format
    machine = _run(file, refuse)
    order: Literal["<", ">"] = (
        "<" if not isinstance(machine, dict) or machine.get("little_endian", True) else ">"
    )
    blocks: dict[str, bytes] = {}
    seen: dict[str, _Storage] = {}

    def find(storage: _Storage) -> np.ndarray:
        return _decode(blocks[storage.key], storage, order)

    content = _run(file, find, seen)
    for key in _run(file, refuse):
        width = np.dtype(_DTYPES[seen[key].kind]).itemsize
        elements = int.from_bytes(file.read(8), "little" if order == "<" else "big", signed=True)
        if elements != seen[key].elements:
            raise TorchFileError(f"the tensors' bytes {key!r} have another size than it says")
        blocks[key] = file.read(elements * width)
    return content


def _decode(data: bytes, storage: _Storage, order: Literal["<", ">"]) -> np.ndarray:
    """Returns the elements of a storage."""
    dtype = np.dtype(_DTYPES[storage.kind])
    if len(data) != storage.elements * dtype.itemsize:
        raise TorchFileError(
            f"{len(data)} bytes stand for {storage.elements} elements of a {storage.kind}"
        )
    values = np.frombuffer(data, dtype.newbyteorder(order)).astype(dtype)
    if storage.kind == "BFloat16Storage":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values


def _make_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *, find: Callable[[_Storage], np.ndarray]
) -> Tensor | Unknown:
    """Returns the tensor of `shape` that begins at `offset` in the storage, and steps by `strides` in it."""
    if not isinstance(storage, _Storage):
        return Unknown("torch.Tensor of an unknown kind")
    numbers = (offset, *shape, *strides)
    if not all(type(n) is int and n >= 0 for n in numbers) or len(shape) != len(strides):
        raise TorchFileError(f"a tensor has the shape {shape}, the strides {strides}")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    size = math.prod(shape)
    if size and (last >= storage.elements or size > storage.elements):
        raise TorchFileError(f"a tensor {shape} is larger than its bytes")

    def read() -> np.ndarray:
        values = find(storage)
        steps = [step * values.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(values[offset:], shape, steps).copy()

    return Tensor(shape=tuple(shape), read=read)


def _call(function: Any, args: Any, find: Callable[[_Storage], np.ndarray]) -> Any:
    """Returns what calling `function` with `args` would give, where that is a tensor or a dict."""
    name = function.name if isinstance(function, Unknown) else str(function)
    if name in _REBUILDERS:
        return _make_tensor(*args[:4], find=find)
    if name == "torch._utils._rebuild_parameter":
        return args[0]
    if name in _DICTS:
        return dict(args[0]) if args and isinstance(args[0], list) else {}
    return Unknown(name)


def _find_storage(key: Any) -> _Storage | Unknown:
    """Returns the storage that a persistent id of PyTorch names."""
    if not (isinstance(key, tuple) and len(key) >= 5 and key[0] == "storage"):
        return Unknown("a persistent object")
    _, kind, name, _, elements, *view = key
    kind = kind.name.removeprefix("torch.") if isinstance(kind, Unknown) else str(kind)
    if kind not in _DTYPES or type(elements) is not int or any(part is not None for part in view):
        return Unknown(f"a tensor of a {kind}")
    return _Storage(key=str(name), kind=kind, elements=elements)


def _run(
    program: BinaryIO,
    find: Callable[[_Storage], np.ndarray],
    seen: dict[str, _Storage] | None = None,
) -> Any:
    """Follows one pickle, from the current position of `program` on, and returns what it makes.

    Args:
      program: the file.
      find: returns the elements of a storage, when a tensor is read.
      seen: receives every storage by its key.
    """

    def find_persistent(key: Any) -> _Storage | Unknown:
        storage = _find_storage(key)
        if seen is not None and isinstance(storage, _Storage):
            seen[storage.key] = storage
        return storage

    return follow(
        program,
        call=lambda function, args: _call(function, args, find),
        find_persistent=find_persistent,
    )
