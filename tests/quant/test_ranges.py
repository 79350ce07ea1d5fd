"""Where ranges are needed, and what they mean."""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, trace
from sesr_jax.models import create
from sesr_jax.ops import SPECS
from sesr_jax.quant import affine, find_points, validate

KERNEL = jnp.ones((3, 3, 4, 4)) / 36


def graph_of(function: Callable[[jax.Array], jax.Array]) -> Graph:
    return trace(nn.Sequential([function]), {}, (1, 8, 12, 4))


CASES = list(itertools.product(["sesr_m3", "sesr_m3_hw"], [2, 3, 4]))


def sesr(name: str, scale: int) -> Graph:
    network = create(name, scale=scale, expansion=4)
    x = jnp.zeros((1, 8, 8, 1))
    return trace(network, network.init(jax.random.key(0), x), x.shape)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_the_output_image_saturates_at_zero_and_one(name: str, scale: int) -> None:
    graph = sesr(name, scale)
    found = find_points(graph)
    last = [n.name for n in graph.nodes if n.op != "depth_to_space"][-1]
    assert found.group[graph.output] == last
    assert found.fixed[last] == (0.0, 1.0)
    assert found.group[graph.input] == graph.input
    assert found.fixed[graph.input] == (0.0, 1.0)


def test_a_convolution_before_its_only_relu_has_no_range() -> None:
    graph = sesr("sesr_m3_hw", 2)
    group = find_points(graph).group
    fused = {n.inputs[0] for n in graph.nodes if n.op == "relu"}
    assert fused
    assert group.keys() == {graph.input, *(n.name for n in graph.nodes)} - fused


def test_a_convolution_that_others_read_before_the_relu_keeps_its_range() -> None:
    def network(x: jax.Array) -> jax.Array:
        y = ops.conv2d(x, KERNEL)
        return ops.add(ops.relu(y), y)

    assert find_points(graph_of(network)).group["conv2d"] == "conv2d"


def test_a_prelu_needs_the_range_of_what_it_reads() -> None:
    group = find_points(sesr("sesr_m3", 2)).group
    assert group["block_0/conv2d"] == "block_0/conv2d"
    assert group["prelu_0/prelu"] == "prelu_0/prelu"


def test_concatenated_tensors_share_one_range_but_never_widen_the_image_or_a_sigmoid() -> None:
    def network(x: jax.Array) -> jax.Array:
        a, b, c = ops.conv2d(x, KERNEL), ops.mul(x, 2.0), ops.sigmoid(x)
        return ops.conv2d(ops.concat(a, b, c, x), jnp.ones((1, 1, 16, 4)))

    found = find_points(graph_of(network))
    assert {found.group[n] for n in ("conv2d", "mul", "concat")} == {"conv2d"}
    assert found.group["sigmoid"] == "sigmoid"
    assert found.group["input"] == "input"
    assert found.fixed["sigmoid"] == SPECS["sigmoid"].ranges


def test_copies_of_the_image_have_its_range() -> None:
    found = find_points(graph_of(lambda x: ops.mul(ops.concat(x, x), 0.5)))
    assert found.group["concat"] == "input"


def test_a_clip_is_what_its_range_does() -> None:
    def network(x: jax.Array) -> jax.Array:
        y = ops.clip(ops.depth_to_space(ops.add(x, x), block=2), low=-0.25, high=0.25)
        return ops.mul(y, 2.0)

    found = find_points(graph_of(network))
    assert found.absorbed == {"clip"}
    assert found.fixed[found.group["add"]] == (-0.25, 0.25)


@pytest.mark.parametrize(
    "network",
    [
        # Another reader needs the values beyond the bounds.
        lambda x: ops.add((y := ops.add(x, x)), ops.clip(y, low=-0.1, high=0.1)),
        # A tensor that was never clipped joins the group behind the clip.
        lambda x: ops.mul(
            ops.concat(ops.clip(ops.add(x, x), low=-0.1, high=0.1), ops.mul(x, 3.0)), 0.5
        ),
        # 0 is not within the bounds, and codes must hold it.
        lambda x: ops.mul(ops.clip(ops.add(x, x), low=0.2, high=0.6), 0.5),
    ],
)
def test_a_clip_that_no_range_performs_stays(network: Callable[[jax.Array], jax.Array]) -> None:
    found = find_points(graph_of(network))
    assert not found.absorbed
    assert found.group["add"] not in found.fixed


def test_an_output_that_the_network_reads_too_is_not_cut_to_the_image() -> None:
    # The sum is the output's group, and the sigmoid reads it beyond 1.
    def network(x: jax.Array) -> jax.Array:
        y = ops.add(x, x)
        return ops.concat(y, ops.sigmoid(y))

    assert "add" not in find_points(graph_of(network)).fixed


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (None, "no range"),
        ((0.0, 0.0), "unusable"),
        ((0.1, 1.0), "unusable"),
        ((1.0, -1.0), "unusable"),
        ((0.0, float("nan")), "unusable"),
        ((0.0, float("inf")), "unusable"),
    ],
)
def test_unsuitable_ranges_are_refused_by_name(
    wrong: tuple[float, float] | None, told: str
) -> None:
    graph = graph_of(lambda x: ops.mul(ops.add(x, -0.5), 2.0))
    ranges = {"input": (0.0, 1.0), "add": (-0.5, 0.5), "mul": (0.0, 1.0)}
    validate(graph, ranges)
    ranges.pop("add")
    if wrong is not None:
        ranges["add"] = wrong
    with pytest.raises(InputError, match=f"'add'.*{told}|{told}.*'add'"):
        validate(graph, ranges)


def test_a_fixed_range_cannot_be_another() -> None:
    graph = graph_of(lambda x: ops.mul(ops.sigmoid(x), 2.0))
    fixed = dict(find_points(graph).fixed)
    validate(graph, fixed)
    with pytest.raises(InputError, match="'sigmoid' must be"):
        validate(graph, fixed | {"sigmoid": (0.0, 1.0)})


def test_a_number_added_to_the_image_shifts_its_range_and_no_code() -> None:
    graph = sesr("sesr_m3", 2)
    fixed = find_points(graph).fixed["add"]
    np.testing.assert_allclose(fixed, (-128 / 255, 127 / 255), rtol=1e-6)
    scale, zero_point = affine(*fixed)
    assert zero_point == 0
    assert scale == pytest.approx(1 / 255)


def test_a_learned_number_or_one_beyond_the_range_shifts_nothing() -> None:
    for number in (jnp.asarray(-0.5), 2.0):
        graph = graph_of(lambda x, n=number: ops.mul(ops.add(x, n), 1.5))
        assert "add" not in find_points(graph).fixed
