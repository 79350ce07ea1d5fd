"""How a MAC array that works in blocks moves its data, as that of Arm's Ethos-U85 does.

    measure_block_work(target, conv, rows=300).reads        # how often the input is read

The array makes its output block by block and fetches for each the part of the input that it needs, halo
included, and scales and biases; so the choice of the block decides the traffic. Choice and counts are
those of Vela 5 (Apache-2.0; `ethos_u85.cpp`, `ethos_u85_performance.cpp` of its published source).
Limits: depthwise convolutions take the blocks of dense ones.
"""

import dataclasses
import functools
import math

import numpy as np

from sesr_jax.npu.engines import (
    Convolution,
    Map,
    ceil_div,
    choose_micro_block,
    choose_tap_group,
    direct_cycles,
    round_up,
)
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockWork:
    """A convolution on an array that works in blocks.

    Attributes:
      mac_cycles: cycles of the array.
      edge_cycles: cycles until the first block's input is there, and to hand over the last block's output.
      edge_elements: elements of the last block, which pass the vector engine when the array has ended.
      scale_cycles: cycles that reading scales and biases takes, beside all else.
      weight_share: the share of their bytes that weights take on chip, padded to micro blocks.
      reads: how often each byte of the input is read.
      read_run: bytes of the input that lie together where it has no bricks.
      write_run: bytes of the output that lie together where it has no bricks.
    """

    mac_cycles: int
    edge_cycles: float
    edge_elements: int
    scale_cycles: float
    weight_share: float
    reads: float
    read_run: int
    write_run: int


@functools.lru_cache(maxsize=1 << 12)
def measure_block_work(target: Target, conv: Convolution, rows: int) -> BlockWork:
    """Returns what a convolution takes whose output is made in stripes of `rows`.

    A transposed convolution costs as much as one plain convolution per phase of its output, each over all
    of its output.
    """
    spec, granule = target.mac.blocks, target.mac.depthwise
    assert spec is not None
    height, width, channels = conv.output
    (block_h, block_w, depth), (in_h, in_w, in_depth) = choose_block(target, conv, rows)
    micro = choose_micro_block(spec.micro, (min(rows, height), width, channels))[2]
    blocks = ceil_div(height, block_h) * ceil_div(width, block_w)
    deep = ceil_div(channels, depth)
    whole = [side * conv.stride // conv.upscales for side in (height, width)]
    fetched = min(in_h, whole[0]) * min(in_w, whole[1])
    # Parts of a kernel that is no larger than its stride read different pixels.
    parts = _count_kernel_parts(conv, spec.kernel) if max(conv.kernel) > conv.stride else 1
    again = conv.upscales**2 * parts
    last = min(block_h, height) * min(block_w, width) * depth
    first = fetched * min(in_depth, round_up(conv.channels, granule))
    return BlockWork(
        mac_cycles=direct_cycles(target, conv, rows),
        edge_cycles=(first + last) / spec.port_bytes,
        edge_elements=last,
        scale_cycles=spec.scale_cycles * blocks * deep * round_up(depth, granule),
        weight_share=spec.weight_share * round_up(channels, micro) / channels,
        reads=again * blocks * (1 if conv.depthwise else deep) * fetched / math.prod(whole),
        read_run=in_depth * (in_w if conv.channels == in_depth else 1),
        write_run=granule * (block_w if channels == depth == granule else 1),
    )


def choose_block(target: Target, conv: Convolution, rows: int) -> tuple[Map, Map]:
    """Returns the block of output, and the block of input that it needs.

    Of all blocks of whole micro blocks that fit in the buffers, it is the one with the least traffic of
    input and weights; where the whole input fits, the traffic counts half.
    """
    mac, spec = target.mac, target.mac.blocks
    assert spec is not None
    height, width, channels = shape = (min(rows, conv.output[0]), *conv.output[1:])
    phase = _find_phase_kernel(conv)
    group = choose_tap_group(mac, math.prod(phase), conv.channels // conv.groups)
    in_depth = mac.inputs // group
    h, w, d = _list_candidates(choose_micro_block(spec.micro, shape), shape, spec.largest)
    # The buffer's units hold as many pixels as the array takes, or fewer of more channels.
    finer = math.isqrt(max(mac.tap_groups) // group)
    in_h, in_w = (
        _round_up_sizes((side - 1) * conv.stride + min(taps, spec.kernel), max(1, pixels // finer))
        for side, taps, pixels in zip((h, w), phase, mac.pixels, strict=True)
    )
    input_bytes, sum_bytes = in_h * in_w * in_depth, 4 * h * w * _round_up_sizes(d, mac.depthwise)
    fits = (2 * input_bytes <= spec.input_bytes) & (2 * sum_bytes <= spec.sum_bytes)
    if not fits.any():
        fits = (input_bytes <= spec.input_bytes) & (sum_bytes <= spec.sum_bytes)
    # Both are per input channel.
    fetched = in_h * in_w * (height / h) * (width / w) * -(-channels // d)
    weights = -(-height // h) * -(-width // w) * math.prod(phase) * channels
    traffic = fetched * _count_kernel_parts(conv, spec.kernel) + weights
    whole = height * width * (conv.stride / conv.upscales) ** 2 * conv.channels
    traffic = np.where(whole < 2 * input_bytes, traffic / 2, traffic)
    i = int(np.argmin(np.where(fits, traffic, np.inf)))
    return (int(h[i]), int(w[i]), int(d[i])), (int(in_h[i]), int(in_w[i]), in_depth)


def _list_candidates(micro: Map, shape: Map, largest: int) -> tuple[np.ndarray, ...]:
    """Returns heights, widths and channels of all blocks, in an order that decides among equals."""
    limits = (largest, largest, shape[2])
    steps = [
        np.arange(step, round_up(min(size, limit), step) + 1, step)
        for size, limit, step in zip(shape, limits, micro, strict=True)
    ]
    d, h, w = np.meshgrid(steps[2], steps[0], steps[1], indexing="ij")
    return h.ravel(), w.ravel(), d.ravel()


def _round_up_sizes(sizes: np.ndarray, step: int) -> np.ndarray:
    return -(-sizes // step) * step


def _find_phase_kernel(conv: Convolution) -> tuple[int, int]:
    """Returns the size of the kernel, or of the kernel of one phase of a transposed convolution."""
    return ceil_div(conv.kernel[0], conv.upscales), ceil_div(conv.kernel[1], conv.upscales)


def _count_kernel_parts(conv: Convolution, largest: int) -> int:
    """Returns how many kernels with sides of at most `largest` make this one."""
    return math.prod(ceil_div(side, largest) for side in _find_phase_kernel(conv))
