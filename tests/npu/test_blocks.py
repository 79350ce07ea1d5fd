"""Blocks of the MAC array: what any choice must satisfy, and cases that can be counted by hand."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax.npu import estimate, layers_from_graph
from sesr_jax.npu.blocks import choose_block, measure_block_work
from sesr_jax.npu.engines import Convolution, choose_tap_group, direct_cycles
from sesr_jax.targets import find_target

TARGET = find_target("ethos-u85-2048")
SPEC = TARGET.mac.blocks
SIDES = st.integers(1, 80)


def _conv(side, shape, channels, **fields):
    return Convolution(kernel=(side, side), output=shape, channels=channels, **fields)


@settings(max_examples=50)
@given(st.tuples(SIDES, SIDES, SIDES), SIDES, st.integers(1, 9), SIDES)
def test_a_block_fits_the_buffers_and_holds_what_it_needs(shape, channels, side, rows):
    conv = _conv(side, shape, channels)
    (height, width, depth), (in_h, in_w, in_depth) = choose_block(TARGET, conv, rows)
    assert in_h * in_w * in_depth <= SPEC.input_bytes
    assert 4 * height * width * depth <= SPEC.sum_bytes
    assert in_h >= height + min(side, SPEC.kernel) - 1
    assert in_w >= width + min(side, SPEC.kernel) - 1


@settings(max_examples=50)
@given(st.tuples(SIDES, SIDES, SIDES), SIDES, st.integers(1, 9))
def test_every_byte_is_read_at_least_once(shape, channels, side):
    assert measure_block_work(TARGET, _conv(side, shape, channels), shape[0]).reads >= 1


def test_a_mean_reads_its_input_once():
    conv = _conv(64, (1, 1, 64), 64, groups=64, stride=64)
    assert measure_block_work(TARGET, conv, 1).reads == 1


def test_a_kernel_beyond_the_largest_reads_the_input_for_each_of_its_parts():
    small, large = (
        measure_block_work(TARGET, _conv(side, (64, 64, 16), 16), 64).reads
        for side in (SPEC.kernel, SPEC.kernel + 1)
    )
    assert large > 2 * small


def test_two_channels_are_sparse():
    one, two, three = (direct_cycles(TARGET, _conv(5, (64, 64, 16), n)) for n in (1, 2, 3))
    assert 2 * one == 2 * two == three


@pytest.mark.parametrize(
    ("taps", "channels", "group"),
    # 5 · 5 taps are counted as 27 of four at once; 9 are 9, and equal fill goes to several taps.
    [(25, 64, 1), (9, 64, 4), (1, 64, 1), (1, 16, 4), (25, 16, 4)],
)
def test_taps_share_the_lanes_by_how_full_they_are(taps, channels, group):
    assert choose_tap_group(TARGET.mac, taps, channels) == group


def test_more_taps_than_lanes_share_them_one_at_a_time():
    mac = dataclasses.replace(TARGET.mac, inputs=4, tap_groups=(1, 64))
    assert choose_tap_group(mac, 9, 1) in mac.tap_groups


def test_stripes_of_one_row_take_flat_micro_blocks():
    conv = _conv(3, (64, 64, 64), 64)
    assert direct_cycles(TARGET, conv, 1) == direct_cycles(TARGET, conv)
    narrow = _conv(3, (64, 64, 16), 64)  # 16 of a flat block's 64 channels
    assert direct_cycles(TARGET, narrow, 1) > direct_cycles(TARGET, narrow)


def test_short_bursts_cost_whole_ones_at_the_network_s_own_input(sesr):
    layers = layers_from_graph(sesr(2, 2, 64, 64))
    cheap = dataclasses.replace(TARGET, memory=dataclasses.replace(TARGET.memory, burst_bytes=0))
    read, least = (estimate(layers, target).rows[0].read_bytes for target in (TARGET, cheap))
    assert read > least
