"""Writes files as `torch.save` does, in both of its formats, opcode by opcode."""

import struct
import zipfile

import numpy as np

_KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}
_MAGIC = 0x1950A86A20F9469CFC6C


class Global:
    """What a file would import, and call with no argument."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Bits(np.ndarray):
    """A tensor of bfloat16, as the upper halves of float32."""


def _global(module, name):
    return f"c{module}\n{name}\n".encode()


def _dump(value, storages):
    """The opcodes of a value; the arrays in it are appended to `storages`."""
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        data = value.to_bytes(value.bit_length() // 8 + 1, "little")
        return b"\x8a" + bytes([len(data)]) + data
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    if isinstance(value, tuple):
        return b"(" + b"".join(_dump(item, storages) for item in value) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(_dump(item, storages) for item in value) + b"e"
    if isinstance(value, dict):
        items = (_dump(item, storages) for pair in value.items() for item in pair)
        return _global("collections", "OrderedDict") + b")R(" + b"".join(items) + b"u"
    if isinstance(value, Global):
        return _global(value.module, value.name) + b")R"
    return _dump_tensor(value, storages)


def _dump_tensor(value, storages):
    key = str(len(storages))
    base = np.ascontiguousarray(value.T if value.flags.f_contiguous else value)
    storages.append(base.ravel())
    kind = "BFloat16Storage" if isinstance(value, Bits) else _KINDS[value.dtype.str[1:]]
    steps = tuple(int(step) // value.itemsize for step in value.strides)
    storage = b"(" + _dump("storage", []) + _global("torch", kind)
    storage += _dump((key, "cpu", value.size), [])[1:-1]
    # Since PyTorch 0.4 the legacy format has a view's data, None here, behind the number of elements.
    storage += b"tQ"
    rest = (0, tuple(value.shape), steps, False, {})
    return (
        _global("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + _dump(rest, [])[1:] + b"R"
    )


def _pickle(value, storages=None):
    return b"\x80\x02" + _dump(value, [] if storages is None else storages) + b"."


def write_zip(path, content):
    """Writes the format of PyTorch 1.6 and later."""
    storages = []
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickle(content, storages))
        for key, values in enumerate(storages):
            archive.writestr(f"archive/data/{key}", values.tobytes())
        archive.writestr("archive/version", "3\n")


def write_legacy(path, content):
    """Writes the format before PyTorch 1.6."""
    storages = []
    data = _pickle(_MAGIC) + _pickle(1001) + _pickle({"little_endian": True})
    data += _pickle(content, storages)
    data += _pickle([str(key) for key in range(len(storages))])
    for values in storages:
        data += struct.pack("<q", values.size) + values.tobytes()
    path.write_bytes(data)
