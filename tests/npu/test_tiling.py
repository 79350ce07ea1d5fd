import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.graph import count_tiles, measure_extent
from sesr_jax.npu import estimate, find_best_tiling, layers_from_graph, with_input_size
from sesr_jax.targets import find_target
from sesr_jax.upscale.tiles import _split_axis

TARGET = find_target("ethos-n78-4tops")


@given(st.integers(1, 400), st.integers(1, 200), st.integers(0, 20), st.sampled_from([1, 2, 4]))
def test_windows_are_those_that_the_upscaler_runs(length, size, halo, align):
    length, size = align * length, align * size
    assume(size >= length or size - 2 * halo >= align)
    assert count_tiles(length, size, halo, align) == len(_split_axis(length, size, halo, align))


def test_a_window_of_nothing_but_halo_is_refused():
    with pytest.raises(InputError, match="at least 19"):
        count_tiles(100, 18, 9)


@given(st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_layers_at_another_size_are_the_networks_own(sesr, fsrcnn, height, width):
    size = (8 * height, 8 * width)
    for make in (lambda *s: sesr(2, 4, *s), fsrcnn):
        assert with_input_size(layers_from_graph(make(64, 48)), *size) == layers_from_graph(
            make(*size)
        )


def test_sizes_that_a_network_does_not_have_are_refused(builder):
    b = builder(8, 8, 3)
    n, h, w, c = b.shapes["input"]
    b.add("space_to_depth", "input", shape=(n, h // 2, w // 2, 4 * c), block=2)
    with pytest.raises(InputError, match="no whole size"):
        with_input_size(layers_from_graph(b.graph()), 9, 8)


def test_the_best_tiles_cover_the_frame_and_are_no_slower_than_the_whole(sesr):
    graph = sesr(1, 2, 270, 480)
    layers, halo = layers_from_graph(graph), measure_extent(graph).halo
    for target in (TARGET, find_target("ethos-u65-512")):
        best = find_best_tiling(layers, target, frame=(270, 480), halo=halo)
        assert best.seconds <= best.whole.seconds
        for length, size, count in zip(best.frame, best.tile, best.tiles, strict=True):
            kept = size if count == 1 else count * (size - 2 * halo) + 2 * halo
            assert kept >= length
        assert best.seconds == math.prod(best.tiles) * best.report.seconds


def test_a_given_tile_is_counted_with_its_overlap_and_as_the_paper_counts_it(sesr):
    layers = layers_from_graph(sesr(5, 2, 1080, 1920))
    tiling = find_best_tiling(layers, TARGET, frame=(1080, 1920), halo=9, tile=(300, 400))
    one = estimate(with_input_size(layers, 300, 400), TARGET).seconds
    assert tiling.tiles == (4, 5)
    assert tiling.seconds == pytest.approx(20 * one)
    # Bhardwaj et al. 2022: a frame is 17.28 tiles.
    assert tiling.seconds_by_area == pytest.approx(17.28 * one)
    assert "17.28 tiles" in tiling.to_text()


def test_frames_that_do_not_fit_are_refused(sesr):
    with pytest.raises(InputError, match="multiples of 2"):
        find_best_tiling(layers_from_graph(sesr(1, 2, 8, 8)), TARGET, frame=(9, 8), halo=5, align=2)
