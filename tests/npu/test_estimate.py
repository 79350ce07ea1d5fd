import csv
import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.npu import estimate, layers_from_graph
from sesr_jax.npu.layers import ACTIVATIONS
from sesr_jax.targets import find_target, list_targets

TARGET = find_target("ethos-n78-4tops")


def _with_memory(target=TARGET, **figures):
    return dataclasses.replace(target, memory=dataclasses.replace(target.memory, **figures))


LARGE_SRAM = _with_memory(sram_bytes=1 << 40)
SMALL_SRAM = _with_memory(sram_bytes=1 << 10)


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
    assert {(row.cascade, row.schedule) for row in report.rows} == {(0, "on chip")}


def test_without_room_every_tensor_is_written_and_read(builder):
    graph = _chain(builder)
    report = _estimate(graph, SMALL_SRAM)
    assert report.dram_bytes >= 64 * 64 * (3 + 3 * 2 * 16 + 16)
    passes = [row for row in report.rows if row.op != "layout"]
    assert {row.schedule for row in report.rows} == {"alone"}
    assert len({row.cascade for row in passes}) == len(passes)


def test_a_residual_stays_on_chip_where_there_is_room_and_costs_three_transfers_where_not(sesr):
    for target, transfers in ((LARGE_SRAM, 0), (SMALL_SRAM, 3)):
        with_residual, without = (
            _estimate(sesr(3, 2, 64, 64, residual=residual), target) for residual in (True, False)
        )
        more = with_residual.dram_bytes - without.dram_bytes
        assert more == transfers * 64 * 64 * 16


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.4]))
@settings(max_examples=30, deadline=None)
def test_no_pass_is_faster_than_any_of_its_engines(sesr, blocks, height, width, saving):
    report = _estimate(sesr(blocks, 2, 8 * height, 8 * width), activation_saving=saving)
    for row in report.rows:
        bus = max(row.read_bytes, row.write_bytes) / TARGET.memory.dram_bytes_per_cycle
        assert row.cycles >= max(row.mac_cycles, row.vector_cycles, bus)
        assert row.sram_bytes <= TARGET.memory.sram_bytes


@pytest.mark.parametrize("name", list_targets())
@pytest.mark.parametrize(
    "larger", [{"height": 240}, {"width": 320}, {"features": 32}, {"blocks": 6}]
)
def test_a_larger_network_is_never_faster(builder, name, larger):
    target = find_target(name)
    small = {"height": 120, "width": 160, "features": 16, "blocks": 3}
    before, after = (_estimate(_chain(builder, **size), target) for size in (small, small | larger))
    assert after.seconds >= before.seconds
    assert after.macs > before.macs
    assert after.mac_cycles >= before.mac_cycles


def test_more_sram_is_never_slower(sesr):
    graph = sesr(5, 2, 300, 400)
    targets = [_with_memory(sram_bytes=1 << n) for n in range(18, 26)]
    seconds = [_estimate(graph, target).seconds for target in targets]
    assert seconds == sorted(seconds, reverse=True)


@pytest.mark.parametrize("name", list_targets())
def test_more_bandwidth_is_never_slower(sesr, name):
    layers = layers_from_graph(sesr(3, 2, 90, 160))
    targets = [_with_memory(find_target(name), dram_bytes_per_cycle=2.0**n) for n in range(7)]
    seconds = [estimate(layers, target).seconds for target in targets]
    assert seconds == sorted(seconds, reverse=True)


@pytest.mark.parametrize("name", list_targets())
def test_multiply_accumulates_are_those_of_the_network(fsrcnn, name):
    layers = layers_from_graph(fsrcnn(24, 24))
    assert estimate(layers, find_target(name)).macs == sum(layer.macs for layer in layers)


def test_layer_by_layer_moves_every_tensor_and_cascades_move_fewer(builder):
    graph = _chain(builder)
    roofline = find_target("roofline")
    alone = dataclasses.replace(roofline, stripes=dataclasses.replace(roofline.stripes, cascades=1))
    weights = sum(layer.weight_bytes for layer in layers_from_graph(graph))
    ends = 64 * 64 * (3 + 16) + weights
    assert _estimate(graph, alone).dram_bytes == ends + 3 * 2 * 64 * 64 * 16
    assert _estimate(graph, roofline).dram_bytes == ends


def test_energy_is_that_of_macs_and_traffic(builder):
    report = _estimate(_chain(builder), find_target("roofline"))
    energy = report.target.energy
    want = energy.mac * report.macs + energy.dram_byte * report.dram_bytes
    assert report.joules == pytest.approx(want * 1e-12)
    assert _estimate(_chain(builder)).joules is None


def test_a_target_of_floats_moves_twice_the_bytes(builder):
    int8, f16 = (
        _estimate(_chain(builder), find_target(f"bm1684x-{kind}")) for kind in ("int8", "f16")
    )
    biases = 4 * 4 * 16  # of 4 bytes in both
    assert f16.dram_bytes == 2 * int8.dram_bytes - biases
    assert f16.seconds > int8.seconds


