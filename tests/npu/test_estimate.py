import csv
import dataclasses
import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.npu import TARGETS, estimate, find_target, layers_from_graph

TARGET = find_target("ethos-n78-4tops")
LARGE_SRAM = dataclasses.replace(TARGET, sram_bytes=1 << 40)
SMALL_SRAM = dataclasses.replace(TARGET, sram_bytes=1 << 10)


def _estimate(graph, target=TARGET, **options):
    return estimate(layers_from_graph(graph), target, **options)


def _chain(builder, *, features=16, blocks=4, height=64, width=64):
    b = builder(height, width, 3)
    for _ in range(blocks):
        b.conv(features, 3, "relu")
    return b.graph()


def test_with_room_for_everything_only_input_output_and_weights_cross_the_bus(builder):
    graph = _chain(builder)
    weights = sum(layer.weight_bytes for layer in layers_from_graph(graph))
    report = _estimate(graph, LARGE_SRAM)
    assert report.dram_bytes == 64 * 64 * (3 + 16) + weights
    assert {row.cascade for row in report.rows} == {0}


def test_without_room_every_tensor_is_written_and_read(builder):
    graph = _chain(builder)
    report = _estimate(graph, SMALL_SRAM)
    assert report.dram_bytes >= 64 * 64 * (3 + 3 * 2 * 16 + 16)
    assert len({row.cascade for row in report.rows}) == len(report.rows)


def test_a_residual_goes_through_dram(sesr):
    with_residual, without = (
        _estimate(sesr(3, 2, 64, 64, residual=residual), LARGE_SRAM) for residual in (True, False)
    )
    assert with_residual.dram_bytes - without.dram_bytes == 2 * 64 * 64 * 16


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.4]))
@settings(max_examples=30, deadline=None)
def test_no_pass_is_faster_than_any_of_its_engines(sesr, blocks, height, width, saving):
    report = _estimate(sesr(blocks, 2, 8 * height, 8 * width), activation_saving=saving)
    for row in report.rows:
        bus = max(row.read_bytes, row.write_bytes) / TARGET.dram_bytes_per_cycle
        assert row.cycles >= max(row.mce_cycles, row.ple_cycles, bus)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize(
    "larger", [{"height": 240}, {"width": 320}, {"features": 32}, {"blocks": 6}]
)
def test_a_larger_network_is_never_faster(builder, target, larger):
    small = {"height": 120, "width": 160, "features": 16, "blocks": 3}
    before, after = (_estimate(_chain(builder, **size), target) for size in (small, small | larger))
    assert after.seconds > before.seconds
    assert after.mce_cycles > before.mce_cycles


def test_more_sram_is_never_slower(sesr):
    graph = sesr(5, 2, 300, 400)
    targets = [dataclasses.replace(TARGET, sram_bytes=1 << n) for n in range(16, 26)]
    seconds = [_estimate(graph, target).seconds for target in targets]
    assert seconds == sorted(seconds, reverse=True)


def test_compression_saves_intermediate_tensors_and_no_others(sesr):
    # At 1080p no two passes fit on chip together, so that the schedule is the same.
    graph = sesr(5, 2, 1080, 1920)
    full, half, tenth = (_estimate(graph, activation_saving=saving) for saving in (0.0, 0.5, 0.9))
    ends = 1080 * 1920 * 5 + sum(layer.weight_bytes for layer in layers_from_graph(graph))
    assert full.dram_bytes > half.dram_bytes > tenth.dram_bytes > ends
    assert half.dram_bytes - ends == pytest.approx((full.dram_bytes - ends) / 2, rel=0.01)
    assert full.seconds > half.seconds > tenth.seconds


def test_sesr_m5_runs_near_the_papers_figure(sesr):
    # 27.22 ms (Bhardwaj et al. 2022), by an estimator and a compression that they do not publish.
    slow, fast = (
        _estimate(sesr(5, 2, 1080, 1920), activation_saving=saving).seconds for saving in (0, 0.5)
    )
    assert fast < 27.22e-3 < slow


def test_prelu_is_counted_and_flagged(builder):
    b = builder(64, 64, 1)
    conv = b.conv(16, 3)
    b.add("prelu", conv, np.zeros(16), shape=b.shapes[conv])
    report = _estimate(b.graph())
    (row,) = report.flagged
    assert row.op == "prelu"
    assert row.dram_bytes >= 2 * 64 * 64 * 16
    assert "NOT SUPPORTED" in report.to_text()


def test_a_scalar_constant_is_free_and_a_vector_is_not(builder):
    plain, scalar, vector = builder(64, 64, 16), builder(64, 64, 16), builder(64, 64, 16)
    for b, size in ((scalar, ()), (vector, (16,))):
        b.add("add", b.last, np.zeros(size), shape=b.shapes[b.last])
    reports = []
    for b in (plain, scalar, vector):
        b.conv(16, 3)
        reports.append(_estimate(b.graph()).seconds)
    assert reports[0] == reports[1] < reports[2]


def test_totals_are_the_rows_sums(sesr):
    graph = sesr(5, 4, 90, 160)
    report = _estimate(graph)
    assert report.macs == sum(layer.macs for layer in layers_from_graph(graph))
    assert report.seconds * TARGET.clock_hz == pytest.approx(sum(r.cycles for r in report.rows))
    assert report.fps * report.seconds == pytest.approx(1)


def test_csv_and_text_hold_a_line_a_pass(sesr):
    report = _estimate(sesr(3, 2, 90, 160))
    lines = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert [line["name"] for line in lines] == [row.name for row in report.rows]
    assert sum(float(line["ms"]) for line in lines) == pytest.approx(1e3 * report.seconds, rel=1e-3)
    text = report.to_text()
    assert all(row.name in text for row in report.rows)
    assert f"{report.fps:.1f} FPS" in text


@pytest.mark.parametrize("saving", [-0.1, 1.0, float("nan")])
def test_an_impossible_saving_is_refused(sesr, saving):
    with pytest.raises(InputError, match="activation_saving"):
        _estimate(sesr(3, 2, 8, 8), activation_saving=saving)


def test_no_layers_are_refused():
    with pytest.raises(InputError, match="no layers"):
        estimate([], TARGET)


def test_float_tensors_and_batches_are_refused(sesr):
    layers = layers_from_graph(sesr(3, 2, 8, 8))
    with pytest.raises(InputError, match="full INT8"):
        estimate([dataclasses.replace(layer, bits=32) for layer in layers], TARGET)
    batched = dataclasses.replace(layers[0], output_shape=(2, 8, 8, 16))
    with pytest.raises(InputError, match="batch"):
        estimate([batched], TARGET)


def test_an_unknown_target_is_told_the_known_ones():
    with pytest.raises(InputError, match="ethos-n78-4tops"):
        find_target("ethos-n79")


def test_an_estimate_takes_milliseconds(sesr):
    graph = sesr(5, 2, 1080, 1920)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        _estimate(graph)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
