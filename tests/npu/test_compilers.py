"""Vendors' compilers of .tflite files: Vela for real, on one small model."""

import dataclasses
import importlib.util
import pathlib

import numpy as np
import pytest
from flax import linen as nn

from benchmarks import vela as benchmark
from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export import Options, export_tflite
from sesr_jax.graph import trace
from sesr_jax.npu import estimate, layers_from_tflite, list_refusals
from sesr_jax.npu.compilers import COMPILERS, compile_model, vela
from sesr_jax.quant import find_points
from sesr_jax.targets import find_target, list_targets

TARGET = find_target("ethos-u85-2048")
needs_vela = pytest.mark.skipif(
    importlib.util.find_spec("ethosu") is None, reason='Vela comes with the extra "npu"'
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> pathlib.Path:
    """SESR-M3 ×2 in INT8 as the project exports it."""
    path = tmp_path_factory.mktemp("vela") / "m3.tflite"
    benchmark.export_network("sesr_m3_hw", 2, (32, 48), path)
    return path


@pytest.fixture(scope="module")
def compiled(model):
    return compile_model(model, TARGET)


@needs_vela
def test_every_operator_has_its_cycles(compiled, model):
    convolutions = [one for one in compiled.operators if "Conv2D" in one.op]
    assert len(convolutions) == 5
    for one in convolutions:
        assert one.cycles >= one.compute_cycles > 0
    total = sum(one.cycles for one in compiled.operators if not one.host) / compiled.clock_hz
    assert compiled.seconds == pytest.approx(total, rel=1e-3)
    assert 0 < compiled.sram_bytes <= TARGET.memory.sram_bytes
    assert compiled.dram_bytes >= 32 * 48 * 5  # the image that goes in, and the one that comes out


@needs_vela
def test_what_falls_to_the_host_is_named_and_costed_by_us(compiled, model):
    (shuffle,) = compiled.on_host
    assert (shuffle.op, shuffle.reason) == ("DepthToSpace", "Unsupported opType")
    (ours,) = estimate(layers_from_tflite(model), TARGET).flagged
    assert shuffle.cycles == ours.cycles > 0
    assert compiled.host_seconds == pytest.approx(ours.cycles / TARGET.clock_hz)
    text = compiled.to_text()
    assert "ON THE HOST: DepthToSpace" in text
    assert f"{(compiled.seconds + compiled.host_seconds) * 1e3:.3f} ms" in text


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> pathlib.Path:
    """An RGB network that is cut into stripes, of no width of the zoo."""
    path = tmp_path_factory.mktemp("vela") / "plain.tflite"
    benchmark.export_network("plain_3_24_2_5", 1, (120, 200), path)
    return path


@pytest.fixture(scope="module")
def frame(tmp_path_factory) -> pathlib.Path:
    """SESR-M3 ×2 at a size whose cycles are work, and not the wait for commands."""
    path = tmp_path_factory.mktemp("vela") / "frame.tflite"
    benchmark.export_network("sesr_m3_hw", 2, (180, 320), path)
    return path


@needs_vela
@pytest.mark.parametrize(
    ("target", "networks"),
    # What RGB costs Ethos-U65 is not modelled: see the benchmark.
    [("ethos-u65-512", ["frame"]), ("ethos-u85-2048", ["frame", "plain"])],
)
def test_the_estimates_agree_layer_by_layer(target, networks, request):
    paths = map(request.getfixturevalue, networks)
    found = [
        row for path in paths for row in benchmark.compare_file(path, path.stem, target, "unseen")
    ]
    assert len(found) == (5 if networks == ["frame"] else 9)
    rank, median = benchmark.measure_agreement(found)
    assert rank >= 0.95
    assert median < 0.2


def _make_of_many_operators(x):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32) / 9
    slopes = np.linspace(0.1, 0.3, 8, dtype=np.float32)
    h = ops.prelu(ops.conv2d(x, kernel), slopes)
    h = ops.add(ops.mul(h, ops.mean(h)), ops.leaky_relu(ops.conv2d(x, kernel), slope=0.1))
    h = ops.relu(ops.conv2d(h, kernel[:, :, :1], groups=8))
    h = ops.max_pool(h, window=(2, 2), strides=(2, 2))
    h = ops.average_pool(h, window=(3, 3), strides=(1, 1))
    h = ops.resize(h, scale=2, method="nearest")
    return ops.conv2d_transpose(h, kernel, strides=(2, 2))


@needs_vela
@pytest.mark.parametrize("name", ["ethos-u55-128", "ethos-u85-2048"])
def test_vela_runs_integers_of_16_bits_as_the_target_says(name, tmp_path):
    graph = trace(nn.Sequential([_make_of_many_operators]), {}, (1, 16, 16, 8))
    where, path = find_points(graph), tmp_path / "many.tflite"
    ranges = {key: where.fixed.get(key, (-1.0, 1.0)) for key in where.group.values()}
    export_tflite(graph, path, ranges=ranges, options=Options(precision="int16"))
    target = find_target(name)
    assert list_refusals(path, target) == ()
    with pytest.raises(InputError, match=f"0_conv_2d.*16-bit.* {name} "):
        estimate(layers_from_tflite(path), target)
    vela._run(path, target, str(tmp_path))
    (compiled,) = tmp_path.glob("*_vela.tflite")
    with pytest.raises(InputError, match=rf"{compiled.name}.* Vela"):
        layers_from_tflite(compiled)
    rows = vela._read_csv(str(tmp_path), "*_per-layer.csv")
    assert len(rows) > 10
    assert {row["Target"] for row in rows} == {"NPU"}


@needs_vela
def test_what_vela_refuses_is_its_last_line(model):
    nowhere = dataclasses.replace(TARGET, compiler=dict(TARGET.compiler, system="Nowhere"))
    with pytest.raises(InputError, match=r"Vela does not compile m3\.tflite.*Nowhere"):
        compile_model(model, nowhere)


@needs_vela
def test_what_vela_must_be_told_is_in_the_target_s_file(model):
    target = dataclasses.replace(TARGET, compiler={"name": "vela"})
    with pytest.raises(InputError, match=r"\[compiler\] has no accelerator"):
        compile_model(model, target)


def test_without_vela_the_extra_is_named(model, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"sesr_jax\[npu\]"):
        compile_model(model, TARGET)


def test_a_float_file_is_refused(tmp_path):
    path = tmp_path / "float.tflite"
    export_tflite(benchmark.make_graph("conv_3_8_3", 1, (8, 8)), path, ranges=None)
    with pytest.raises(InputError, match="32-bit"):
        compile_model(path, TARGET)


def test_a_target_without_a_compiler_here_is_refused(model):
    with pytest.raises(InputError, match=r"ethos-n78-4tops.*vela"):
        compile_model(model, find_target("ethos-n78-4tops"))
    with pytest.raises(InputError, match="sesr compile"):
        compile_model(model, find_target("bm1684x-int8"))


@pytest.mark.parametrize("name", list_targets())
def test_every_compiler_of_a_target_is_known(name):
    compiler = find_target(name).compiler
    if compiler is None:
        return
    assert compiler["name"] in {*COMPILERS, "tpu-mlir"}
    if compiler["name"] == "vela":
        assert compiler.keys() == {"name", "accelerator", "system", "memory"}
        assert compiler["accelerator"] == name
