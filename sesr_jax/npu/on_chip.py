"""How many bytes of on-chip memory a pass takes, for each way to cut it."""

import math
from collections.abc import Collection, Sequence

import numpy as np

from sesr_jax.npu.blocks import measure_block_work
from sesr_jax.npu.cuts import Array, Cuts, Number, StripedPass
from sesr_jax.targets import Target


def sram_bytes(striped: StripedPass, cuts: Cuts) -> Array:
    """Returns the bytes of a pass that runs by itself."""
    if striped.work.engine == "copy":
        return 0 * cuts.rows  # it streams
    loads = tuple(dict.fromkeys(striped.work.inputs))
    buffers = input_bytes(striped, cuts, loads) + output_bytes(striped, cuts, stores=True)
    return buffers + weight_bytes(striped, cuts) + program_bytes([striped])


def input_bytes(striped: StripedPass, cuts: Cuts, loads: Sequence[str]) -> Number:
    """Returns the bytes for stripes of the tensors that the pass loads."""
    total: Number = 0
    if striped.target.streams:
        return 0 * cuts.rows
    for name in loads:
        _, h, w, c = striped.get_input_shape(name)
        rows, columns = np.minimum(cuts.rows, h), np.minimum(cuts.columns, w)
        n_h, n_w = -(-h // rows), -(-w // columns)
        border = striped.count_border_rows(n_h, n_w)
        slots = cuts.in_slots if striped.work.conv is not None else 2
        slot = _pad_to_bricks(striped.target, rows + border, columns, c)
        last = _pad_to_bricks(striped.target, h - (n_h - 1) * rows, w - (n_w - 1) * columns, c)
        whole = (n_h * n_w <= slots) & (border == 0)
        size = np.where(whole, (n_h * n_w - 1) * slot + last, slots * slot)
        total = total + _pad_to_granules(striped.target, size)
    return total


def output_bytes(striped: StripedPass, cuts: Cuts, *, stores: bool = False) -> Array:
    """Returns the bytes for stripes of the output, which goes to DRAM where the pass `stores` it."""
    if stores and striped.target.streams:
        return 0 * cuts.rows
    rows, columns = striped.measure_output_stripe(cuts)
    rows = rows + striped.wanted_rows * (cuts.out_slots > 1)
    size = cuts.out_slots * _pad_to_bricks(striped.target, rows, columns, cuts.channels)
    return _pad_to_granules(striped.target, size)


def weight_bytes(striped: StripedPass, cuts: Cuts) -> Array:
    """Returns the bytes for weights."""
    if striped.target.streams:
        return 0 * cuts.rows
    depth = striped.work.output_shape[3]
    size = striped.work.weight_bytes * np.minimum(cuts.channels, depth) // depth
    return _pad_to_granules(striped.target, cuts.weight_slots * size)


def program_bytes(passes: Sequence[StripedPass]) -> int:
    """Returns the bytes for the vector engine's programs, one per kind of operation."""
    programs = {p.work.patch_cycles for p in passes if p.work.patch_cycles}
    return len(programs) * passes[0].target.vector.program_bytes


def kept_weight_bytes(striped: StripedPass, rows: int) -> int:
    """Returns the bytes for all weights of a pass in stripes of `rows`, where the array works in blocks."""
    share = 0.0 if striped.work.conv is None else 1.0
    if striped.work.conv is not None and striped.target.streams:
        share = measure_block_work(striped.target, striped.work.conv, rows).weight_share
    return math.ceil(striped.work.weight_bytes * share)


def whole_bytes(striped: StripedPass, own: Collection[str]) -> int:
    """Returns the bytes for all that a pass reads and writes, at once.

    Args:
      striped: the pass.
      own: the network's own inputs and outputs, which have no bricks.
    """
    p, target = striped.work, striped.target
    total = kept_weight_bytes(striped, p.output_shape[1])
    names, shapes = (*p.inputs, p.output), (*p.input_shapes, p.output_shape)
    for name, (_, h, w, c) in zip(names, shapes, strict=True):
        if name in own:
            total += h * w * c * target.bits // 8
        else:
            total += int(_pad_to_bricks(target, np.array(h), np.array(w), c))
    return total


def _pad_to_bricks(target: Target, rows: Array, columns: Array, channels: Array | int) -> Array:
    """Returns the bytes of a stripe that is padded to whole bricks."""
    height, width, depth = target.memory.sram_brick
    size = -(-rows // height) * height * (-(-columns // width) * width)
    return size * (-(-channels // depth) * depth * (target.bits // 8))


def _pad_to_granules(target: Target, size: Array) -> Array:
    """Returns the bytes of a buffer of `size` bytes that is padded to whole granules."""
    granule = target.memory.sram_granule
    return -(-size // granule) * granule
