"""What every operation does with its keywords; what each computes is tested by those who read it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import ops
from sesr_jax.errors import InputError

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
