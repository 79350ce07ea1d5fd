"""What every operation does with its keywords; what each computes is tested by those who read it."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export import jax2tf, onnx
from sesr_jax.ops.spec import interpolation, one_tap
from sesr_jax.quant import integer
from sesr_jax.targets import OPERATORS

X = jnp.arange(64.0).reshape(1, 4, 4, 4)
KERNEL = jnp.ones((3, 3, 4, 4))


def _attributes(op, *arrays, **keywords):
    """Those that the jaxpr spells."""
    (equation,) = jax.make_jaxpr(lambda *xs: ops.OPS[op](*xs, **keywords))(*arrays).eqns
    return ops.parse_name(equation.params["name"])[1]


@pytest.mark.parametrize(
    ("op", "keywords", "want"),
    [
        ("clip", {"low": np.float32(0), "high": np.asarray(1.5)}, {"low": 0.0, "high": 1.5}),
        ("clip", {"low": 0, "high": 1}, {"low": 0, "high": 1}),
        ("depth_to_space", {"block": np.int64(2)}, {"block": 2, "form": "operator"}),
        ("mean", {"axes": [1, 2]}, {"axes": (1, 2)}),
        (
            "slice",
            {"begin": [0] * 4, "size": np.asarray([1, 2, 2, -1])},
            {"begin": (0,) * 4, "size": (1, 2, 2, -1)},
        ),
    ],
)
def test_lists_and_numpys_numbers_are_spelled_as_python_has_them(op, keywords, want):
    assert _attributes(op, X, **keywords) == want


def test_padding_may_be_a_list():
    found = _attributes("conv2d", X, KERNEL, padding=[(1, 1), [0, 2]])
    assert found["padding"] == ((1, 1), (0, 2))


@pytest.mark.parametrize(
    ("op", "keyword", "value", "rule"),
    [
        ("resize", "method", "bicubic", r"Literal\['nearest', 'bilinear'\]"),
        ("depth_to_space", "form", "tranpose", "Literal.*'transpose'"),
        ("depth_to_space", "block", 2.0, "int;"),
        ("clip", "high", float("inf"), "a finite number"),
        ("clip", "low", X, "a finite number"),
        ("leaky_relu", "slope", "0.1", "a finite number"),
        ("conv2d", "strides", 2, r"tuple\[int, int\]"),
        ("conv2d", "strides", (1, 2, 1), r"tuple\[int, int\]"),
        ("conv2d", "padding", "same", "'SAME', 'VALID'"),
        ("conv2d", "padding", (1, 1), "'SAME', 'VALID'"),
        ("mean", "axes", 1, r"tuple\[int, \.\.\.\]"),
        ("max_pool", "window", None, r"tuple\[int, int\]"),
    ],
)
def test_a_keyword_of_another_type_is_named(op, keyword, value, rule):
    rest = {"clip": {"low": 0.0, "high": 1.0}, "resize": {"scale": 2}}.get(op, {})
    if op == "depth_to_space":
        rest = {"block": 2}
        ops.depth_to_space(X, **rest)  # nothing that is kept of it makes 2.0 pass
    arrays = (X, KERNEL) if op == "conv2d" else (X,)
    with pytest.raises(InputError, match=rf"(?s)^ops.{op}'s {keyword} is .*must be .*{rule}"):
        ops.OPS[op](*arrays, **rest | {keyword: value})


def test_an_unknown_keyword_is_named():
    with pytest.raises(TypeError, match=r"ops\.relu takes .*\['low'\]"):
        ops.relu(X, low=1.0)


_LACKING: dict[str, set[str]] = {}
"""By interpreter, the operations that it does not compute, each refused by name."""


@pytest.mark.parametrize(
    ("interpreter", "operations"),
    [
        ("specifications", ops.SPECS),
        ("quant.integer", integer.KERNELS),
        ("export.jax2tf", jax2tf.PIECES),
        ("export.onnx", onnx.CALLS),
    ],
)
def test_every_interpreter_has_every_operation(interpreter, operations):
    """A line here names what an interpreter lacks."""
    assert ops.OPS.keys() - operations.keys() == _LACKING.get(interpreter, set())
    assert not operations.keys() - ops.OPS.keys()


def test_what_has_no_integer_kernel_says_why():
    without = {op for op, spec in ops.SPECS.items() if spec.no_int8}
    assert without == ops.OPS.keys() - integer.KERNELS.keys()


@pytest.mark.parametrize("op", ops.OPS)
def test_specifications_are_whole(op):
    spec = ops.SPECS[op]
    assert (spec.layer or op) in OPERATORS.values() or spec.no_int8
    if isinstance(spec.ranges, tuple):
        low, high = spec.ranges
        assert low <= 0 < high
    # A convolution's kernel and a pooling's window are what their pixels read.
    assert (spec.taps is not one_tap) == (
        spec.kind in ("convolution", "pooling") or op.startswith("resize")
    )


def _interpolation(size, larger, half_pixel, method):
    """The weights of the input's pixels in each output pixel, by their places."""
    step = Fraction(size, larger)
    places = [
        (o + Fraction(1, 2)) * step - Fraction(1, 2) if half_pixel else o * step
        for o in range(larger)
    ]
    if method == "nearest":
        return [({math.floor(p + Fraction(1, 2) * half_pixel)}) for p in places]
    reach = {"linear": 1, "cubic": 2}[method]
    return [{i for i in range(-9, size + 9) if abs(i - p) < reach} for p in places]


