import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesr_jax.npu import TARGETS, Layer, find_target, layers_from_graph
from sesr_jax.npu.passes import direct_cycles, lower, ple_cycles, winograd_cycles

TARGET = find_target("ethos-n78-4tops")
SIZES = st.integers(1, 300)


def test_direct_cycles_are_the_published_formula():
    # k·k · ⌈H⌉₄ · ⌈W⌉₂ · ⌈Cin⌉₁₆ · ⌈Cout⌉₁₆ / 2048
    assert direct_cycles(TARGET, (5, 5), (30, 17, 20), 3) == 25 * 32 * 18 * 16 * 32 // 2048


def test_winograd_makes_four_pixels_from_sixteen_products():
    direct = direct_cycles(TARGET, (3, 3), (64, 64, 16), 16)
    assert winograd_cycles(TARGET, (3, 3), (64, 64, 16), 16) * 9 == direct * 4


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_full_channels_reach_the_peak(target):
    height, width, channels = 64, 64, 2 * target.output_channels
    inputs = 2 * target.input_channels
    macs = 9 * height * width * channels * inputs
    cycles = direct_cycles(target, (3, 3), (height, width, channels), inputs)
    assert cycles * target.macs_per_cycle == macs


@given(st.tuples(SIZES, SIZES, SIZES, SIZES), st.integers(0, 3), st.integers(1, 40))
def test_more_pixels_or_channels_are_never_cheaper(size, axis, more):
    larger = tuple(n + more * (i == axis) for i, n in enumerate(size))
    for cycles in (direct_cycles, winograd_cycles):
        before = cycles(TARGET, (3, 3), size[:3], size[3])
        assert cycles(TARGET, (3, 3), larger[:3], larger[3]) >= before
    for kernel in TARGET.ple_cycles:
        before = ple_cycles(TARGET, kernel, size[:3], block_pixels=128)
        assert ple_cycles(TARGET, kernel, larger[:3], block_pixels=128) >= before


def _lower(graph):
    return [p for layer in layers_from_graph(graph) for p in lower(layer, TARGET)]


def test_depth_to_space_by_4_is_two_of_them(builder):
    b = builder(8, 8, 16)
    b.depth_to_space(4)
    first, second = _lower(b.graph())
    assert (first.output_shape, second.output_shape) == ((1, 16, 16, 4), (1, 32, 32, 1))
    assert second.inputs == (first.output,)


def test_a_large_transposed_kernel_gets_its_zeros_from_a_pass_of_its_own(network):
    graph = network("fsrcnn_x2", 16, 16)
    *_, up, conv = _lower(graph)
    assert up.op == "upsample"
    assert up.output_shape == (1, 32, 32, 56)
    assert conv.inputs == (up.output,)
    assert conv.macs == layers_from_graph(graph)[-1].macs


def test_stride_2_is_interleaved_first():
    layer = _layer("conv2d", (1, 16, 16, 8), (1, 8, 8, 8), kernel=(3, 3), strides=(2, 2))
    before, conv = lower(layer, TARGET)
    assert math.prod(before.output_shape) == 16 * 16 * 8
    assert conv.algorithm == "direct"


def _layer(op, *shapes, **fields):
    *inputs, output = shapes
    names = tuple(f"x{i}" for i in range(len(inputs)))
    return Layer(
        name=op,
        op=op,
        inputs=names,
        input_shapes=tuple(inputs),
        output="y",
        output_shape=output,
        **fields,
    )


MAP = (1, 16, 16, 16)
UNSUPPORTED = [
    _layer("prelu", MAP, MAP, weight_bytes=16),
    _layer("conv2d", MAP, MAP, kernel=(4, 4)),
    _layer("conv2d", MAP, MAP, strides=(3, 3)),
    _layer("conv2d", MAP, MAP, groups=2),
    _layer("conv2d_transpose", MAP, (1, 48, 48, 1), kernel=(9, 9), strides=(3, 3)),
    _layer("depth_to_space", (1, 16, 16, 9), (1, 48, 48, 1)),
    _layer("resize", MAP, (1, 48, 48, 16)),
    _layer("add", MAP, (1, 16, 16, 1), MAP),
    _layer("mul", MAP, MAP, MAP),
    _layer("concat", (1, 16, 16, 3), MAP, (1, 16, 16, 19)),
    _layer("slice", MAP, (1, 16, 16, 5)),
    _layer("max_pool", MAP, MAP, kernel=(5, 5)),
    _layer("mean", MAP, (1, 1, 1, 16)),
    _layer("space_to_depth", MAP, (1, 8, 8, 64)),
    _layer("exp", MAP, MAP),
]
SUPPORTED = [
    _layer("conv2d", MAP, MAP, kernel=(3, 3), groups=16),
    _layer("conv2d", MAP, MAP, kernel=(1, 9)),
    _layer("conv2d_transpose", MAP, (1, 32, 32, 1), kernel=(5, 5), strides=(2, 2)),
    _layer("depth_to_space", MAP, (1, 32, 32, 4)),
    _layer("resize", MAP, (1, 32, 32, 16)),
    _layer("add", MAP, MAP, MAP),
    _layer("add", MAP, MAP, weight_bytes=16),
    _layer("mul", MAP, MAP, weight_bytes=16),
    _layer("concat", MAP, MAP, (1, 16, 16, 32)),
    _layer("slice", (1, 16, 16, 32), MAP),
    _layer("max_pool", MAP, (1, 8, 8, 16), kernel=(2, 2), strides=(2, 2)),
    _layer("mean", (1, 8, 8, 16), (1, 1, 1, 16)),
    _layer("sigmoid", MAP, MAP),
    _layer("clip", MAP, MAP),
]


@pytest.mark.parametrize("layer", UNSUPPORTED, ids=lambda layer: layer.op)
def test_what_the_npu_lacks_is_a_flagged_copy(layer):
    (p,) = lower(layer, TARGET)
    assert p.flag
    assert p.is_copy


@pytest.mark.parametrize("layer", SUPPORTED, ids=lambda layer: layer.op)
def test_what_the_npu_has_ends_in_the_layers_output(layer):
    passes = lower(layer, TARGET)
    assert not any(p.flag for p in passes)
    assert (passes[-1].output, passes[-1].output_shape) == ("y", layer.output_shape)


def test_one_dimensional_kernels_gain_less_from_winograd():
    row = winograd_cycles(TARGET, (1, 3), (64, 64, 16), 16)
    square = winograd_cycles(TARGET, (3, 3), (64, 64, 16), 16)
    assert row * 2 == square
    assert np.isclose(row / direct_cycles(TARGET, (1, 3), (64, 64, 16), 16), 2 / 3)
