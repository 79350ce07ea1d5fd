from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from small_networks import SIDE, randomise, small_networks, small_options

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import count_cost, eval_shapes, run, trace
from sesr_jax.models import create, network
from sesr_jax.reparam import LinearConv, collapsible
from sesr_jax.reparam.linear_conv import Mode


@pytest.mark.parametrize(("name", "scale"), small_networks())
def test_a_graph_computes_what_its_module_does(name, scale):
    module = create(name, scale=scale, **small_options(name))
    x = jax.random.uniform(jax.random.key(1), (2, SIDE + 4, SIDE, module.channels))
    variables = randomise(jax.eval_shape(module.init, jax.random.key(0), x))
    graph = trace(module, variables, x.shape)
    want = module.apply(variables, x)
    np.testing.assert_allclose(run(graph, x), want, atol=1e-6)
    assert graph.shapes[graph.output] == want.shape
    assert {node.op for node in graph.nodes} <= set(ops.OPS)


def test_a_graph_in_shapes_costs_what_it_costs():
    """At a size whose images would not fit into memory."""

    def count(*size):
        net = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4)
        return count_cost(net.trace((1, *size, 1)))

    assert eval_shapes(lambda: count(1 << 14, 1 << 14)).macs == count(8, 8).macs << 22


def test_nodes_are_named_after_their_modules_and_unique():
    module = create("sesr_m3", scale=2, expansion=4)
    graph = trace(module, module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1))), (1, 8, 8, 1))
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)
    assert {"head/conv2d", "block_0/conv2d", "prelu_2/prelu", "tail/conv2d"} <= set(names)
    assert graph["tail/conv2d"].attrs == {
        "dilation": (1, 1),
        "groups": 1,
        "padding": "SAME",
        "strides": (1, 1),
    }
    kernel, bias = graph["head/conv2d"].parameters
    assert (kernel.shape, bias.shape) == ((5, 5, 1, 16), (16,))


class _Network(nn.Module):
    function: object

    @nn.compact
    def __call__(self, x):
        return self.function(LinearConv(4, collapsible(3, expansion=4))(x))


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (jnp.tanh, "tanh"),
        (nn.relu, "max"),
        (lambda x: x + x, "add"),
        (lambda x: jnp.sort(x), "sort"),
    ],
)
def test_an_operation_from_outside_is_named_with_its_line(function, operation):
    module = _Network(function)
    variables = module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    with pytest.raises(InputError, match=rf"'{operation}'.*test_trace\.py:\d+"):
        trace(module, variables, (1, 4, 4, 1))


def test_nested_jit_and_checkpoint_are_seen_through():
    module = _Network(jax.jit(lambda x: jax.checkpoint(ops.relu)(x)))
    variables = module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    assert [node.op for node in trace(module, variables, (1, 4, 4, 1)).nodes] == ["conv2d", "relu"]


def test_a_network_without_input_is_refused():
    module = _Network(lambda x: jnp.zeros(3))
    variables = module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
    with pytest.raises(InputError, match="_Network "):
        trace(module, variables, (1, 4, 4, 1))


def test_a_network_of_several_outputs_is_refused():
    module = nn.Sequential([lambda x: (ops.relu(x), ops.sigmoid(x))])
    with pytest.raises(InputError, match=r"Sequential .* 2 arrays"):
        trace(module, {}, (1, 4, 4, 1))


def test_nodes_are_found_by_name_and_equal_themselves_alone():
    module = nn.Sequential([lambda x: ops.mul(ops.relu(x), np.ones(3, np.float32))])
    graph, other = (trace(module, {}, (1, 4, 4, 3)) for _ in range(2))
    assert graph["relu"] is graph.nodes[0]
    with pytest.raises(InputError, match=r"'rleu': .*relu, mul; .*'relu'"):
        graph["rleu"]
    assert graph == graph
    assert graph != other
    assert graph["mul"] != other["mul"]


def test_gradients_flow_through_a_graph_to_the_expanded_parameters():
    module = create("sesr_m3", scale=2, expansion=4)
    x = jax.random.uniform(jax.random.key(1), (1, 8, 8, 1))
    variables = module.init(jax.random.key(0), x)

    def through_graph(v):
        return jnp.sum(jnp.square(run(trace(module, v, x.shape), x)))

    def through_module(v):
        return jnp.sum(jnp.square(module.apply(v, x)))

    got, want = jax.jit(jax.grad(through_graph))(variables), jax.grad(through_module)(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), got, want)


def test_taps_see_and_may_replace_every_tensor():
    module = create("sesr_m3", scale=2, expansion=4)
    x = jax.random.uniform(jax.random.key(1), (1, 8, 8, 1))
    graph = trace(module, module.init(jax.random.key(0), x), x.shape)
    seen = {}

    def tap(name, y):
        seen[name] = y.shape
        return y

    run(graph, x, tap)
    assert seen == graph.shapes
    np.testing.assert_array_equal(run(graph, x, lambda _, y: y * 0), 0)


def test_a_network_that_runs_expanded_is_traced_as_it_is_deployed():
    made = {mode: create("sesr_m3_hw", scale=2, expansion=4, mode=mode) for mode in get_args(Mode)}
    x = jnp.zeros((1, 8, 8, 1))
    variables = made["expanded"].init(jax.random.key(0), x)
    first, second = (trace(module, variables, x.shape) for module in made.values())
    assert [node.name for node in first.nodes] == [node.name for node in second.nodes]
    for a, b in zip(first.nodes, second.nodes, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a.parameters, b.parameters)


def test_a_layer_that_runs_its_terms_as_written_is_refused_by_name():
    module = nn.Sequential([create("sesr_m3_hw", scale=2, expansion=4, mode="expanded")])
    x = jnp.zeros((1, 8, 8, 1))
    variables = module.init(jax.random.key(0), x)
    with pytest.raises(InputError, match=r"'.*head' .*'collapsed'"):
        trace(module, variables, x.shape)


def test_a_loop_in_jax_is_refused_and_one_in_python_is_not():
    """A loop's body stands once in the jaxpr, however often it runs."""
    kernel = np.eye(2, dtype=np.float32)[None, None]

    def body(i, y):
        return ops.relu(ops.conv2d(y, kernel))

    def unrolled(x):
        return body(1, body(0, x))

    shape = (1, 4, 4, 2)
    assert len(trace(nn.Sequential([unrolled]), {}, shape).nodes) == 4
    looped = nn.Sequential([lambda x: jax.lax.fori_loop(0, 2, body, x)])
    with pytest.raises(InputError, match=r"'scan' .*sesr_jax\.ops"):
        trace(looped, {}, shape)


def test_sides_that_make_no_blocks_are_refused():
    module = nn.Sequential([lambda x: ops.space_to_depth(x, block=2)])
    with pytest.raises(InputError, match=r"7×6 pixels .* multiples of 2"):
        trace(module, {}, (1, 7, 6, 1))
