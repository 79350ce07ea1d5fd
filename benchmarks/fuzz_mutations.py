"""Seeded mutations of files: of their bytes, their JSON, and the tables of TFLite, ONNX and safetensors.

data = mutate_bytes(data, random.Random(7))
"""

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]

_NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    1 << 16,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    1 << 63,
)
_WORDS = ("", "x", "a\x1b[31m", "\udcff", "../x", "NaN", "9" * 5000, "*" * 40, "params", "é" * 300)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Changes, cuts, doubles or inserts a few bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        # Headers are small, and what is wrong in them goes far.
        length = min(len(changed), rng.choice((64, 512, 4096, len(changed))))
        place = rng.randrange(length) if length else 0
        count = rng.choice((1, 2, 4, 8, 64))
        match rng.randrange(7):
            case 0:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 1 if changed:
                changed[place % len(changed)] ^= 1 << rng.randrange(8)
            case 2:
                number = rng.choice(_NUMBERS) & 0xFFFF_FFFF
                changed[place : place + 4] = struct.pack("<I", number)
            case 3:
                del changed[place : place + count]
            case 4:
                changed[place:place] = rng.randbytes(count)
            case 5:
                changed[place:place] = changed[place : place + count] * rng.choice((1, 2, 50))
            case 6 if rng.random() < 0.3:
                del changed[place:]
    return bytes(changed)


def make_value(rng: random.Random) -> Any:
    """Returns a value of JSON that nobody expects."""
    match rng.randrange(9):
        case 0:
            return rng.choice(_NUMBERS)
        case 1:
            return rng.choice((1e308, -0.5, 1e-9, float("nan"), float("inf"), 10**30))
        case 2:
            return rng.choice(_WORDS)
        case 3:
            return rng.choice((None, True, False))
        case 4:
            return [make_value(rng) for _ in range(rng.randrange(4))]
        case 5:
            return {rng.choice(_WORDS): make_value(rng) for _ in range(rng.randrange(3))}
        case 6:
            deep: Any = 1
            for _ in range(rng.choice((50, 200, 600))):
                deep = [deep] if rng.random() < 0.5 else {"dict": deep}
            return deep if rng.random() < 0.3 else [1]
        case _:
            return rng.randrange(-3, 10)


