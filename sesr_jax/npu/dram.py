"""How tensors lie in DRAM, and what it takes to transfer them, for each way to cut a pass."""

from collections.abc import Sequence

import numpy as np

from sesr_jax.npu.cuts import Array, Cuts, Number, StripedPass
from sesr_jax.targets import Target


def dram_bytes(
    target: Target,
    saving: Array | float,
    rows: Array | int,
    columns: Array | int,
    channels: Array | int,
    *,
    plain: bool,
) -> Array:
    """Returns the bytes of (a part of) a tensor; one that is `plain` has no bricks and is not compressed."""
    element = target.bits // 8
    if plain:
        return np.asarray(rows * columns * channels * (1.0 * element))
    height, width, depth = target.memory.dram_brick
    size = -(-rows // height) * height * (-(-columns // width) * width)
    return np.asarray(size * (-(-channels // depth) * depth) * (element * (1 - saving)))


def transfer_cycles(target: Target, size: Number, count: Number) -> Array:
    """Returns the cycles to transfer `size` bytes in `count` pieces."""
    memory = target.memory
    cycles = size / memory.dram_bytes_per_cycle + count * memory.transfer_cycles
    return np.maximum(cycles, count * memory.transfer_minimum_cycles)


def split_transfer(
    target: Target, size: Number, count: Number, serial: Number
) -> tuple[Array, Array]:
    """Returns the cycles of a transfer in `count` pieces: those beside the computation, and the others.

    Args:
      target: the NPU.
      size: bytes of the transfer.
      count: its pieces.
      serial: the bytes of it for which the computation waits.
    """
    cycles = transfer_cycles(target, size, count)
    waiting = cycles * (0.0 if target.streams else serial / size)
    return cycles - waiting, waiting


def burst_factor(target: Target, run: int, *, plain: bool) -> float:
    """Returns the bytes that are transferred per byte of a tensor of which `run` bytes lie together."""
    return max(1.0, target.memory.burst_bytes / run) if plain else 1.0


def find_tensors_in_bricks(
    striped: StripedPass, cuts: Cuts, loads: Sequence[str]
) -> frozenset[str]:
    """Returns the tensors that a pass with this one cut can only transfer in bricks."""
    if not striped.target.memory.converts_input or striped.work.engine == "copy":
        return frozenset()
    n_h, n_w, _ = striped.count_stripes(cuts)
    names = set(loads) if np.any(striped.count_border_rows(n_h, n_w)) else set()
    _, _, width, depth = striped.work.output_shape
    if np.any(cuts.channels < depth) and width > 1:
        names.add(striped.work.output)
    return frozenset(names)


def measure_load(
    striped: StripedPass, cuts: Cuts, name: str, *, plain: bool
) -> tuple[Array, Array, Array]:
    """Measures how an input is loaded.

    Returns:
      The bytes of the tensor with its borders, the bytes of it for which the computation waits, and the
      number of transfers per stripe.
    """
    target = striped.target
    n_h, n_w, _ = striped.count_stripes(cuts)
    _, h, w, c = striped.get_input_shape(name)
    rows, columns = np.minimum(cuts.rows, h), np.minimum(cuts.columns, w)
    saving, pieces = _find_layout(
        striped, rows, columns, np.full_like(rows, c), (h, w, c), plain=plain
    )
    height = h + striped.count_border_rows(n_h, n_w) * (n_h - 1)
    whole = dram_bytes(target, saving, height, w, c, plain=plain)
    overlaps = striped.work.overlaps & ((n_h > 1) | (n_w > 1))
    stripe = dram_bytes(target, saving, rows, columns, c, plain=plain)
    lead = np.minimum(np.where(overlaps, 2, 1) * stripe, whole)
    slots = cuts.in_slots if striped.work.conv is not None else 2
    return whole, np.where(slots >= np.where(overlaps, 4, 2), lead, whole), pieces


def measure_store(striped: StripedPass, cuts: Cuts, *, plain: bool) -> tuple[Array, Array, Array]:
    """Measures how the output is stored.

    Returns:
      The bytes of the tensor, the bytes of it that are stored after all is computed, and the number of
      transfers per stripe.
    """
    target = striped.target
    _, h, w, c = striped.work.output_shape
    rows, columns = striped.measure_output_stripe(cuts)
    channels = np.minimum(cuts.channels, c)
    saving, pieces = _find_layout(striped, rows, columns, channels, (h, w, c), plain=plain)
    whole = dram_bytes(target, saving, np.full_like(rows, h), w, c, plain=plain)
    last = dram_bytes(target, saving, rows, columns, channels, plain=plain)
    return whole, np.where(cuts.out_slots >= 2, np.minimum(last, whole), whole), pieces


def _find_layout(
    striped: StripedPass,
    rows: Array,
    columns: Array,
    channels: Array,
    whole: tuple[int, int, int],
    *,
    plain: bool,
) -> tuple[Array, Array]:
    """Returns the share that compression saves of a tensor in such stripes, and the transfers per stripe."""
    memory = striped.target.memory
    ones = np.ones_like(rows)
    if plain:
        return 0.0 * ones, ones
    parts = tuple(zip((rows, columns, channels), whole, strict=True))
    compressed = ones < 0
    for cell in memory.cells:
        fits = ones > 0
        for (part, size), side in zip(parts, cell, strict=True):
            fits = fits & ((part >= size) | (part % side == 0))
        compressed = compressed | fits
    height, width, depth = memory.sram_brick
    # The DMA steps over the other channels' bricks where a stripe is one brick deep.
    deep = (channels < whole[2]) & (channels > depth)
    down = np.where(deep | (columns < whole[1]), -(-rows // height), 1)
    pieces = down * np.where(deep, -(-columns // width), 1)
    return np.where(compressed, striped.saving, 0.0), np.where(compressed, 1, pieces)
