"""Small networks, made once; a conversion of one costs a second, and TensorFlow's import seven."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import SHAPE, Export, luma
from flax import traverse_util

from sesr_jax.graph import trace
from sesr_jax.models import create
from sesr_jax.quant import calibrate


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    from skimage import data

    return luma(data.chelsea())


@pytest.fixture(scope="session")
def exported() -> Callable[[str, int], Export]:
    from skimage import data

    image = luma(data.astronaut())

    @functools.cache
    def export(name: str, scale: int) -> Export:
        small = {"features": 8, "mappings": 1} if name == "fsrcnn" else {"expansion": 8}
        network = create(name, scale=scale, **small)
        variables = network.init(jax.random.key(0), jnp.zeros(SHAPE))
        # Biases start at 0 and slopes at one value, where their rounding cannot be seen.
        variables = jax.tree.map(
            lambda p: (
                p + 0.05 * jax.random.normal(jax.random.key(1), p.shape) if p.ndim == 1 else p
            ),
            variables,
        )
        if name == "fsrcnn":
            # Its published initialisation leaves the output at 0, where every error is small. Many times as
            # much, and it would leave [0, 1], and errors be magnified with it.
            flat = traverse_util.flatten_dict(variables)
            flat["params", "deconv"] *= 16
            variables = traverse_util.unflatten_dict(flat)
        graph = trace(network, variables, SHAPE)
        return Export(graph=graph, ranges=calibrate(graph, [image]))

    return export
