"""The integer reference against LiteRT's reference kernels on the exported file: code for code."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import HealthCheck, Phase, given, seed, settings
from random_networks import LAYERS, networks
from small_networks import SIDE, randomise, small_networks, small_options

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, check_integer, to_tflite
from sesr_jax.export.flatbuffer import read
from sesr_jax.export.options import Options
from sesr_jax.graph import Graph, trace
from sesr_jax.models import create
from sesr_jax.quant import Range, calibrate, find_points
from sesr_jax.quant.integer import KERNELS, dequantise, quantise, run
from sesr_jax.quant.ranges import IMAGE
from sesr_jax.reparam import collapse


def graph_of(function: Any, shape: tuple[int, ...] = (1, 6, 7, 4)) -> Graph:
    return trace(nn.Sequential([function]), {}, shape)


def random_input(graph: Graph) -> tuple[dict[str, Range], np.ndarray]:
    """Ranges for tensors of the order of 1, and input codes."""
    rng = np.random.default_rng(0)
    found = find_points(graph)
    ranges = {
        key: found.fixed.get(key, (-rng.uniform(0.5, 2), rng.uniform(0.5, 2)))
        for key in found.group.values()
    }
    return ranges, rng.integers(-128, 128, size=graph.input_shape).astype(np.int8)


def reference(graph: Graph, ranges: dict[str, Range], codes: np.ndarray) -> np.ndarray:
    """What LiteRT computes from the exported file."""
    file = to_tflite(graph, ranges=ranges)
    check_integer(file)
    return TFLiteModel(file, kernels="reference", num_threads=1).run(codes)


def test_every_operation_has_a_kernel() -> None:
    assert KERNELS.keys() == ops.OPS.keys()


@pytest.mark.parametrize("last", LAYERS)
def test_random_networks_have_the_codes_of_their_files(last: str) -> None:
    """Networks that end with each operation."""
    found, varied = [], []

    @seed(sorted(LAYERS).index(last))
    @settings(
        max_examples=4,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # shrinking would convert for minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(networks(last))
    def law(network: tuple[Graph, dict[str, Range], np.ndarray]) -> None:
        graph, ranges, codes = network
        found.append(graph[graph.output].op)
        # Compiling costs more than running, and integers do not depend on how.
        compiled = jax.jit(
            functools.partial(run, graph, ranges),
            compiler_options={"xla_backend_optimization_level": 0},
        )
        expected = reference(graph, ranges, codes)
        varied.append(expected.std() > 1)
        np.testing.assert_array_equal(compiled(codes), expected)

    law()
    assert last in found
    assert any(varied)


def test_random_networks_end_with_every_operation() -> None:
    assert LAYERS.keys() == ops.OPS.keys() - {"div"}  # random divisors are 0 somewhere


def random_graph(name: str, scale: int, **options: Any) -> Graph:
    """A collapsed model, every parameter of it random."""
    network = create(name, scale=scale, **options)
    image = (1, SIDE, SIDE, network.channels)

    def init() -> Any:
        variables = network.init(jax.random.key(0), jnp.zeros(image))
        return {**variables, "params": collapse(variables["params"])}

    return trace(network, randomise(jax.eval_shape(init)), image)


SHORT = {
    "quicksrnet_medium": {"blocks": 1},
    "quicksrnet_large": {"blocks": 1},
    "imdn": {"features": 16, "blocks": 1},
}
"""Fewer equal blocks, where there are many."""


@pytest.mark.parametrize(
    ("name", "scale"),
    [pair for pair in small_networks() if pair[0] != "latticenet"],  # slow, and made of the same
)
def test_every_model_has_the_codes_of_its_file(name: str, scale: int) -> None:
    graph = random_graph(name, scale, **small_options(name) | SHORT.get(name, {}))
    ranges, codes = random_input(graph)
    found = run(graph, ranges, codes)
    np.testing.assert_array_equal(found, reference(graph, ranges, codes))
    assert jnp.std(found.astype(float)) > 5


def test_the_other_converter_and_unsigned_pixels_change_no_code() -> None:
    graph = random_graph("sesr_m3", 2)
    ranges, codes = random_input(graph)
    expected = run(graph, ranges, codes)
    other = to_tflite(graph, ranges=ranges, options=Options(converter="litert"))
    np.testing.assert_array_equal(TFLiteModel(other, kernels="reference").run(codes), expected)
    unsigned = to_tflite(graph, ranges=ranges, options=Options(io="uint8"))
    pixels = (codes.astype(int) + 128).astype(np.uint8)
    found = TFLiteModel(unsigned, kernels="reference").run(pixels)
    np.testing.assert_array_equal(found.astype(int) - 128, expected)


KERNEL = np.random.default_rng(0).normal(size=(3, 3, 4, 4)).astype(np.float32) / 6
DEAD = np.where(np.arange(4) == 1, 0, KERNEL).astype(np.float32)
BIAS = np.array([0.1, 0.3, -0.2, 0.5], np.float32)
EXTREMES = {
    "a dead channel with a bias": lambda x: ops.conv2d(x, DEAD, BIAS),
    "a dead channel of a transposed convolution": lambda x: ops.conv2d_transpose(
        x, DEAD, BIAS, strides=(2, 2)
    ),
    "a bias beyond its codes": lambda x: ops.conv2d(x, KERNEL * 1e-5, BIAS),
    "a kernel below the narrowest range": lambda x: ops.conv2d(x, KERNEL * 1e-7, BIAS * 1e-5),
    "slopes of zero": lambda x: ops.prelu(ops.add(x, -0.5), np.zeros(4, np.float32)),
    "constants about zero": lambda x: ops.mul(x, np.array([-1, 1, 0.5, 0], np.float32)),
    "nothing but zero": lambda x: ops.mul(x, 0.0),
    "a clip at a tie": lambda x: ops.mul(ops.clip(x, low=0.1, high=0.7), 0.9),
    "a ReLU whose codes begin in the middle": lambda x: ops.concat(
        ops.relu(ops.conv2d(x, KERNEL)), ops.conv2d(x, KERNEL[::-1])
    ),
    "a resize whose weights are not exact": lambda x: ops.resize(x, scale=7, method="bilinear"),
    "a divisor near zero": lambda x: ops.div(
        ops.add(x, -0.5), ops.clip(ops.add(x, -0.6), low=-0.9, high=-0.03)
    ),
    "quotients of two images": lambda x: ops.div(
        ops.sigmoid(x), ops.clip(ops.mul(x, 1.2), low=0.1, high=0.9)
    ),
    "a constant divided": lambda x: ops.div(0.3, ops.clip(ops.mul(x, 1.2), low=0.1, high=0.9)),
    "a softmax of far-off channels": lambda x: ops.softmax(ops.mul(x, 300.0)),
    "a softmax of one channel": lambda x: ops.softmax(
        ops.slice(x, begin=(0,) * 4, size=(1, 6, 7, 1))
    ),
    "a standard deviation": lambda x: ops.standard_deviation(x, unbiased=True),
    "a sigmoid far from zero": lambda x: ops.sigmoid(ops.leaky_relu(ops.mul(x, 300.0), slope=-1.0)),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extremes_have_the_codes_of_their_files(case: str) -> None:
    graph = graph_of(lambda x: ops.mul(EXTREMES[case](x), 0.7))
    ranges, codes = random_input(graph)
    ranges |= {key: (-150.0, 300.0) for key in ranges if "far" in case and key != graph.input}
    ranges |= find_points(graph).fixed
    np.testing.assert_array_equal(
        run(graph, ranges, codes), reference(graph, ranges, codes), strict=True
    )


def test_a_tensor_that_is_zero_on_all_images_has_codes(caplog: pytest.LogCaptureFixture) -> None:
    """As behind dead ReLUs, which trained networks have."""

    def network(x: jax.Array) -> jax.Array:
        dead = ops.relu(ops.sub(ops.conv2d(x, KERNEL), 50.0))
        return ops.add(ops.conv2d(dead, KERNEL), ops.mul(x, 0.7))

    graph = graph_of(network)
    codes = random_input(graph)[1]
    ranges = calibrate(graph, [np.random.default_rng(1).uniform(size=graph.input_shape)])
    assert "relu is 0 on all 1 calibration images" in caplog.text
    np.testing.assert_array_equal(run(graph, ranges, codes), reference(graph, ranges, codes))


def test_a_tap_sees_every_tensor_of_the_file() -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = random_graph("fsrcnn", 2, features=8, mappings=1)
    ranges, codes = random_input(graph)
    model = to_tflite(graph, ranges=ranges)
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], codes)
    interpreter.invoke()
    (subgraph,) = read(model).subgraphs
    written = [int(op.outputs[0]) for op in subgraph.operators]

    seen: dict[str, jax.Array] = {}
    run(graph, ranges, codes, lambda name, y: seen.setdefault(name, y))
    assert seen.keys() == find_points(graph).group.keys()
    for index, (name, found) in zip(written, list(seen.items())[1:], strict=True):
        np.testing.assert_array_equal(found, interpreter.get_tensor(index), err_msg=name)


def test_what_a_tap_returns_is_used() -> None:
    graph = graph_of(lambda x: ops.mul(ops.add(x, -0.25), 0.5))
    ranges, codes = random_input(graph)
    silent = run(graph, ranges, codes, lambda name, y: 0 * y if name == "add" else y)
    assert jnp.ptp(silent) == 0
    assert jnp.ptp(run(graph, ranges, codes)) > 0


@pytest.mark.parametrize("x64", [False, True])
def test_compiled_code_and_another_size_give_the_same(x64: bool) -> None:
    graph = random_graph("sesr_m3", 2)
    ranges, codes = random_input(graph)
    whole = run(graph, ranges, codes)
    with jax.enable_x64(x64):
        compiled = jax.jit(functools.partial(run, graph, ranges))(codes)
    np.testing.assert_array_equal(compiled, whole, strict=True)
    np.testing.assert_array_equal(
        run(graph, ranges, np.tile(codes, (2, 1, 1, 1))), np.tile(whole, (2, 1, 1, 1))
    )


def test_codes_of_an_image_are_its_pixels() -> None:
    pixels = np.arange(256)
    codes = quantise(pixels / 255, IMAGE)
    np.testing.assert_array_equal(codes, pixels - 128)
    np.testing.assert_allclose(dequantise(codes, IMAGE) * 255, pixels, rtol=1e-6)
    np.testing.assert_array_equal(quantise(np.array([-3.0, 3.0]), IMAGE), [-128, 127])


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (np.zeros((1, 6, 7, 4), np.float32), "int8 codes"),
        (np.zeros((1, 6, 7, 3), np.int8), r"\[N, H, W, 4\]"),
        (np.zeros((6, 7, 4), np.int8), r"\[N, H, W, 4\]"),
    ],
)
def test_what_is_not_codes_is_refused(codes: np.ndarray, told: str) -> None:
    graph = graph_of(lambda x: ops.mul(x, 0.5))
    with pytest.raises(InputError, match=told):
        run(graph, random_input(graph)[0], codes)


def test_ranges_that_do_not_suit_are_refused() -> None:
    graph = graph_of(lambda x: ops.mul(ops.add(x, -0.25), 0.5))
    ranges, codes = random_input(graph)
    del ranges["add"]
    with pytest.raises(InputError, match="'add' has no range"):
        run(graph, ranges, codes)


def test_an_operation_without_a_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(lambda x: ops.mul(x, 0.5))
    monkeypatch.delitem(KERNELS, "mul")
    with pytest.raises(InputError, match="'mul' is a 'mul', which has no integer form"):
        run(graph, *random_input(graph))
