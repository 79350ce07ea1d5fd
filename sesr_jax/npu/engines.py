"""Cycles of the MAC array and of the vector engine for one map, as if memory took no time.

A map is (height, width, channels); a block is the (width, height) of accumulators that the array
hands over at once, where the target has such blocks.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from sesr_jax.targets import Mac, Target

Map = tuple[int, int, int]
Block = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution, or what costs as much, as the MAC array computes it in a pass.

    Attributes:
      kernel: height and width.
      output: the map that it makes.
      channels: channels of the input.
      groups: groups of the convolution; a depthwise one has as many as channels.
      fast: whether Winograd's method is possible, as the stride is 1 and no zeros are inserted.
      stride: its steps over the input.
      upscales: how many rows of output one row of input makes, in a transposed convolution.
      pools: whether it is a pooling, which runs as a depthwise convolution without weights.
    """

    kernel: tuple[int, int]
    output: Map
    channels: int
    groups: int = 1
    fast: bool = False
    stride: int = 1
    upscales: int = 1
    pools: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether each output channel reads one input channel."""
        return self.groups > 1 and self.groups == self.channels


@functools.lru_cache(maxsize=1 << 14)
def mac_cycles(target: Target, work: Convolution, block: Block) -> tuple[int, str]:
    """Returns the cycles of the MAC array, and the algorithm: "direct" or, where it is faster, "winograd"."""
    direct = direct_cycles(target, work)
    if target.mac.output_cycles:
        height, width, channels = work.output
        patches = height * width / math.prod(target.vector.patch)
        lanes = ceil_div(channels, target.vector.lanes)
        direct += math.ceil(patches * lanes * target.mac.output_cycles)
    if work.fast and target.mac.winograd is not None:
        # In one dimension a tile of outputs has half the products, and a block twice the pixels.
        one_dimensional = 1 in work.kernel
        largest = target.mac.winograd.block_pixels * (2 if one_dimensional else 1)
        if math.prod(block) <= largest:
            fast = winograd_cycles(target, work, block)
            if fast < direct:
                return fast, "winograd"
    return direct, "direct"


def direct_cycles(target: Target, work: Convolution, rows: int | None = None) -> int:
    """Returns the MAC array's cycles for a convolution by its definition.

    The array takes whole patches of pixels and whole groups of input and output channels:
    ``k · k · ⌈H⌉ · ⌈W⌉ · ⌈Cin⌉ · ⌈Cout⌉ / (MACs per cycle)``. Where g taps share the input lanes, each
    has 1/g of them. A depthwise convolution leaves most of the lanes idle, and so does a pooling. An array
    that works in blocks fits the blocks to stripes of `rows`.
    """
    mac = target.mac
    height, width, channels = work.output
    patch_h, patch_w, lanes = (*mac.pixels, mac.outputs)
    if mac.blocks is not None and not work.depthwise:
        stripe = (min(rows or height, height), width, channels)
        patch_h, patch_w, lanes = choose_micro_block(mac.blocks.micro, stripe)
    pixels = round_up(height, patch_h) * round_up(width, patch_w)
    taps = math.prod(work.kernel)
    rate = _pixels_per_cycle(target)
    depthwise: float = taps * ceil_div(channels, mac.depthwise)
    if mac.depthwise_macs:
        padded = round_up(taps, max(1, *mac.tap_groups)) * round_up(channels, mac.depthwise)
        depthwise = padded * rate / mac.depthwise_macs
    if work.pools and mac.pool_macs:
        window = max(taps, *mac.tap_groups)
        depthwise = window * round_up(channels, mac.depthwise) * rate / mac.pool_macs
    if work.depthwise or work.pools:
        groups = depthwise
        pixels = pixels if work.pools else max(pixels, mac.depthwise_pixels)
    else:
        inputs = work.channels // work.groups
        outputs = ceil_div(channels // work.groups, lanes) * lanes / mac.outputs
        turns = _count_turns(mac, taps, inputs, choose_tap_group(mac, taps, inputs))
        if mac.row_taps:
            turns = _count_row_turns(mac, work.kernel, inputs)
        groups = work.groups * turns * outputs / (2 if inputs <= mac.sparse else 1)
        if work.channels == 1 and mac.depthwise_macs:
            groups = min(groups, depthwise)
    return math.ceil(pixels * groups / (rate * mac.efficiency))


def choose_tap_group(mac: Mac, taps: int, channels: int) -> int:
    """Returns how many taps of a kernel share the input lanes."""
    if not mac.tap_fill:
        return min(mac.tap_groups, key=lambda group: _count_turns(mac, taps, channels, group))
    step, least = mac.tap_fill
    counted = taps // step * step + max(taps % step, least)

    def fill(group: int) -> float:
        filled = channels / round_up(channels, max(1, mac.inputs // group))
        return filled if group == 1 else filled * taps / counted

    return max(sorted(mac.tap_groups, reverse=True), key=fill)


def _count_turns(mac: Mac, taps: int, channels: int, group: int) -> float:
    """Returns the turns in which the input lanes take all taps of all channels, `group` taps at once."""
    if not group:
        return ceil_div(taps * channels, mac.inputs)
    width = max(1, mac.inputs // group)
    step = mac.input_step if mac.input_step and channels <= width else width
    return ceil_div(taps, group) * group * round_up(channels, step) / mac.inputs


def _count_row_turns(mac: Mac, kernel: tuple[int, int], channels: int) -> int:
    """Returns the turns of the input lanes where the taps of a row, or all taps, share them if they fit."""
    height, width = kernel
    if height * width * channels <= mac.inputs:
        return 1
    if width * channels <= mac.inputs:
        return height
    return height * width * ceil_div(channels, mac.inputs)


def choose_micro_block(micro: Sequence[Map], output: Map) -> Map:
    """Returns the first of the micro blocks that pad the output least."""
    return min(micro, key=lambda one: math.prod(map(round_up, output, one)))


def winograd_cycles(target: Target, work: Convolution, block: Block) -> int:
    """Returns the MAC array's cycles for a convolution of stride 1 by Winograd's method.

    A sub-filter of 3×3 (3×1, 1×3) taps makes 2×2 (2×4, 4×2) outputs from a fixed number of products;
    a larger kernel is the sum of several sub-filters. The weights' transform runs beside the
    products, block by block, and binds where blocks are small.
    """
    assert target.mac.winograd is not None
    mac, winograd = target.mac, target.mac.winograd
    kh, kw = work.kernel
    height, width, channels = work.output
    tile_h = 4 if kh == 1 else 2  # two outputs along the filter, four across it
    tile_w = 4 if kw == 1 else 2
    subfilters = ceil_div(kh, 3) * ceil_div(kw, 3)
    tiles = ceil_div(height, tile_h) * ceil_div(width, tile_w)
    outputs = ceil_div(channels, mac.outputs)
    groups = ceil_div(work.channels, mac.inputs) * outputs
    products = tiles * subfilters * winograd.macs * groups / _pixels_per_cycle(target)
    blocks = ceil_div(width, block[0]) * ceil_div(height, block[1]) * outputs
    transform = blocks * work.channels * subfilters * winograd.transform_cycles
    return math.ceil(max(products / mac.efficiency, transform))


def vector_cycles(
    target: Target,
    cycles_per_patch: float,
    shape: Map,
    block: np.ndarray | None = None,
    columns: np.ndarray | int = 0,
) -> np.ndarray:
    """Returns the cycles of the vector engine for a map of `shape`, one entry per entry of `block`.

    Args:
      target: the NPU.
      cycles_per_patch: what the operation takes (`OpRule.cycles`).
      shape: the larger one of input and output.
      block: in which the map comes out of the MAC array: indices into the target's blocks; None where
        it is read from memory.
      columns: the width of the stripes in which it comes, one entry per entry of `block`.
    """
    vector = target.vector
    height, width, channels = shape
    lanes = ceil_div(channels, vector.lanes)
    rows_of_patches = ceil_div(height, vector.patch[0]) * np.ones_like(columns)
    columns_of_patches = ceil_div(width, vector.patch[1])
    overhead: np.ndarray | float = 0.0
    if block is not None and vector.behind_mac:
        block_w, block_h = np.array(vector.blocks).T[:, block]
        across, down = -(-width // block_w), -(-height // block_h)
        # A call takes one block, two, or four, whichever first spans the stripe.
        beside = 1 + (columns > block_w) + 2 * (columns > 2 * block_w)
        blocks = across * down * lanes
        calls = blocks // np.minimum(beside, np.array(vector.calls)[block])
        overhead = blocks * vector.block_cycles + calls * vector.call_cycles
        rows_of_patches = -(-down * block_h // vector.patch[0])
        columns_of_patches = -(-across * block_w // vector.patch[1])
    return rows_of_patches * columns_of_patches * (lanes * cycles_per_patch) + overhead


def _pixels_per_cycle(target: Target) -> float:
    return target.mac.macs_per_cycle / (target.mac.inputs * target.mac.outputs)


def ceil_div(n: int, step: int) -> int:
    """Returns how many steps cover `n`."""
    return -(-n // step)


def round_up(n: int, step: int) -> int:
    """Returns the smallest multiple of `step` that is at least `n`."""
    return ceil_div(n, step) * step