@pytest.mark.parametrize("half_pixel", [True, False])
@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    ("size", "larger"), [(6, 12), (6, 18), (4, 16), (6, 9), (8, 4), (9, 6), (6, 6)]
)
def test_an_interpolation_looks_where_its_weights_are(size, larger, method, half_pixel):
    taps = 4 if method == "cubic" else 2
    look = interpolation(
        Fraction(size, larger), taps=taps, half_pixel=half_pixel, nearest=method == "nearest"
    )
    own = np.arange(larger)
    low, high = look.reads(own, own)
    expected = _interpolation(size, larger, half_pixel, method)
    ends = np.array([(min(read), max(read)) for read in expected])
    slack = method == "cubic"  # a pixel in the very place of another reads that one alone
    assert (low <= ends[:, 0]).all()
    assert (low + slack >= ends[:, 0]).all()
    assert (high >= ends[:, 1]).all()
    assert (high - slack <= ends[:, 1]).all()


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("axes", [(1, 2), (3,)])
def test_statistics_are_numpys(unbiased, axes):
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3))
    with jax.enable_x64(True):
        deviation = ops.standard_deviation(x, axes=axes, unbiased=unbiased)
        variance = ops.variance(x, axes=axes, unbiased=unbiased)
    expected = {"axis": axes, "ddof": int(unbiased), "keepdims": True}
    np.testing.assert_allclose(deviation, np.std(x, **expected), rtol=1e-13)
    np.testing.assert_allclose(variance, np.var(x, **expected), rtol=1e-13)


def test_one_element_has_no_unbiased_variance():
    with pytest.raises(InputError, match="1 element"):
        ops.variance(X[:, :1, :1], unbiased=True)


def test_a_shuffle_interleaves_the_groups():
    shuffled = ops.channel_shuffle(jnp.arange(6.0).reshape(1, 1, 1, 6), groups=2)
    np.testing.assert_array_equal(shuffled.ravel(), [0, 3, 1, 4, 2, 5])
    with pytest.raises(InputError, match=r"4 channels .* 3 groups"):
        ops.channel_shuffle(X, groups=3)


@pytest.mark.parametrize(("sizes", "other"), [((4, 4), (7, 9)), ((4, 4), (3, 2)), ((1, 4), (5, 6))])
def test_resizing_to_another_size_is_interpolation_between_pixel_centres(sizes, other):
    x = np.random.default_rng(0).normal(size=(1, *sizes, 2)).astype(np.float32)
    like = jnp.zeros((1, *other, 1))
    linear, nearest = x, x
    for axis, (size, larger) in enumerate(zip(sizes, other, strict=True), 1):
        place = (np.arange(larger) + 0.5) * size / larger
        low = np.floor(place - 0.5).astype(int)
        weight = np.expand_dims(place - 0.5 - low, tuple({0, 1, 2, 3} - {axis}))
        first, second = (np.clip(low + i, 0, size - 1) for i in (0, 1))
        linear = (1 - weight) * linear.take(first, axis) + weight * linear.take(second, axis)
        nearest = nearest.take(np.floor(place + 1e-9).astype(int), axis)
    np.testing.assert_allclose(ops.resize_like(x, like), linear, atol=1e-6)
    np.testing.assert_array_equal(ops.resize_like(x, like, method="nearest"), nearest)


def test_pads_that_do_not_suit_are_named():
    for padding, mode in [(((0, 4), (0, 0)), "reflect"), (((-1, 0), (0, 0)), "constant")]:
        with pytest.raises(InputError, match="4 pixels"):
            ops.pad(X, padding=padding, mode=mode)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "output_padding"), [(3, 2, 1, 1), (4, 2, 1, 0), (5, 3, 1, 0)]
)
def test_a_cropped_transposed_convolution_is_the_gradient_of_a_convolution(
    kernel, stride, padding, output_padding
):
    """This is what PyTorch defines its own by."""
    taps = jnp.asarray(np.random.default_rng(0).normal(size=(kernel, kernel, 2, 3)), jnp.float32)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 4, 4, 2)), jnp.float32)
    side = 3 * stride - 2 * padding + kernel + output_padding
    mirrored = taps[::-1, ::-1].swapaxes(2, 3)

    def forward(y):
        both = ((padding, padding),) * 2
        return ops.conv2d(y, mirrored, strides=(stride, stride), padding=both)

    _, pull = jax.vjp(forward, jnp.zeros((1, side, side, 3)))
    whole = ops.conv2d_transpose(x, taps, strides=(stride, stride), padding="VALID")
    margin = (padding, padding - output_padding)
    np.testing.assert_allclose(ops.crop(whole, margins=(margin, margin)), pull(x)[0], atol=1e-5)
