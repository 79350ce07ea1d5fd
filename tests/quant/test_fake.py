"""Fake quantisation: what it computes, and which gradients it gives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax import ops, reparam
from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, to_tflite
from sesr_jax.graph import run, trace
from sesr_jax.models import create
from sesr_jax.quant import RANGES, Scheme, affine, apply, calibrate, fake, find_points

RNG = np.random.default_rng(0)
ENDS = st.tuples(
    st.floats(-8, 0, width=32, allow_subnormal=False), st.floats(0.125, 8, width=32)
).filter(lambda ends: ends[0] == 0 or ends[0] < -1e-3)


@settings(max_examples=40, deadline=None)
@given(ENDS, st.sampled_from(["int8", "int16"]))
def test_values_become_the_nearest_of_their_codes(ends, activations):
    x = jnp.linspace(1.5 * ends[0] - 0.1, 1.5 * ends[1], 101)
    scale, zero = affine(*ends, activations)
    bits = 8 if activations == "int8" else 16
    codes = np.clip(np.rint(x / np.float32(scale)) + zero, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    expected = (codes - zero) * np.float32(scale)
    # A tie may fall to the other side by the last bit of the division.
    np.testing.assert_allclose(fake.quantise(x, *ends, activations), expected, atol=1.001 * scale)
    close = np.isclose(fake.quantise(x, *ends, activations), expected, rtol=1e-5, atol=1e-7)
    assert close.mean() > 0.95


@settings(max_examples=40, deadline=None)
@given(ENDS)
def test_codes_are_fixed_points_and_zero_is_one_of_them(ends):
    y = fake.quantise(jnp.linspace(*ends, 57), *ends)
    np.testing.assert_allclose(fake.quantise(y, *ends), y, atol=1e-6)
    assert fake.quantise(jnp.zeros(1), *ends) == 0


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_a_tensor_that_is_zero_everywhere_stays_so(activations):
    """As behind ReLUs that all died: its range is as wide as the file's, and not 0."""
    y = jnp.zeros((1, 4, 4, 2))
    rounded, back = jax.vjp(lambda *args: fake.quantise(*args, activations), y, 0.0, 0.0)
    assert not rounded.any()
    assert all(np.isfinite(gradient).all() for gradient in back(jnp.ones_like(rounded)))
    scale, _ = affine(0.0, 0.0, activations)
    (code,) = {float(x) for x in fake.quantise(jnp.full(1, 0.6 * scale), 0.0, 0.0, activations)}
    assert code == pytest.approx(scale)


def test_gradients_pass_inside_the_range_and_stop_outside():
    x = jnp.asarray([-3.0, -0.9, 0.2, 0.7, 3.0])
    gradient = jax.grad(lambda x: fake.quantise(x, -1.0, 1.0).sum())(x)
    np.testing.assert_allclose(gradient, [0, 1, 1, 1, 0], atol=1e-6)


def test_the_end_of_a_range_hears_from_what_saturates_at_it():
    x = jnp.asarray([2.0, 3.0])
    low, high = jax.grad(lambda a, b: fake.quantise(x, a, b).sum(), (0, 1))(-1.0, 1.0)
    assert high > 0  # a wider range gives larger outputs
    # The step is (high - low) / 255, so that the other end counts by the zero point's rounding alone.
    assert abs(low) < abs(high)


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_the_ends_of_a_range_count_as_inside(activations):
    """Every 0 behind a ReLU is at one, and says nothing of how low the range should reach."""
    ends = jnp.asarray([0.0, 255.0 if activations == "int8" else 32767.0])

    def total(y, low, high):
        return fake.quantise(y, low, high, activations).sum()

    np.testing.assert_array_equal(jax.grad(total)(ends, *ends), 1)
    assert jax.grad(total, 1)(jnp.zeros(100), *ends) == 0
    # What saturates above moves with the upper end alone, a range that starts at 0 included.
    low, high = jax.grad(total, (1, 2))(2 * ends[1:], *ends)
    assert abs(low) < 1e-3 * high


def test_learned_ranges_shrink_onto_values_that_waste_them():
    x = jnp.asarray(RNG.uniform(-0.1, 0.3, 4096), jnp.float32)

    @jax.jit
    def error(ends):
        return ((fake.quantise(x, *ends) - x) ** 2).mean()

    ends = jnp.asarray([-4.0, 4.0])
    before, gradient = error(ends), jax.jit(jax.grad(error))
    for _ in range(100):
        ends = ends - 0.02 * jnp.sign(gradient(ends))
    assert error(ends) < before / 2


@pytest.mark.parametrize("axis", [None, -1])
def test_weights_have_127_codes_a_side_and_an_unchanged_gradient(axis):
    kernel = jnp.asarray(RNG.normal(size=(3, 3, 2, 5)), jnp.float32)
    rounded = fake.quantise_weights(kernel, axis)
    largest = jnp.abs(kernel).max() if axis is None else jnp.abs(kernel).max((0, 1, 2))
    codes = np.asarray(rounded / (largest / 127))
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    assert np.abs(codes).max() == pytest.approx(127, abs=1e-3)
    assert np.abs(rounded - kernel).max() <= np.max(largest) / 254 * 1.001
    gradient = jax.grad(lambda k: (fake.quantise_weights(k, axis) * kernel).sum())(kernel)
    np.testing.assert_allclose(gradient, kernel, rtol=1e-6)


