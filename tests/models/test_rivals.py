"""The networks that SESR's tables compare it with cost what the tables print, to the last digit."""

import functools
import math

import jax
import pytest

from sesr_jax.graph import count_cost, eval_shapes, macs
from sesr_jax.models import network
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
