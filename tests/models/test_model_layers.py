"""Layers with kernels of their own, by what they have in common with plain convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.export import Options, export_tflite, read_metadata
from sesr_jax.graph import run, trace
from sesr_jax.models.layers import (
    BatchNormLayer,
    ChannelAttention,
    Conv,
    ConvTranspose,
    PixelAttention,
    anchor,
    contrast,
    to_pixels,
)
from sesr_jax.quant import calibrate
from sesr_jax.reparam import collapse, find_statistics


def _integers(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(-4, 5, shape), jnp.float32)


def _fill(variables, seed=7):
    leaves, tree = jax.tree.flatten(variables)
    return jax.tree.unflatten(tree, [_integers(seed + i, *x.shape) for i, x in enumerate(leaves)])


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_do_not_see_each_other(groups):
    layer, x = Conv(8, 3, groups=groups), _integers(0, 2, 5, 6, 4)
    params = _fill(layer.init(jax.random.key(0), x))["params"]
    assert params["kernel"].shape == (3, 3, 4 // groups, 8)
    parts = [
        ops.conv2d(x[..., part], params["kernel"][..., out], params["bias"][out])
        for part, out in zip(
            np.split(np.arange(4), groups), np.split(np.arange(8), groups), strict=True
        )
    ]
    found = layer.apply({"params": params}, x)
    np.testing.assert_array_equal(found, jnp.concatenate(parts, axis=-1))


@pytest.mark.parametrize(("stride", "size"), [(1, 3), (2, 3), (3, 5)])
def test_a_transposed_convolution_is_the_adjoint_of_the_strided_one(stride, size):
    """``⟨upscale(x), y⟩ == ⟨x, downscale(y)⟩`` with the kernel's channels exchanged, on integers."""
    up = ConvTranspose(2, size, stride)
    x, y = _integers(0, 1, 4, 5, 3), _integers(1, 1, 4 * stride, 5 * stride, 2)
    params = _fill(up.init(jax.random.key(0), x))["params"]
    params["bias"] = jnp.zeros_like(params["bias"])
    top = size - 1 - (size - 1 - max(size - stride, 0) // 2)
    sides = (top, size - stride - top)
    down = Conv(3, size, stride=stride, padding=(sides, sides))
    kernel = jnp.flip(params["kernel"], (0, 1)).swapaxes(2, 3)
    lower = down.apply({"params": {"kernel": kernel, "bias": jnp.zeros(3)}}, y)
    assert lower.shape == x.shape
    assert jnp.vdot(up.apply({"params": params}, x), y) == jnp.vdot(x, lower)


def _compute(layer, *inputs):
    """What `layer` and its traced Graph give in float32 for random parameters, and these in float64."""
    rng = np.random.default_rng(1)
    shapes = layer.init(jax.random.key(0), *inputs)
    variables = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), shapes)
    found = layer.apply(variables, *inputs)
    if len(inputs) == 1:
        traced = run(trace(layer, variables, inputs[0].shape), inputs[0])
        np.testing.assert_allclose(traced, found, rtol=1e-5, atol=1e-6)
    return found, jax.tree.map(lambda p: np.asarray(p, float), variables["params"])


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _photo(seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(2, 7, 5, 6)), jnp.float32)


@pytest.mark.parametrize(
    ("statistic", "in_numpy"),
    [
        (ops.mean, lambda x: x.mean((1, 2), keepdims=True)),
        (contrast, lambda x: x.mean((1, 2), keepdims=True) + x.std((1, 2), keepdims=True)),
    ],
)
def test_channel_attention_is_numpys(statistic, in_numpy):
    x = _photo(0)
    found, params = _compute(ChannelAttention(3, statistic), x)
    squeeze, excite = params["squeeze"], params["excite"]
    assert squeeze["kernel"].shape == (1, 1, 6, 3)
    wide = np.asarray(x, float)
    y = np.maximum(in_numpy(wide) @ squeeze["kernel"][0, 0] + squeeze["bias"], 0)
    gate = _sigmoid(y @ excite["kernel"][0, 0] + excite["bias"])
    np.testing.assert_allclose(found, wide * gate, rtol=1e-4, atol=1e-5)


def test_pixel_attention_is_numpys():
    x, values = _photo(0), _photo(1)
    for inputs in ((x,), (x, values)):
        found, params = _compute(PixelAttention(), *inputs)
        kernel, bias = params["gate"]["kernel"][0, 0], params["gate"]["bias"]
        expected = np.asarray(inputs[-1], float) * _sigmoid(np.asarray(x, float) @ kernel + bias)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class _Attentive(nn.Module):
    """Contrast-aware channel attention and pixel attention between two convolutions."""

    @nn.compact
    def __call__(self, x):
        y = ops.leaky_relu(Conv(8, 3)(x), slope=0.05)
        y = PixelAttention()(ChannelAttention(4, contrast)(y))
        return to_pixels(ops.add(anchor(x, 2), Conv(4, 3)(y)), 2)


def test_attention_is_exported_in_int8_with_proven_codes(tmp_path):
    x = np.random.default_rng(0).random((1, 24, 32, 1), np.float32)
    module = _Attentive()
    graph = trace(module, module.init(jax.random.key(0), x), x.shape)
    file = tmp_path / "m.tflite"
    options = Options(converter="litert")
    export_tflite(graph, file, ranges=calibrate(graph, [x]), options=options)
    assert "codes" in read_metadata(file)


def _normalise(x, scale, bias, mean, var, eps=1e-5):
    return (x - mean) / np.sqrt(var + eps) * scale + bias


def test_a_batch_norm_uses_its_averages_or_the_batch_s_statistics():
    x = np.random.default_rng(0).normal(2.0, 3.0, (2, 5, 6, 4)).astype(np.float32)
    layer = BatchNormLayer()
    term = layer.init(jax.random.key(0), x)["params"]["term"].replace(
        scale=jnp.array([1.0, -2.0, 0.5, 3.0]),
        bias=jnp.arange(4.0),
        mean=jnp.array([0.5, 1.0, -1.0, 0.0]),
        var=jnp.array([1.0, 4.0, 0.25, 2.0]),
    )
    variables = {"params": {"term": term}}
    affine = np.asarray(term.scale), np.asarray(term.bias)
    wanted = _normalise(x, *affine, np.asarray(term.mean), np.asarray(term.var))
    np.testing.assert_allclose(layer.apply(variables, x), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.apply(collapse(variables), x), wanted, rtol=1e-5, atol=1e-5)
    graph = trace(layer, variables, x.shape)
    assert [node.op for node in graph.nodes] == ["mul", "add"]
    np.testing.assert_allclose(run(graph, jnp.asarray(x)), wanted, rtol=1e-5, atol=1e-5)

    y, seen = layer.apply(variables, x, mutable=["statistics"])
    moments = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(y, _normalise(x, *affine, *moments), rtol=1e-4, atol=1e-4)
    ((mean, var),) = find_statistics(seen["statistics"]).values()
    np.testing.assert_allclose(mean, moments[0], rtol=1e-5)
    np.testing.assert_allclose(var, moments[1], rtol=1e-5)
