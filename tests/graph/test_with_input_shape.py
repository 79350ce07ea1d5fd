"""A Graph at another size."""

import jax
import jax.numpy as jnp
import pytest

from sesr_jax.graph import run, trace, with_input_shape
from sesr_jax.models import create
from sesr_jax.models.registry import VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_what_would_be_traced_there(name: str) -> None:
    network = create(name, scale=VARIANTS[name].scales[0])
    channels = network.channels
    variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 8, 8, channels)))
    variables = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), variables)
    small, large = (1, 8, 8, channels), (2, 12, 10, channels)
    traced = trace(network, variables, large)
    assert with_input_shape(trace(network, variables, small), large).shapes == traced.shapes


def test_its_shapes_are_those_of_its_values() -> None:
    network = create("fsrcnn", scale=3)
    x = jnp.zeros((1, 7, 5, 1))
    graph = trace(network, network.init(jax.random.key(0), x), (1, 4, 4, 1))
    assert (
        run(graph, x).shape
        == with_input_shape(graph, x.shape)[graph.output].shape
        == (1, 21, 15, 1)
    )
