"""A Graph at another size."""

import jax
import jax.numpy as jnp
import pytest
from small_networks import SIDE, small_networks, small_options

from sesr_jax.graph import run, trace, with_input_shape
from sesr_jax.models import create


@pytest.mark.parametrize(("name", "scale"), dict(small_networks()).items())
def test_it_is_what_would_be_traced_there(name: str, scale: int) -> None:
    network = create(name, scale=scale, **small_options(name))
    channels = network.channels
    small, large = (1, SIDE, SIDE, channels), (2, SIDE + 4, SIDE + 2, channels)
    variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(small))
    variables = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), variables)
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
