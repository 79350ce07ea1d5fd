import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesr_jax.npu.engines import (
    Convolution,
    direct_cycles,
    mac_cycles,
    vector_cycles,
    winograd_cycles,
)
from sesr_jax.targets import find_target, list_targets

TARGET = find_target("ethos-n78-4tops")
LARGEST, SMALLEST = (16, 16), (8, 8)
SIZES = st.integers(1, 300)


def _conv(side, shape, channels, **fields):
    kernel = side if isinstance(side, tuple) else (side, side)
    return Convolution(kernel=kernel, output=shape, channels=channels, **fields)


def test_direct_cycles_are_the_published_formula():
    # k·k · ⌈H⌉₄ · ⌈W⌉₂ · ⌈Cin⌉₁₆ · ⌈Cout⌉₁₆ / 2048
    assert direct_cycles(TARGET, _conv(5, (30, 17, 20), 3)) == 25 * 32 * 18 * 16 * 32 // 2048


def test_winograd_makes_four_pixels_from_sixteen_products():
    conv = _conv(3, (64, 64, 16), 16)
    assert winograd_cycles(TARGET, conv, (16, 8)) * 9 == direct_cycles(TARGET, conv) * 4


def test_winograd_needs_small_blocks():
    conv = _conv(3, (64, 64, 16), 16, fast=True)
    assert mac_cycles(TARGET, conv, LARGEST) == (direct_cycles(TARGET, conv), "direct")
    assert mac_cycles(TARGET, conv, (16, 8))[1] == "winograd"


def test_one_dimensional_kernels_gain_less_from_winograd():
    row, square = (_conv(side, (64, 64, 16), 16) for side in ((1, 3), (3, 3)))
    assert winograd_cycles(TARGET, row, (16, 8)) * 2 == winograd_cycles(TARGET, square, (16, 8))
    gain = winograd_cycles(TARGET, row, (16, 8)) / direct_cycles(TARGET, row)
    assert np.isclose(gain, 2 / 3)


@pytest.mark.parametrize(
    ("side", "channels", "turns"),
    # All taps fit into 64 lanes, those of a row do, none does; more channels than lanes.
    [(5, 1, 1), (3, 16, 3), (5, 16, 25), (3, 64, 9), (3, 65, 18)],
)
def test_taps_of_a_row_share_lanes_where_they_fit(side, channels, turns):
    target = find_target("bm1684x-int8")
    target = dataclasses.replace(target, mac=dataclasses.replace(target.mac, efficiency=1.0))
    conv = _conv(side, (64, 64, 64), channels)
    assert direct_cycles(target, conv) == turns * 64 * 64 // 4
    # tpu-mlir's timeline: 768 cycles to make the codes of 64×64×64, and as long again for one more channel.
    for codes, outputs in ((768, 64), (2 * 768, 65)):
        conv = _conv(side, (64, 64, outputs), channels)
        assert mac_cycles(target, conv, (1, 1))[0] == direct_cycles(target, conv) + codes


@pytest.mark.parametrize("name", list_targets())
def test_full_channels_reach_the_peak(name):
    target = find_target(name)
    side, outputs, inputs = 64, 2 * target.mac.outputs, 2 * target.mac.inputs
    conv = _conv(4, (side, side, outputs), inputs)
    macs = 16 * side**2 * outputs * inputs
    cycles = direct_cycles(target, conv)
    assert cycles == math.ceil(macs / target.mac.macs_per_cycle / target.mac.efficiency - 1e-9)


@pytest.mark.parametrize("name", list_targets())
@given(size=st.tuples(SIZES, SIZES, SIZES), channels=SIZES, side=st.integers(1, 9))
def test_no_array_does_more_than_its_peak(name, size, channels, side):
    mac = find_target(name).mac
    macs = side**2 * np.prod(size) * channels
    assert (
        direct_cycles(find_target(name), _conv(side, size, channels)) >= macs // mac.macs_per_cycle
    )


@given(st.tuples(SIZES, SIZES, SIZES, SIZES), st.integers(0, 3), st.integers(1, 40))
def test_more_pixels_or_channels_are_never_cheaper(size, axis, more):
    larger = tuple(n + more * (i == axis) for i, n in enumerate(size))
    before, after = (_conv(3, tuple(s[:3]), s[3]) for s in (size, larger))
    assert direct_cycles(TARGET, after) >= direct_cycles(TARGET, before)
    assert winograd_cycles(TARGET, after, SMALLEST) >= winograd_cycles(TARGET, before, SMALLEST)
    for block in (None, np.array(0)):
        cycles = [vector_cycles(TARGET, 6, tuple(s[:3]), block, 64) for s in (size, larger)]
        assert cycles[1] >= cycles[0]


def test_taps_share_lanes_where_that_is_faster():
    alone = dataclasses.replace(TARGET.mac, inputs=32, tap_groups=(1,))
    shared = dataclasses.replace(alone, tap_groups=(1, 4))
    few, many = _conv(3, (8, 8, 16), 3), _conv(3, (8, 8, 16), 64)
    targets = [dataclasses.replace(TARGET, mac=mac) for mac in (alone, shared)]
    assert [direct_cycles(t, few) for t in targets] == [9 * 64 // 4, 3 * 64 // 4]
    assert direct_cycles(targets[0], many) == direct_cycles(targets[1], many)


def test_groups_share_the_work_until_they_leave_lanes_idle():
    whole, halves, quarters, eighths = (
        direct_cycles(TARGET, _conv(3, (8, 8, 64), 64, groups=groups)) for groups in (1, 2, 4, 8)
    )
    assert whole == 2 * halves == 4 * quarters
    assert eighths == 2 * quarters  # eight channels in sixteen lanes, eight times


def test_a_depthwise_convolution_fills_its_lanes():
    cycles = direct_cycles(TARGET, _conv(3, (8, 8, 64), 64, groups=64))
    assert cycles == 9 * 64 * 64 // TARGET.mac.depthwise // 8  # eight pixels at once


def test_a_depthwise_engine_takes_one_channel_convolutions_too():
    target = find_target("ethos-u65-512")
    one = Convolution(kernel=(5, 5), output=(8, 8, 16), channels=1)
    deep = Convolution(kernel=(5, 5), output=(8, 8, 16), channels=16, groups=16)
    # 7 turns of 4 taps and 64 products a cycle: 28 of 25 taps for each of 16 channels.
    assert direct_cycles(target, one) == direct_cycles(target, deep) == 8 * 8 * 16 * 28 // 64
