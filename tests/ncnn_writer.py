"""Writes the files of ncnn that hold Real-ESRGAN's networks, from arrays under their PyTorch names."""

import numpy as np


def write_ncnn(path, arrays, *, scale=4, half=True, change=lambda lines: lines):
    """Writes `path` (.param) and the .bin beside it; `change` may alter the lines of the layers."""
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in arrays))
    make = _list_rrdbnet if "conv_first" in names else _list_srvggnet
    names = sorted(names, key=_order)
    lines = change(make([_describe(arrays, name) for name in names], scale))
    path.write_text("\n".join(["7767517", f"{len(lines)} 9", *lines]) + "\n")
    data = b""
    for name in names:
        weight = arrays[f"{name}.weight"]
        if weight.ndim == 4:
            data += (0x01306B47 if half else 0).to_bytes(4, "little")
        part = weight.astype("<f2" if half and weight.ndim == 4 else "<f4").tobytes()
        data += part + bytes(-len(part) % 4)
        if f"{name}.bias" in arrays:
            data += arrays[f"{name}.bias"].astype("<f4").tobytes()
    path.with_suffix(".bin").write_bytes(data)


def _order(name):
    ends = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
    numbers = [int("".join(filter(str.isdigit, part)) or 0) for part in name.split(".")]
    return (name in ends, ends.index(name) if name in ends else 0, name != "conv_first", numbers)


def _describe(arrays, name):
    weight = arrays[f"{name}.weight"]
    if weight.ndim == 1:
        return f"PReLU {name} 1 1 a b 0={weight.size}"
    out, _, size, _ = weight.shape
    return (
        f"Convolution {name} 1 1 a b 0={out} 1={size} 4={size // 2} 5=1 6={np.prod(weight.shape)}"
    )


def _list_srvggnet(layers, scale):
    return [
        "Input data 0 1 data",
        "Split split 1 2 data x y",
        *layers,
        f"PixelShuffle up 1 1 a b 0={scale}",
        f"Interp base 1 1 y c 0=1 1={scale}.0 2={scale}.0",
        "BinaryOp sum 2 1 b c out",
    ]


def _list_rrdbnet(layers, scale):
    leaky = " 9=2 -23310=1,2.000000e-01"
    head, *body, last, up_1, up_2, refine, tail = layers
    lines = ["Input data 0 1 data", head]
    for i, conv in enumerate(body):
        lines += ["Concat join 2 1 a b c"] * (i % 5 > 0)
        lines.append(conv + leaky * (i % 5 < 4))
        more = (i % 5 == 4) + (i % 15 == 14)
        lines += ["Eltwise sum 2 1 a b c 0=1 -23301=2,2.000000e-01,1.000000e+00"] * more
    lines += [last, "BinaryOp sum 2 1 a b c"]
    for conv in (up_1, up_2):
        lines += ["Interp grow 1 1 a b 0=1 1=2.0 2=2.0", conv + leaky]
    return [*lines, refine + leaky, tail]
