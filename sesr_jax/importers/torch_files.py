"""Reads the tensors of PyTorch's files, without PyTorch and without running anything that a file names.

A file of `torch.save` is a pickle, a program of opcodes, and the bytes of the tensors beside it. Python's own
reader imports and calls whatever such a program names. This one follows the opcodes that make numbers, texts,
tuples, lists and dicts, recognises PyTorch's tensors by their names, and puts an inert `Unknown` in the place
of every other object, so that the epoch, the optimiser or the options beside the weights do no harm.

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
from pickletools import genops  # it reads opcodes and runs none
from typing import Any, BinaryIO, Literal

import numpy as np

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


class TorchFileError(Exception):
    """A file is no whole file of `torch.save`; the message says why."""


@dataclasses.dataclass(frozen=True)
class Unknown:
    """An object that the file would import by this name, such as "argparse.Namespace"."""

    name: str


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
    """
    with pathlib.Path(path).open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
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


_MARK = object()


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
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        start = len(stack) - 1 - stack[::-1].index(_MARK)
        items = stack[start + 1 :]
        del stack[start:]
        return items

    def put(items: list[Any]) -> None:
        """Puts pairs of keys and values into the dict on top of the stack."""
        if isinstance(stack[-1], dict):
            stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def extend(items: list[Any]) -> None:
        if isinstance(stack[-1], list):
            stack[-1].extend(items)

    value: Any
    for opcode, value, _ in genops(program):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                stack.append(_MARK)
            case "POP":
                stack.pop()
            case "POP_MARK":
                pop_to_mark()
            case "DUP":
                stack.append(stack[-1])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_SET":
                stack.append(Unknown("set"))
            case "DICT":
                items = pop_to_mark()
                stack.append(dict(zip(items[::2], items[1::2], strict=True)))
            case "LIST":
                stack.append(pop_to_mark())
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "SETITEM":
                items = stack[-2:]
                del stack[-2:]
                put(items)
            case "SETITEMS":
                put(pop_to_mark())
            case "APPEND":
                extend([stack.pop()])
            case "APPENDS" | "ADDITEMS":
                extend(pop_to_mark())
            case "GLOBAL":
                stack.append(Unknown(value.replace(" ", ".")))
            case "STACK_GLOBAL":
                name = stack.pop()
                stack.append(Unknown(f"{stack.pop()}.{name}"))
            case "REDUCE" | "NEWOBJ":
                args = stack.pop()
                stack.append(_call(stack.pop(), args, find))
            case "BUILD":
                stack.pop()  # the state of an object, which no dict and no tensor needs
            case "BINPERSID":
                storage = _find_storage(stack.pop())
                if seen is not None and isinstance(storage, _Storage):
                    seen[storage.key] = storage
                stack.append(storage)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case name if opcode.stack_before == [] and len(opcode.stack_after) == 1:
                stack.append(value)  # a number, a text or bytes
            case name:
                raise TorchFileError(f"it uses the opcode {name}, which PyTorch does not write")
    raise TorchFileError("it ends too early")
