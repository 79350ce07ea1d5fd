"""How a MAC array that works in blocks moves its data: Arm's Ethos-U85.

    in_blocks(target, conv, rows=300).reads        # of the input, for each of its bytes

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
    direct_cycles,
    micro_block,
    round_up,
    tap_group,
)
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockWork:
    """A convolution on an array that works in blocks.

    Attributes:
      mac_cycles: of the array.
      edge_cycles: before the first block's input is there, and to hand over the last one's output.
      edge_elements: of the last block, which pass the vector engine alone.
      scale_cycles: of reading scales and biases, beside all else.
      weight_share: of their bytes, that weights take on chip, padded to micro blocks.
      reads: of the input, for each of its bytes.
      read_run: bytes that lie together where the input has no bricks.
      write_run: likewise of the output.
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
def in_blocks(target: Target, work: Convolution, rows: int) -> BlockWork:
    """What a convolution takes whose output is made in stripes of `rows`.

    A transposed convolution is a plain one for each phase of its output, over all of its output.
    """
    spec, granule = target.mac.blocks, target.mac.depthwise
    assert spec is not None
    height, width, channels = work.output
    (block_h, block_w, depth), (in_h, in_w, in_depth) = choose_block(target, work, rows)
    micro = micro_block(spec.micro, (min(rows, height), width, channels))[2]
    blocks = ceil_div(height, block_h) * ceil_div(width, block_w)
    deep = ceil_div(channels, depth)
    whole = [side * work.stride // work.upscales for side in (height, width)]
    fetched = min(in_h, whole[0]) * min(in_w, whole[1])
    # Parts of a kernel that is no larger than its stride read different pixels.
    parts = _parts(work, spec.kernel) if max(work.kernel) > work.stride else 1
    again = work.upscales**2 * parts
    last = min(block_h, height) * min(block_w, width) * depth
    first = fetched * min(in_depth, round_up(work.channels, granule))
    return BlockWork(
        mac_cycles=direct_cycles(target, work, rows),
        edge_cycles=(first + last) / spec.port_bytes,
        edge_elements=last,
        scale_cycles=spec.scale_cycles * blocks * deep * round_up(depth, granule),
        weight_share=spec.weight_share * round_up(channels, micro) / channels,
        reads=again * blocks * (1 if work.depthwise else deep) * fetched / math.prod(whole),
        read_run=in_depth * (in_w if work.channels == in_depth else 1),
        write_run=granule * (block_w if channels == depth == granule else 1),
    )


def choose_block(target: Target, work: Convolution, rows: int) -> tuple[Map, Map]:
    """The block of output, and that of the input that it needs.

    Of all blocks of whole micro blocks that fit in the buffers, it is the one with the least traffic of
    input and weights, half of it counted where the whole input fits.
    """
    mac, spec = target.mac, target.mac.blocks
    assert spec is not None
    height, width, channels = shape = (min(rows, work.output[0]), *work.output[1:])
    phase = _phase(work)
    group = tap_group(mac, math.prod(phase), work.channels // work.groups)
    in_depth = mac.inputs // group
    h, w, d = _candidates(micro_block(spec.micro, shape), shape, spec.largest)
    # The buffer's units hold as many pixels as the array takes, or fewer of more channels.
    finer = math.isqrt(max(mac.tap_groups) // group)
    in_h, in_w = (
        _up((side - 1) * work.stride + min(taps, spec.kernel), max(1, pixels // finer))
        for side, taps, pixels in zip((h, w), phase, mac.pixels, strict=True)
    )
    input_bytes, sum_bytes = in_h * in_w * in_depth, 4 * h * w * _up(d, mac.depthwise)
    fits = (2 * input_bytes <= spec.input_bytes) & (2 * sum_bytes <= spec.sum_bytes)
    if not fits.any():
        fits = (input_bytes <= spec.input_bytes) & (sum_bytes <= spec.sum_bytes)
    # Both for each input channel.
    fetched = in_h * in_w * (height / h) * (width / w) * -(-channels // d)
    weights = -(-height // h) * -(-width // w) * math.prod(phase) * channels
    traffic = fetched * _parts(work, spec.kernel) + weights
    whole = height * width * (work.stride / work.upscales) ** 2 * work.channels
    traffic = np.where(whole < 2 * input_bytes, traffic / 2, traffic)
    i = int(np.argmin(np.where(fits, traffic, np.inf)))
    return (int(h[i]), int(w[i]), int(d[i])), (int(in_h[i]), int(in_w[i]), in_depth)


def _candidates(micro: Map, shape: Map, largest: int) -> tuple[np.ndarray, ...]:
    """Heights, widths and channels of all blocks; of equals, the first is taken."""
    limits = (largest, largest, shape[2])
    steps = [
        np.arange(step, round_up(min(size, limit), step) + 1, step)
        for size, limit, step in zip(shape, limits, micro, strict=True)
    ]
    d, h, w = np.meshgrid(steps[2], steps[0], steps[1], indexing="ij")
    return h.ravel(), w.ravel(), d.ravel()


def _up(sizes: np.ndarray, step: int) -> np.ndarray:
    return -(-sizes // step) * step


def _phase(work: Convolution) -> tuple[int, int]:
    """The kernel, or that of one phase of a transposed convolution."""
    return ceil_div(work.kernel[0], work.upscales), ceil_div(work.kernel[1], work.upscales)


def _parts(work: Convolution, largest: int) -> int:
    """How many kernels of no more than `largest` make this one."""
    return math.prod(ceil_div(side, largest) for side in _phase(work))
