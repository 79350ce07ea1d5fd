"""What the tests of the algebra share: terms made of integers, and the laws as checks that raise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.reparam import AveragePool, BatchNorm, FixedFilter, Term, collapsible

# Widths and reaches repeat throughout the tests, so that XLA compiles few shapes.
small = functools.partial(collapsible, expansion=8)
SHAPE = 2, 6, 5, 4
"""Of an image: [n, h, w, channels]."""


def image(*shape: int, seed: int = 0) -> jax.Array:
    """Small integers: sums of products of few of them are exact in float32."""
    return jnp.asarray(np.random.default_rng(seed).integers(-2, 3, shape), jnp.float32)


def exact(tree, seed: int = 0):
    """`tree` with small integers for parameters, so that no sum rounds and a law can be an equality.

    Variances become powers of four without an epsilon, and fixed taps are rounded: the law speaks of
    any taps. Biases, which start at zero and would hide mistakes, become integers as well.
    """
    rng = np.random.default_rng(seed)

    def integers(leaf: jax.Array) -> jax.Array:
        return jnp.asarray(rng.integers(-2, 3, leaf.shape), leaf.dtype)

    def replaced(leaf):
        if isinstance(leaf, BatchNorm):
            var = jnp.asarray(4.0 ** rng.integers(-1, 2, leaf.var.shape), leaf.var.dtype)
            return BatchNorm(*(integers(leaf.mean) for _ in range(3)), var, eps=0.0)
        if isinstance(leaf, FixedFilter):
            return FixedFilter(_nested(np.round(2 * np.asarray(leaf.taps))))
        if isinstance(leaf, AveragePool):
            return FixedFilter(_nested(np.ones((*leaf.size, leaf.features))))
        return integers(leaf)

    return jax.tree.map(
        replaced, tree, is_leaf=lambda x: isinstance(x, BatchNorm | FixedFilter | AveragePool)
    )


def check_law(term: Term, x: jax.Array) -> None:
    """The collapse equals the term, everywhere in the image; both sides must be exact."""
    np.testing.assert_array_equal(term.collapse().apply(x), term.apply(x))


def check_plane(term: Term) -> None:
    """An image of zeros in a plane of zeros becomes the collapse's bias, at the border too."""
    y = term.apply(jnp.zeros((1, 3, 4, term.in_features)))
    bias = term.collapse().bias
    want = np.zeros(term.out_features) if bias is None else np.asarray(bias)
    np.testing.assert_array_equal(y, np.broadcast_to(want, y.shape))


def _nested(taps: np.ndarray):
    return tuple(tuple(tuple(tap) for tap in row) for row in taps.tolist())
