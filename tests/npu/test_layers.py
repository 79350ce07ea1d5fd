import numpy as np

from sesr_jax.graph import count_cost
from sesr_jax.npu import layers_from_graph


def test_layers_keep_the_graphs_macs_and_ends(sesr):
    graph = sesr(3, 2, 24, 40)
    layers = layers_from_graph(graph)
    assert sum(layer.macs for layer in layers) == count_cost(graph).macs
    assert layers[0].inputs == (graph.input,)
    assert layers[-1].output == graph.output


def test_an_activation_joins_the_convolution_that_it_alone_reads(sesr):
    layers = layers_from_graph(sesr(2, 2, 8, 8))
    assert [layer.op for layer in layers] == ["conv2d"] * 3 + ["add", "conv2d", "depth_to_space"]
    assert [layer.activation for layer in layers] == ["relu"] * 3 + [None] * 3


def test_an_activation_stays_apart_from_a_tensor_that_others_read(builder):
    b = builder(8, 8, 1)
    conv = b.conv(16, 3)
    relu = b.add("relu", conv, shape=b.shapes[conv])
    b.add("add", relu, conv, shape=b.shapes[conv])
    layers = layers_from_graph(b.graph())
    assert [layer.op for layer in layers] == ["conv2d", "relu", "add"]


def test_prelu_is_absorbed_with_its_slopes_and_one_slope_is_leaky_relu(builder):
    b = builder(8, 8, 1)
    for slopes in (16, 1):
        conv = b.conv(16, 3)
        b.add("prelu", conv, np.zeros(slopes), shape=b.shapes[conv])
    layers = layers_from_graph(b.graph())
    assert [(layer.op, layer.activation, layer.activation_bytes) for layer in layers] == [
        ("conv2d", "prelu", 16),
        ("conv2d", "leaky_relu", 0),
    ]


def test_weights_are_a_byte_each_and_biases_four(builder):
    b = builder(8, 8, 3)
    b.conv(20, 5)
    (layer,) = layers_from_graph(b.graph())
    assert layer.weight_bytes == 5 * 5 * 3 * 20 + 4 * 20
