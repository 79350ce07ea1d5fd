import dataclasses
import math

import pytest

from sesr_jax.npu import Layer, estimate, find_refusal, layers_from_graph
from sesr_jax.npu.lowering import lower
from sesr_jax.targets import find_target

TARGET = find_target("ethos-n78-4tops")


def _lower(graph, target=TARGET):
    return lower(layers_from_graph(graph), target)


def test_depth_to_space_by_4_is_two_of_them(builder):
    b = builder(8, 8, 16)
    b.depth_to_space(4)
    first, second = _lower(b.graph())
    assert (first.output_shape, second.output_shape) == ((1, 16, 16, 4), (1, 32, 32, 1))
    assert second.inputs == (first.output,)


def test_a_large_transposed_kernel_gets_its_zeros_from_a_pass_of_its_own(fsrcnn):
    graph = fsrcnn(16, 16)
    *_, up, conv = _lower(graph)
    assert up.op == "upsample"
    assert up.output_shape == (1, 32, 32, 56)
    assert conv.inputs == (up.output,)
    assert conv.macs == layers_from_graph(graph)[-1].macs


def test_stride_2_is_interleaved_first():
    layer = _layer("conv2d", (1, 16, 16, 8), (1, 8, 8, 8), kernel=(3, 3), strides=(2, 2))
    before, conv = lower([layer], TARGET)
    assert math.prod(before.output_shape) == 16 * 16 * 8
    assert not conv.conv.fast


def test_a_prelu_is_apart_where_the_target_cannot_append_it(builder):
    b = builder(8, 8, 3)
    b.conv(16, 3, "leaky_relu")
    for name, passes in (("ethos-n78-4tops", 1), ("vs680", 2)):
        assert len(_lower(b.graph(), find_target(name))) == passes


def test_a_network_that_costs_nothing_takes_no_time():
    report = estimate([_layer("reshape", (1, 4, 4, 1), (1, 16))], find_target("ethos-u65-512"))
    assert (report.seconds, report.rows, report.peak_sram_bytes) == (0, (), 0)
    assert "0.000 ms" in report.to_text()


def test_what_costs_nothing_is_no_pass_and_its_readers_read_its_inputs():
    half, whole = (1, 16, 16, 16), (1, 16, 16, 32)
    concat = _layer("concat", half, half, whole)
    conv = _layer("conv2d", whole, half, kernel=(3, 3), weight_bytes=9 * 32 * 16)
    conv = dataclasses.replace(conv, inputs=("y",), output="z")
    (p,) = lower([concat, conv], find_target("ethos-u65-512"))
    assert (p.inputs, p.conv.channels) == (("x0", "x1"), 32)
    copy, _ = lower([concat, conv], TARGET)
    assert copy.engine == "copy"


# Vela 5.2.0's cycles of AVERAGE_POOL_2D 3×3 on [1, 64, 64, 32].
POOLS = {
    "ethos-u55-128": 296276,
    "ethos-u55-256": 149532,
    "ethos-u65-256": 149065,
    "ethos-u65-512": 74798,
    "ethos-u85-512": 75664,
    "ethos-u85-2048": 20268,
}


@pytest.mark.parametrize("name", POOLS)
def test_a_pooling_costs_its_window(name):
    shape = (1, 64, 64, 32)
    small, large = (
        estimate([_layer("average_pool", shape, shape, kernel=kernel)], find_target(name))
        for kernel in ((3, 3), (6, 6))
    )
    assert small.rows[0].mac_cycles == pytest.approx(POOLS[name], rel=0.1)
    assert large.rows[0].mac_cycles == 4 * small.rows[0].mac_cycles


# Likewise of MEAN on [1, 16, 16, 64].
MEANS = {
    "ethos-u55-128": 22436,
    "ethos-u55-256": 22596,
    "ethos-u65-256": 22180,
    "ethos-u65-512": 11340,
    "ethos-u85-512": 11325,
    "ethos-u85-2048": 6176,
}


