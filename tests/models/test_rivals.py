"""The networks that SESR's tables compare it with cost what the tables print, to the last digit."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import randomise, small_options

from sesr_jax.graph import count_cost, eval_shapes, macs
from sesr_jax.models import create, network
from sesr_jax.models.layers import DIV2K_MEAN
from sesr_jax.models.published import OUTPUT
from sesr_jax.models.rivals import FAMILIES

_ROWS = [
    row for family in FAMILIES for variant in family.VARIANTS.values() for row in variant.figures
]


@functools.cache
def _count(name, scale, output=OUTPUT):
    """The cost, and weights and MACs of layers by name and output shape."""

    def count():
        fresh = network.init(name, scale=scale, key=jax.random.key(0))
        graph = fresh.trace((1, *(n // scale for n in output), fresh.channels))
        convs = [node for node in graph.nodes if macs(node)]
        return count_cost(graph), [(n.op, n.parameters[0].size, macs(n)) for n in convs]

    return eval_shapes(count)


def _printed_weights(name, scale):
    """What the tables count as parameters."""
    cost, convs = _count(name, scale)
    match name:
        case (
            "carn" | "carn_m"
        ):  # one network for three scale factors; CARN with its biases, CARN-M without
            every = [_count(name, s) for s in (2, 3, 4)]
            totals = [c.parameters if name == "carn" else c.weights for c, _ in every]
            enlargements = [_count_enlargements(name, s) for s in (2, 3, 4)]
            return totals[0] - enlargements[0] + sum(enlargements)
        case "lapsrn":  # of ×4
            return _count(name, 4)[0].weights
        case "btsrn":  # without enlargements and the last layer
            return cost.weights - sum(size for _, size, _ in _list_unprinted(convs))
    return cost.weights


def _count_enlargements(name, scale):
    groups, biased = (1, 1) if name == "carn" else (4, 0)
    return sum(
        9 * 64 * 64 * block**2 // groups + biased * 64 * block**2
        for block in ((2, 2) if scale == 4 else (scale,))
    )


def _list_unprinted(convs):
    return [one for one in convs if one[0] == "conv2d_transpose"] + convs[-1:]


def _printed_macs(name, scale):
    """What the tables count as multiply-accumulates."""
    if name == "lapsrn" and scale == 2:  # of an output of 640×360
        return _count(name, scale, (OUTPUT[0] // 2, OUTPUT[1] // 2))[0].macs
    cost, convs = _count(name, scale)
    if name == "btsrn":
        return cost.macs - sum(number for *_, number in _list_unprinted(convs))
    return cost.macs


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: f"{row.model}-{row.scale}")
def test_the_costs_are_the_printed_ones(row):
    weights = _printed_weights(row.model, row.scale) / 1e3
    assert row.parameters / 1e3 in (round(weights), math.floor(weights))
    assert round(_printed_macs(row.model, row.scale) / 1e9, 1) == row.macs / 1e9


def test_what_recurs_counts_once_as_parameters_and_every_time_as_macs():
    def count(**options):
        fresh = network.init("drcn", scale=2, key=jax.random.key(0), **options)
        return count_cost(fresh.trace((1, 2, 2, 1)))

    one, more = (eval_shapes(lambda r=r: count(recursions=r)) for r in (1, 16))
    assert more.weights - one.weights == 15
    assert more.macs - one.macs == 15 * 4 * 4 * (2 * 9 * 256**2 + 9 * 256 + 1)
    assert (_count("drcn", 2)[0].weights - 16, _count("memnet", 2)[0].weights) == (
        1_774_080,
        676_992,
    )
    assert _printed_weights("carn", 2) == 1_591_939
    assert _printed_weights("carn_m", 2) == 412_032


def _set_zero(params, layer):
    return {**params, layer: jax.tree.map(jnp.zeros_like, params[layer])}


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("vdsr", "tail"),
        ("drcn", "reconstruct_1"),
        ("memnet", "tail"),
        ("lapsrn", "level_0_residual"),
    ],
)
def test_a_residual_of_zero_leaves_an_interpolation(name, layer):
    """Bicubic and bilinear interpolation continue a slope, with pixel centres at halves."""
    module = create(name, scale=2, **small_options(name))
    rows, columns = np.mgrid[:10, :12]
    fresh = module.init(jax.random.key(0), jnp.zeros((1, 10, 12, 1)))
    found = module.apply(
        {"params": _set_zero(fresh["params"], layer)},
        jnp.asarray(rows + 2 * columns, jnp.float32)[None, ..., None],
    )
    rows, columns = (np.mgrid[:20, :24] + 0.5) / 2 - 0.5
    inside = np.s_[4:-4, 4:-4]
    np.testing.assert_allclose(found[0, ..., 0][inside], (rows + 2 * columns)[inside], rtol=1e-5)


def test_a_group_of_carn_m_gives_all_pixels_of_its_own_channels():
    """Where the tail reads the channels of the first group alone, it sees nothing of the others."""
    module = create("carn_m", scale=2, features=8)
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 6, 6, 3)), jnp.float32)
    params = randomise(jax.eval_shape(module.init, jax.random.key(0), x))["params"]
    enlargement = params["enlarge_0"]
    first = {
        key: array.at[..., 8:].set(0) for key, array in enlargement.items()
    }  # 2 · 2² of 8 · 2²
    tail = jax.tree.map(lambda k: k.at[:, :, 2:].set(0) if k.ndim == 4 else k * 0, params["tail"])
    params = {**params, "tail": tail}
    whole = module.apply({"params": params}, x)
    alone = module.apply({"params": {**params, "enlarge_0": first}}, x)
    np.testing.assert_array_equal(alone, whole)
    others = jax.tree.map(jnp.subtract, enlargement, first)
    nothing = module.apply({"params": {**params, "enlarge_0": others}}, x)
    np.testing.assert_array_equal(nothing, np.broadcast_to(DIV2K_MEAN, nothing.shape))
    assert np.ptp(whole[..., 0]) > 0
