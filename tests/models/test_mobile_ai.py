"""The networks of the Mobile AI challenges: sizes as published, and what each is known for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.export import to_tflite
from sesr_jax.graph import count_cost, eval_shapes
from sesr_jax.models import create, network
from sesr_jax.models.mobile_ai.abpn import ABPN
from sesr_jax.models.mobile_ai.xlsr import XLSR
from sesr_jax.quant import find_points
from sesr_jax.reparam import collapse

_LR = (1, 360, 640, 3)


def _cost(name, **options):
    key = jax.random.key(0)
    return eval_shapes(
        lambda: count_cost(network.init(name, scale=3, key=key, **options).trace(_LR))
    )


def _parameters(module):
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    return sum(p.size for p in jax.tree.leaves(shapes))


@pytest.mark.parametrize(("scale", "published"), [(2, 17_612), (3, 21_947), (4, 28_016)])
def test_xlsr_has_the_published_parameters(scale, published):
    assert _parameters(XLSR(scale=scale)) == published


def test_abpn_has_the_published_parameters_and_macs():
    assert _parameters(ABPN()) == 42_539
    assert round(_cost("abpn").macs / 1e9, 3) == 9.756
    assert round(_cost("xlsr").macs / 1e9, 2) == 4.98


@pytest.mark.parametrize(
    ("name", "features", "blocks"),
    [("quicksrnet_small", 32, 2), ("quicksrnet_medium", 32, 5), ("quicksrnet_large", 64, 11)],
)
def test_quicksrnets_are_plain_stacks_of_the_published_widths(name, features, blocks):
    f = features
    weights = 9 * (3 * f + blocks * f**2 + f * 27)
    assert _cost(name).weights == weights
    assert _cost(name).parameters == weights + f * (blocks + 1) + 27


@pytest.mark.parametrize(
    ("name", "kilobytes"),
    [("abpn", (54.7, 55.1)), ("tinysrnet", (49, 49)), ("along", (55, 55)), ("z6", (67, 67))],
)
def test_reconstructed_networks_are_as_large_as_published(name, kilobytes):
    """The INT8 file's size, with 7 % for what converters write beside weights."""
    graph = network.init(name, scale=3, key=jax.random.key(0)).collapse().trace(_LR)
    found = find_points(graph)
    ranges = {key: found.fixed.get(key, (-1.0, 1.0)) for key in found.group.values()}
    size = len(to_tflite(graph, ranges=ranges)) / 1e3
    assert 0.93 * kilobytes[0] < size < 1.07 * kilobytes[1]


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("abpn", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),  # Glorot & Bengio 2010
        ("xlsr", lambda fan_in, fan_out: 0.1 / fan_in),
    ],
)
def test_kernels_start_normal_of_the_teams_variance_and_biases_at_zero(name, variance):
    """Over all kernels of a network: the second moment, and the fourth, by which a normal is no uniform."""
    params = network.init(name, scale=3, key=jax.random.key(0)).variables["params"]
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 4]
    assert not any(leaf.any() for leaf in jax.tree.leaves(params) if leaf.ndim == 1)
    scaled = [
        k / np.sqrt(variance(k[..., 0].size, k[:, :, 0].size)) for k in map(np.asarray, kernels)
    ]
    drawn = np.concatenate([k.ravel() for k in scaled])
    error = 5 / np.sqrt(drawn.size)
    assert np.mean(drawn) == pytest.approx(0, abs=error)
    assert np.mean(drawn**2) == pytest.approx(1, abs=1.5 * error)
    # 3 of a normal, less for one that is truncated at two deviations; 1.8 of a uniform.
    assert np.mean(drawn**4) > 2.2


@pytest.mark.parametrize(
    ("name", "options"), [("abpn", {}), ("abpn", {"residual": "image"}), ("along", {})]
)
def test_input_skips_are_nearest_neighbour_interpolation(name, options):
    fresh = network.init(name, scale=3, key=jax.random.key(0), **options)
    silent = jax.tree.map(np.zeros_like, fresh.variables)
    x = np.random.default_rng(0).uniform(size=(1, 6, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(fresh.module.apply(silent, x), x.repeat(3, 1).repeat(3, 2))


def test_residuals_of_abpn_go_where_their_names_say():
    """What is left where the last convolution, or the last block, is silent; parameters are the same."""
    x = np.random.default_rng(0).uniform(size=(1, 6, 4, 3)).astype(np.float32)
    fresh = network.init("abpn", scale=3, key=jax.random.key(0))
    params = {**fresh.variables["params"]}

    def upscaled(residual, *silent):
        kept = params | {name: jax.tree.map(np.zeros_like, params[name]) for name in silent}
        return create("abpn", scale=3, residual=residual).apply({"params": kept}, x)

    np.testing.assert_allclose(upscaled("image"), upscaled("anchor"), atol=1e-6)
    assert not upscaled("none", "tail").any()
    assert not upscaled("feature", "tail").any()
    assert not upscaled("none", "block_3").any()
    assert upscaled("feature", "block_3").any()
    with pytest.raises(InputError, match=r"residual is 'both': .*anchor, image"):
        upscaled("both")


def test_quicksrnet_starts_as_nearest_neighbour_interpolation():
    """But for the small random kernels beside the identities: with those left out, exactly."""
    fresh = network.init("quicksrnet_small", scale=3, key=jax.random.key(0))
    # A tap of an identity is near 1, and Glorot's bound for 3 → 32 channels is 0.14.
    start = jax.tree.map(jnp.round, fresh.variables)
    x = np.random.default_rng(0).uniform(size=(1, 6, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(fresh.module.apply(start, x), x.repeat(3, 1).repeat(3, 2))
    assert np.abs(fresh.apply(x) - x.repeat(3, 1).repeat(3, 2)).max() > 0


def test_branches_are_merged():
    name, small = "embededai", {"features": 6, "blocks": 1}
    module = create(name, scale=3, **small)
    x = jax.random.uniform(jax.random.key(1), (1, 7, 9, 3))
    variables = jax.jit(module.init)(jax.random.key(0), x)
    merged = collapse(variables)
    before, after = (sum(p.size for p in jax.tree.leaves(tree)) for tree in (variables, merged))
    assert after < before
    wide = create(name, scale=3, mode="expanded", **small)
    np.testing.assert_allclose(module.apply(merged, x), wide.apply(variables, x), atol=1e-5)
