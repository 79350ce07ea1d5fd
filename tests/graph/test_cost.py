"""Counts against the papers' formulas, and the receptive field against what really changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from small_networks import small_options

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import Extent, Graph, Node, count_cost, eval_shapes, measure_extent, run, trace
from sesr_jax.models import VARIANTS, network
from sesr_jax.reparam import LinearConv, acnet, collapse, dense

SESR = {  # features, 3×3 blocks: facts of Bhardwaj et al. 2022
    "sesr_m3": (16, 3),
    "sesr_m5": (16, 5),
    "sesr_m7": (16, 7),
    "sesr_m11": (16, 11),
    "sesr_xl": (32, 11),
}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("suffix", ["", "_hw"])
@pytest.mark.parametrize("name", SESR)
def test_sesr_has_the_published_weights_and_macs(name, suffix, scale):
    f, m = SESR[name]
    height, width = 720 // scale, 1280 // scale
    fresh = network.init(name + suffix, scale=scale, key=jax.random.key(0), expansion=2)
    got = count_cost(fresh.trace((1, height, width, 1)))
    weights = 25 * f + 9 * m * f**2 + 25 * f * scale**2
    slopes = 0 if suffix else m * f
    assert got.weights == weights
    assert got.parameters == weights + f * (m + 1) + scale**2 + slopes
    assert got.macs == weights * height * width


def test_sesr_m5_is_the_13520_of_the_paper():
    got = count_cost(
        network.init("sesr_m5", scale=2, key=jax.random.key(0)).trace((1, 360, 640, 1))
    )
    assert got.weights == 13_520
    assert round(got.macs / 1e9, 2) == 3.12  # printed as 3.11 G, cut and not rounded


def test_fsrcnn_is_the_12464_of_the_paper():
    fresh = network.init("fsrcnn", scale=2, key=jax.random.key(0))
    got = count_cost(fresh.trace((1, 360, 640, 1)))
    assert got.weights == 12_464
    assert got.macs == 7_928 * 360 * 640 + 4_536 * 720 * 1280  # the last layer at its output pixels
    assert round(got.macs / 1e9, 1) == 6.0


@pytest.mark.parametrize(
    ("name", "features", "blocks", "printed"),
    [  # parameters as the paper's title of each network and its tables print them, ×2 and ×4
        ("ecbsr_m4c8", 8, 4, {2: 2.8e3, 4: 3.7e3}),
        ("ecbsr_m4c16", 16, 4, {2: 10.2e3, 4: 11.9e3}),
        ("ecbsr_m10c32", 32, 10, {}),
        ("ecbsr_m16c64", 64, 16, {2: 596e3, 4: 602.9e3}),
    ],
)
def test_ecbsr_has_the_published_parameters(name, features, blocks, printed):
    for scale in (2, 4):
        fresh = network.init(name, scale=scale, key=jax.random.key(0), form="dense")
        got = count_cost(fresh.trace((1, 16, 16, 1)))
        f, m, last = features, blocks, scale**2
        assert got.weights == 9 * (f + m * f**2 + f * last)
        assert got.parameters == got.weights + 2 * f * (m + 1) + last  # biases and slopes
        assert got.macs == got.weights * 16 * 16
        if scale in printed:
            assert got.parameters == pytest.approx(printed[scale], rel=0.025)


def test_expanded_weights_of_sesr_m5():
    variables = network.init("sesr_m5", scale=2, key=jax.random.key(0)).variables
    kernels = [p for p in jax.tree.leaves(variables) if p.ndim == 4]
    assert sum(k.size for k in kernels) == 318_720


@pytest.mark.parametrize("name", ["sesr_m3", "sesr_m5_hw", "fsrcnn"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_receptive_radius_is_no_smaller_than_what_changes(name, scale):
    """Gradients of one output pixel vanish beyond the radius, and reach within two pixels of it."""
    options = {} if name == "fsrcnn" else {"expansion": 2}
    fresh = network.init(name, scale=scale, key=jax.random.key(0), **options)
    side = 41
    radius = measure_extent(fresh.trace((1, side, side, 1))).halo
    x = jax.random.uniform(jax.random.key(1), (1, side, side, 1))
    centre = scale * (side // 2)

    def patch(image):
        return jnp.sum(fresh.apply(image)[0, centre : centre + scale, centre : centre + scale])

    ys, xs = np.nonzero(np.asarray(jax.grad(patch)(x))[0, ..., 0])
    reach = max(np.abs(ys - side // 2).max(), np.abs(xs - side // 2).max())
    assert reach <= radius <= reach + 2


@pytest.mark.parametrize(
    ("side", "stride", "padding", "dilation"),
    [
        *((side, stride, "SAME", 1) for side in (1, 2, 3, 5) for stride in (1, 2, 3)),
        (3, 1, ((2, 0), (2, 0)), 1),
        (3, 1, ((0, 2), (1, 1)), 1),
        (5, 2, ((3, 0), (2, 1)), 1),
        (3, 1, "SAME", 2),
        (3, 2, ((3, 1), (2, 2)), 2),
    ],
)
def test_strides_and_uneven_padding_reach_as_far_as_gradients(side, stride, padding, dilation):
    """What an output stands for is as many pixels of the image as its stride is long, a side."""
    kernel = np.ones((side, side, 1, stride**2), np.float32)

    def network(x):
        strides, apart = (stride, stride), (dilation, dilation)
        y = ops.conv2d(x, kernel, strides=strides, padding=padding, dilation=apart)
        return ops.depth_to_space(y, block=stride)

    length = 6 * stride
    radius = measure_extent(trace(nn.Sequential([network]), {}, (1, length, length, 1))).halo
    seen = jax.jacobian(network)(jnp.ones((1, length, length, 1)))[0, :, :, 0, 0, :, :, 0]
    y, x, down, right = np.nonzero(np.asarray(seen))
    assert radius == max(np.abs(y - down).max(), np.abs(x - right).max())


class _Recursive(nn.Module):
    """One layer that is applied several times, each time times one learned number."""

    times: int
    mode: str = "expanded"

    @nn.compact
    def __call__(self, x):
        layer = LinearConv(4, acnet(3), self.mode)
        gain = self.param("gain", nn.initializers.constant(0.5), ())
        y = ops.concat(x, x, x, x)
        for _ in range(self.times):
            y = ops.add(ops.mul(layer(y), gain), 0.25)
        return ops.depth_to_space(y, block=2)


@pytest.mark.parametrize("collapsed", [False, True])
def test_shared_weights_are_parameters_once_and_macs_at_every_use(collapsed):
    variables = _Recursive(times=1).init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    variables = collapse(variables) if collapsed else variables

    def counted(times):
        return count_cost(trace(_Recursive(times=times), variables, (1, 6, 8, 1)))

    once, thrice = counted(1), counted(3)
    assert once.weights == thrice.weights == 9 * 4 * 4
    # The learned number counts, and the 0.25 that the model spells out does not.
    assert once.parameters == thrice.parameters == 9 * 4 * 4 + 4 + 1
    assert thrice.macs == 3 * once.macs == 3 * 9 * 4 * 4 * 6 * 8
    assert eval_shapes(lambda: counted(3)) == thrice


def test_equal_weights_of_two_layers_are_parameters_twice():
    image = (1, 4, 4, 1)
    module = nn.Sequential([LinearConv(1, dense(1)), LinearConv(1, dense(1))])
    equal = jax.tree.map(jnp.ones_like, module.init(jax.random.key(0), jnp.zeros(image)))
    assert count_cost(trace(module, equal, image)).weights == 2


def test_an_operation_on_the_whole_image_has_no_radius():
    node = Node(name="mean", op="mean", args=("input",), attrs={"axes": (1, 2)}, shape=(1, 1, 1, 1))
    graph = Graph(input="input", input_shape=(1, 8, 8, 1), nodes=(node,), output="mean")
    assert measure_extent(graph) == Extent(halo=None, whole="mean")
    with pytest.raises(InputError, match="sesr looks at the whole image"):
        measure_extent(graph).get_halo("sesr")


def test_peak_memory_of_a_chain_is_its_two_largest_neighbours():
    def relu(name, source, shape):
        return Node(name=name, op="relu", args=(source,), attrs={}, shape=shape)

    nodes = (
        relu("a", "input", (1, 4, 4, 2)),
        relu("b", "a", (1, 4, 4, 3)),
        relu("c", "b", (1, 4, 4, 1)),
    )
    graph = Graph(input="input", input_shape=(1, 4, 4, 1), nodes=nodes, output="c")
    assert count_cost(graph).peak_elements == 16 * (2 + 3)


def test_every_variant_can_be_counted():
    """In shapes alone: nothing is computed."""

    def count(name, scale):
        fresh = network.init(name, scale=scale, key=jax.random.key(0), **small_options(name))
        x = jnp.zeros((1, 16, 16, fresh.channels))
        graph = fresh.trace(x.shape)
        assert count_cost(graph).activations > 0
        assert run(graph, x).shape == (1, 16 * scale, 16 * scale, fresh.channels)

    for name, variant in VARIANTS.items():
        jax.eval_shape(lambda name=name, scale=variant.scales[0]: count(name, scale))