@pytest.mark.parametrize("name", MEANS)
def test_a_mean_costs_its_map(name):
    target = find_target(name)
    small, large = (
        estimate([_layer("mean", (1, side, side, 64), (1, 64))], target) for side in (16, 64)
    )
    assert small.rows[0].mac_cycles == pytest.approx(MEANS[name], rel=0.35)
    assert large.rows[0].mac_cycles == 16 * small.rows[0].mac_cycles


def test_bilinear_resizing_costs_more_than_nearest():
    shape, target = (1, 16, 16, 32), find_target("ethos-u65-512")
    nearest, bilinear = (
        estimate([_layer("resize", shape, (1, 32, 32, 32), kernel=(k, k))], target) for k in (1, 2)
    )
    assert bilinear.seconds >= nearest.seconds
    assert bilinear.rows[0].mac_cycles > 0


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
    _layer("prelu", MAP, MAP, weight_bytes=16, constants=16),
    _layer("conv2d", MAP, MAP, kernel=(4, 4)),
    _layer("conv2d", MAP, MAP, strides=(3, 3)),
    _layer("conv2d", MAP, MAP, groups=2),
    _layer("conv2d_transpose", MAP, (1, 48, 48, 1), kernel=(9, 9), strides=(3, 3)),
    _layer("depth_to_space", (1, 16, 16, 9), (1, 48, 48, 1)),
    _layer("resize", MAP, (1, 48, 48, 16)),
    _layer("resize", MAP, (1, 32, 48, 16)),
    _layer("resize", MAP, (1, 32, 16, 16)),
    _layer("resize", MAP, (1, 8, 8, 16)),
    _layer("add", MAP, (1, 16, 16, 1), MAP),
    _layer("mul", MAP, MAP, MAP),
    _layer("interleaved", MAP, MAP),
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
    _layer("add", MAP, MAP, weight_bytes=16, constants=16),
    _layer("mul", MAP, MAP, weight_bytes=16, constants=16),
    _layer("concat", MAP, MAP, (1, 16, 16, 32)),
    _layer("slice", (1, 16, 16, 32), MAP),
    _layer("max_pool", MAP, (1, 8, 8, 16), kernel=(2, 2), strides=(2, 2)),
    _layer("mean", (1, 8, 8, 16), (1, 1, 1, 16)),
    _layer("sigmoid", MAP, MAP),
    _layer("clip", MAP, MAP),
]


@pytest.mark.parametrize("layer", UNSUPPORTED, ids=lambda layer: layer.op)
def test_what_the_npu_lacks_is_a_flagged_copy(layer):
    (p,) = lower([layer], TARGET)
    assert p.flag == find_refusal(layer, TARGET) != ""
    assert p.engine == "copy"


@pytest.mark.parametrize("layer", SUPPORTED, ids=lambda layer: layer.op)
def test_what_the_npu_has_ends_in_the_layers_output(layer):
    passes = lower([layer], TARGET)
    assert not find_refusal(layer, TARGET)
    assert not any(p.flag for p in passes)
    assert (passes[-1].output, passes[-1].output_shape) == ("y", layer.output_shape)


def test_a_residual_is_added_on_the_results_of_a_convolution_where_the_target_joins(sesr):
    layers = layers_from_graph(sesr(2, 2, 300, 400))
    joined, apart = (find_target(f"ethos-{name}") for name in ("u85-2048", "u65-512"))
    assert "add" in [p.op for p in lower(layers, apart)]
    (p,) = [p for p in lower(layers, joined) if p.op.endswith("+add")]
    assert p.joined
    assert len(p.inputs) == 2
    assert p.macs == layers[2].macs
    # No stripes flow into it: what it reads was written, and what it writes is read again.
    row = next(row for row in estimate(layers, joined).rows if row.op.endswith("+add"))
    assert row.schedule == "alone"
    assert row.write_bytes == 300 * 400 * 16
    assert row.bound == "read"


def test_what_two_layers_read_stays_on_chip_whole_or_not_at_all(sesr):
    target = find_target("ethos-u85-2048")
    assert not target.stripes.branches
    small, large = (
        estimate(layers_from_graph(sesr(2, 2, *size)), target) for size in ((64, 64), (300, 400))
    )
    assert small.rows[0].write_bytes == 0
    assert large.rows[0].write_bytes == 300 * 400 * 16
