"""The networks of Real-ESRGAN have the sizes of the official weights."""

import functools

import jax
import pytest

from sesr_jax.graph import count_cost, eval_shapes, measure_extent
from sesr_jax.models import create, network


@functools.cache
def _measure(name, scale, blocks):
    """Parameters, MACs for an input of 256×256, and the halo."""

    def measure():
        fresh = network.init(name, scale=scale, key=jax.random.key(0), blocks=blocks)
        graph = fresh.trace((1, 256, 256, 3))
        cost = count_cost(graph)
        return cost.parameters, cost.macs, measure_extent(graph).halo

    return eval_shapes(measure)


@pytest.mark.parametrize(
    ("name", "scale", "parameters", "macs", "halo"),
    [
        ("rrdbnet", 4, 16_697_987, 1174.9, 349),
        ("rrdbnet", 2, 16_703_171, 293.8, 698),
        ("rrdbnet_6b", 4, 4_467_779, 374.0, 94),
        ("srvggnet_32", 4, 1_213_296, 79.2, 34),
        ("srvggnet_16", 4, 621_424, 40.6, 18),
    ],
)
def test_the_costs_are_those_of_the_official_networks(name, scale, parameters, macs, halo):
    """Every block costs the same, so that two of them tell what many do."""
    family = name.split("_")[0]
    one, two = (
        _measure(f"{family}_32" if family == "srvggnet" else family, scale, n) for n in (1, 2)
    )
    more = create(name, scale=scale).blocks - 1
    found = [a + more * (b - a) for a, b in zip(one, two, strict=True)]
    assert found[0] == parameters
    assert found[1] / 1e9 == pytest.approx(macs, abs=0.05)
    assert found[2] == halo
