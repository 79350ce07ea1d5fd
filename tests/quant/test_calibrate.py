"""Ranges from sample images."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, run, trace
from sesr_jax.quant import calibrate, find_points

RNG = np.random.default_rng(0)
IMAGES = [RNG.uniform(size=(1, *size, 4)).astype(np.float32) for size in [(8, 12), (5, 7), (8, 12)]]


def graph_of(function: Callable[[jax.Array], jax.Array]) -> Graph:
    return trace(nn.Sequential([function]), {}, (1, 8, 12, 4))


def graph() -> Graph:
    def network(x: jax.Array) -> jax.Array:
        y = ops.conv2d(ops.add(x, -0.5), jnp.ones((3, 3, 4, 4)) / 36)
        z = ops.concat(y, ops.mul(y, -3.0))
        return ops.depth_to_space(z, block=2)

    return graph_of(network)


def test_a_range_is_the_extremes_of_all_tensors_of_its_group_over_all_images() -> None:
    net = graph()
    seen: dict[str, list[np.ndarray]] = {}

    def tap(name: str, y: jax.Array) -> jax.Array:
        seen.setdefault(name, []).append(np.asarray(y))
        return y

    for image in IMAGES:
        run(net, jnp.asarray(image), tap)
    found = calibrate(net, IMAGES)
    where = find_points(net)
    assert found.keys() == set(where.group.values())
    for key in found.keys() - where.fixed.keys():
        tensors = [y for name, ys in seen.items() if where.group[name] == key for y in ys]
        low, high = min(y.min() for y in tensors), max(y.max() for y in tensors)
        np.testing.assert_allclose(found[key], [min(low, 0), max(high, 0)], rtol=1e-5)
    assert {key: found[key] for key in where.fixed} == where.fixed


def test_every_range_holds_zero() -> None:
    net = graph_of(lambda x: ops.mul(ops.add(x, 1.0), 0.5))
    low, high = calibrate(net, IMAGES)["add"]
    assert low == 0
    assert high > 1


@pytest.mark.parametrize(
    ("images", "named"),
    [
        ([], "no calibration image"),
        ([IMAGES[0][..., :1]], re.escape(f"{IMAGES[0][..., :1].shape}")),
        ([IMAGES[0][0]], re.escape(f"{IMAGES[0][0].shape}")),
        ([IMAGES[0], np.full((1, 8, 12, 4), np.nan)], "image 2 "),
    ],
)
def test_unsuitable_images_are_refused(images: list[np.ndarray], named: str) -> None:
    with pytest.raises(InputError, match=named):
        calibrate(graph(), images)