def mutate_value(value: Any, rng: random.Random) -> Any:
    """Returns JSON's `value` with one part changed, taken out, doubled or renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        changed = dict(value)
        match rng.randrange(12):
            case 0:
                del changed[key]
            case 1:
                changed[rng.choice(_WORDS)] = changed.pop(key)
            case 2:
                changed[key] = rng.choice(list(value.values()))
            case _:
                changed[key] = mutate_value(changed[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        match rng.randrange(12):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return value + value[place:]
            case _:
                return [*value[:place], mutate_value(value[place], rng), *value[place + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((-value, value + 1, value * 1000, 0, 1))
    return make_value(rng)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Changes a JSON text, or each of the lines of one; one in four times, its bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(data, rng)
    if rng.random() < 0.02:
        return b"[" * 100_000
    lines = data.splitlines() if data.count(b"\n{") else [data]
    place = rng.randrange(len(lines))
    lines[place] = json.dumps(mutate_value(json.loads(lines[place]), rng)).encode()
    return b"\n".join(lines)


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Changes the header, or the JSON inside the metadata; one in five times, the bytes."""
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header["__metadata__"]
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.85:
            read = ("model", "scale", "options", "scheme", "structure", "structure", "structure")
            key = rng.choice((*read, *metadata))
            try:
                inner = json.loads(metadata[key])
            except (KeyError, ValueError):
                metadata[key] = str(make_value(rng))
            else:
                metadata[key] = json.dumps(mutate_value(inner, rng))
        else:
            header = mutate_value(header, rng)
            metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
            if not isinstance(metadata, dict) or not metadata:
                break
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def mutate_zip(data: bytes, rng: random.Random) -> bytes:
    """Changes one entry of an archive, or the archive's bytes."""
    if rng.random() < 0.4:
        return mutate_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(entries))
    match rng.randrange(5):
        case 0:
            del entries[name]
        case 1:
            entries[rng.choice(("x.npy", "x", "../x.npy", "input.npy"))] = entries.pop(name)
        case _:
            entries[name] = mutate_bytes(entries[name], rng)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice((0, 8))) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def mutate_text(data: bytes, rng: random.Random) -> bytes:
    """Changes numbers, words and lines of a text such as TOML; one in five times, its bytes."""
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    lines = data.decode("utf-8", "replace").splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(lines))
        key, equals, _ = lines[place].partition("=")
        match rng.randrange(6):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, rng.choice(lines))
            case 2 if equals:
                value = make_value(rng)
                lines[place] = f"{key}= {json.dumps(value)}"
            case _ if equals:
                number = rng.choice(("-1", "0", "1e400", "nan", "inf", "true", "'x'", "[]", "{}"))
                lines[place] = f"{key}= {number}"
        if not lines:
            break
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def mutate_tflite(data: bytes, rng: random.Random) -> bytes:
    """Changes numbers in the tables of a TFLite file; one in four times, its bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(data, rng)
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(data, 0)
    (graph,) = model.subgraphs
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        options = [op.builtinOptions for op in graph.operators if op.builtinOptions is not None]
        kinds = (
            graph.tensors,
            graph.operators,
            options,
            model.operatorCodes,
            [graph],
            model.buffers,
        )
        _change_field(rng.choice(rng.choice(kinds)), rng)
        if rng.random() < 0.1:
            rng.shuffle(graph.operators)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _change_field(table: Any, rng: random.Random) -> None:
    import numpy as np

    name = rng.choice(list(vars(table)))
    value = getattr(table, name)
    if isinstance(value, bool):
        setattr(table, name, not value)
    elif isinstance(value, int):
        setattr(table, name, rng.choice((0, 1, -1, value + 1, value - 1, rng.randrange(128))))
    elif isinstance(value, np.ndarray) and value.size:
        changed = value.copy()
        number = rng.choice((0, 1, -1, 2, 1 << 20, (1 << 31) - 1, rng.randrange(64)))
        # A number that does not fit wraps around.
        changed[rng.randrange(value.size)] = np.array(number).astype(value.dtype)
        setattr(table, name, changed if rng.random() < 0.8 else changed[: value.size // 2])
    elif value is not None and hasattr(value, "__dict__") and rng.random() < 0.9:
        _change_field(value, rng)
    elif rng.random() < 0.5:
        setattr(table, name, None)


def mutate_onnx(data: bytes, rng: random.Random) -> bytes:
    """Changes nodes, attributes, shapes and values of an ONNX file; one in four times, its bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(data, rng)
    import onnx

    model = onnx.load_from_string(data)
    graph = model.graph
    for _ in range(rng.choice((1, 1, 2, 3))):
        node = rng.choice(graph.node)
        match rng.randrange(9):
            case 0 if node.attribute:
                attribute = rng.choice(node.attribute)
                attribute.i = rng.choice((0, -1, 2, 1 << 40))
                if attribute.ints:
                    attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_NUMBERS[:-1])
            case 1 if node.attribute:
                del node.attribute[rng.randrange(len(node.attribute))]
            case 2:
                node.op_type = rng.choice([*(one.op_type for one in graph.node), "Identity", "If"])
            case 3 if node.input:
                names = [name for one in graph.node for name in (*one.input, *one.output)]
                node.input[rng.randrange(len(node.input))] = rng.choice([*names, ""])
            case 4 if node.input:
                del node.input[rng.randrange(len(node.input))]
            case 5:
                value = rng.choice([*graph.initializer])
                if value.dims:
                    value.dims[rng.randrange(len(value.dims))] = rng.choice(_NUMBERS[:-1])
            case 6:
                value = rng.choice([*graph.input, *graph.output])
                dims = value.type.tensor_type.shape.dim
                if dims:
                    rng.choice(dims).dim_value = rng.choice(_NUMBERS[:-1])
            case 7:
                value = rng.choice([*graph.initializer])
                value.raw_data = mutate_bytes(value.raw_data, rng)
            case 8:
                model.metadata_props.add(key="host_blocks", value=json.dumps(make_value(rng)))
    return bytes(model.SerializeToString())