def test_a_channel_without_weights_stays_without():
    assert not fake.quantise_weights(jnp.zeros((1, 1, 2, 3)), -1).any()


def _network(name="sesr_m3", **options):
    module = create(name, scale=2, blocks=1, features=4, expansion=8, **options)
    return module, module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


@pytest.mark.parametrize("name", ["sesr_m3", "sesr_m3_hw"])
def test_it_is_within_a_code_of_what_the_exported_file_computes(name):
    module, variables = _network(name)
    x = RNG.uniform(size=(1, 8, 8, 1)).astype(np.float32)
    graph = trace(module, variables, x.shape)
    ranges = calibrate(graph, [x])
    file = TFLiteModel(to_tflite(graph, ranges=ranges))
    assert file.output is not None
    codes = (np.asarray(fake.run(graph, ranges, x)) - file(x)) / file.output.scale
    assert np.abs(codes).max() < 1.5
    assert np.abs(codes).mean() < 0.2


def test_codes_are_those_of_the_collapsed_kernels_and_gradients_reach_the_expanded_ones():
    module, variables = _network()
    x = jnp.asarray(RNG.uniform(size=(1, 8, 8, 1)), jnp.float32)
    ranges = calibrate(trace(module, variables, x.shape), [x])
    quantised = {**variables, RANGES: {group: jnp.asarray(r) for group, r in ranges.items()}}
    run_it = functools.partial(apply, module)
    y = run_it(quantised, x)
    np.testing.assert_allclose(run_it(reparam.collapse(quantised), x), y, atol=1 / 255 + 1e-6)
    gradients = jax.grad(lambda v: (run_it(v, x) ** 2).sum())(quantised)
    assert all(np.any(g) for g in jax.tree.leaves(gradients["params"]["block_0"]["term"]))
    # Fixed ranges have none.
    assert not np.any(gradients[RANGES]["input"])
    assert np.any(gradients[RANGES]["block_0/conv2d"])


def test_activations_of_16_bits_train_the_codes_that_are_exported(monkeypatch):
    module, variables = _network()
    graph = trace(module, variables, (1, 8, 8, 1))
    ranges = calibrate(graph, [RNG.uniform(size=(1, 8, 8, 1))])
    quantised = {**variables, RANGES: {group: jnp.asarray(r) for group, r in ranges.items()}}
    ran = []
    monkeypatch.setattr(fake.graphs, "run", lambda graph, x, tap: ran.append(graph) or x)
    for dtype in (jnp.float32, jnp.bfloat16):
        apply(module, quantised, jnp.zeros((1, 8, 8, 1), dtype))
    kernels = [
        [node.args[1] for node in graph.nodes if node.op.startswith("conv2d")] for graph in ran
    ]
    for wide, narrow in zip(*kernels, strict=True):
        assert (wide.dtype, narrow.dtype) == (jnp.float32, jnp.bfloat16)
        scale = jnp.abs(wide).max((0, 1, 2)) / 127
        np.testing.assert_array_equal(np.rint(narrow / scale), np.rint(wide / scale))


def test_without_ranges_the_network_is_float():
    module, variables = _network()
    x = jnp.asarray(RNG.uniform(size=(1, 8, 8, 1)), jnp.float32)
    np.testing.assert_array_equal(apply(module, variables, x), module.apply(variables, x))


def test_what_is_excluded_stays_float():
    module, variables = _network()
    x = jnp.asarray(RNG.uniform(size=(1, 8, 8, 1)), jnp.float32)
    graph = trace(module, variables, x.shape)
    everything = Scheme(activations="float", exclude=("*",))
    np.testing.assert_array_equal(fake.run(graph, {}, x, everything), run(graph, x))
    tail = Scheme(exclude=("tail/*",))
    assert "tail/conv2d" not in find_points(graph, tail).group
    kept = fake.with_quantised_weights(graph, tail)
    np.testing.assert_array_equal(kept["tail/conv2d"].args[1], graph["tail/conv2d"].args[1])
    assert np.any(kept["head/conv2d"].args[1] != graph["head/conv2d"].args[1])


def test_watchers_hear_values_before_they_are_rounded_but_not_those_of_fixed_ranges():
    graph = trace(nn.Sequential([lambda x: ops.mul(ops.mul(x, 2.0), 0.25)]), {}, (1, 4, 4, 1))
    x, heard = jnp.asarray(RNG.uniform(size=(1, 4, 4, 1)), jnp.float32), {}
    fake.run(graph, {"mul": (0.0, 0.01)}, x, watch=heard.__setitem__)
    assert heard.keys() == {"mul"}
    assert heard["mul"].max() > 0.5


def test_a_missing_range_is_named():
    graph = trace(nn.Sequential([lambda x: ops.mul(ops.mul(x, 2.0), 0.25)]), {}, (1, 4, 4, 1))
    with pytest.raises(InputError, match="'mul' has no range"):
        fake.run(graph, {}, jnp.zeros((1, 4, 4, 1)))