def test_compression_saves_intermediate_tensors_and_no_others(sesr):
    # At 1080p no two passes fit on chip together; only the stripes' borders may differ.
    graph = sesr(5, 2, 1080, 1920)
    full, half, tenth = (_estimate(graph, activation_saving=saving) for saving in (0.0, 0.5, 0.9))
    ends = 1080 * 1920 * 5 + sum(layer.weight_bytes for layer in layers_from_graph(graph))
    assert full.dram_bytes > half.dram_bytes > tenth.dram_bytes > ends
    assert half.dram_bytes - ends == pytest.approx((full.dram_bytes - ends) / 2, rel=0.06)
    assert full.seconds > half.seconds > tenth.seconds


def test_a_target_that_does_not_compress_says_so(sesr):
    report = _estimate(sesr(2, 2, 32, 32), find_target("vs680"), activation_saving=0.5)
    assert report.activation_saving == 0
    assert "activation saving 0:" in report.summarise()
    assert "KiB SRAM" in report.summarise()
    assert "sram_kib" in report.to_csv().splitlines()[0].split(",")


def test_sesr_m5_runs_near_the_papers_figures(sesr):
    # 27.22 ms and 282 MB (Bhardwaj et al. 2022), by an estimator and a compression that they do not print.
    report = _estimate(sesr(5, 2, 1080, 1920), activation_saving=0.5)
    assert report.seconds == pytest.approx(27.22e-3, rel=0.05)
    assert report.dram_bytes == pytest.approx(282e6, rel=0.05)


def test_prelu_is_counted_and_flagged(builder):
    b = builder(64, 64, 1)
    conv = b.conv(16, 3)
    b.add("prelu", conv, np.zeros(16), shape=b.shapes[conv])
    report = _estimate(b.graph())
    (row,) = report.flagged
    assert row.op == "prelu"
    assert row.dram_bytes >= 2 * 64 * 64 * 16
    assert "NOT SUPPORTED" in report.to_text()


def test_what_does_not_run_uses_nothing(builder):
    b = builder(64, 64, 16)
    b.conv(16, 3)
    b.conv(16, 4)  # a kernel that Ethos-N lacks
    report = _estimate(b.graph())
    run, flagged = report.rows
    assert flagged.flag
    assert (flagged.utilisation, run.utilisation > 0) == (0, True)
    peak = report.seconds * TARGET.clock_hz * TARGET.mac.macs_per_cycle
    assert report.utilisation == pytest.approx(run.macs / peak)
    assert report.macs == run.macs + flagged.macs


def test_a_scalar_constant_is_free_and_a_vector_is_not(builder):
    plain, scalar, vector = builder(64, 64, 16), builder(64, 64, 16), builder(64, 64, 16)
    for b, size in ((scalar, ()), (vector, (16,))):
        b.add("add", b.last, np.zeros(size), shape=b.shapes[b.last])
    reports = []
    for b in (plain, scalar, vector):
        b.conv(16, 3)
        reports.append(_estimate(b.graph()).seconds)
    assert reports[0] == reports[1] < reports[2]


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("name", list_targets())
def test_no_activation_makes_a_layer_faster(builder, name, activation):
    b = builder(64, 64, 4)
    b.conv(16, 1)
    (plain,) = layers_from_graph(b.graph())
    target = find_target(name)
    before, after = (
        estimate([dataclasses.replace(plain, activation=one)], target) for one in (None, activation)
    )
    assert after.seconds >= before.seconds
    assert after.vector_cycles >= before.vector_cycles


def test_an_output_that_nothing_reads_may_be_made_before_the_last(builder):
    b = builder(32, 32, 8)
    last = b.conv(8, 1)
    b.add("mul", last, last, shape=b.shapes[last])
    b.last = last
    b.conv(8, 3)
    for name in list_targets():
        assert _estimate(b.graph(), find_target(name)).rows[-1].write_bytes >= 32 * 32 * 8


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
    batched = dataclasses.replace(layers[0], input_shapes=((2, 8, 8, 1),))
    with pytest.raises(InputError, match="batch"):
        estimate([batched], TARGET)


def test_what_is_assumed_of_a_target_is_said(builder):
    said = _estimate(_chain(builder), find_target("bm1684x-int8")).to_text()
    assert "Assumed or fitted in bm1684x-int8" in said
    assert "mac.efficiency" in said
    assert "Assumed" not in _estimate(_chain(builder)).to_text()


@pytest.mark.parametrize("name", list_targets())
def test_every_target_that_ships_estimates_a_network(name, sesr):
    target = find_target(name)
    assert (target.name, bool(target.title)) == (name, True)
    report = estimate(layers_from_graph(sesr(2, 2, 32, 32)), target)
    assert report.seconds > 0
    assert report.peak_sram_bytes <= target.memory.sram_bytes


def test_a_new_target_is_one_file(tmp_path, sesr):
    file = tmp_path / "next_chip.toml"
    file.write_text(
        'like = "ethos-n78-4tops"\ntitle = "next"\nclock_hz = 2e9\n[sources]\nclock_hz = "assumed"\n'
    )
    fast, slow = find_target(file), find_target("ethos-n78-4tops")
    layers = layers_from_graph(sesr(2, 2, 32, 32))
    assert fast.name == "next_chip"
    assert estimate(layers, slow).seconds == 2 * estimate(layers, fast).seconds
