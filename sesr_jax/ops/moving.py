"""Operations that move, select or interpolate values."""

from fractions import Fraction
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from sesr_jax.errors import InputError
from sesr_jax.ops.registry import operation
from sesr_jax.ops.spec import Call, Look, Looks, Spec, interpolated, spread_window, window


def _box(call: Call) -> Looks:
    """A box that ends where the image ends is local; where else it ends depends on the image's size."""
    shape, begin, size = call.shapes[0], call.attrs["begin"], call.attrs["size"]
    if any(s not in (-1, n - b) for n, b, s in list(zip(shape, begin, size, strict=True))[1:3]):
        return None
    return Look(before=-begin[1]), Look(before=-begin[2])


def _smaller_pixels(call: Call) -> Looks:
    block = call.attrs["block"]
    return spread_window(block, block), spread_window(block, block)


def _larger_pixels(call: Call) -> Looks:
    block = call.attrs["block"]
    return window(block, block), window(block, block)


def _between_pixels(call: Call) -> Looks:
    step, nearest = Fraction(1, call.attrs["scale"]), call.attrs["method"] == "nearest"
    look = interpolated(step, nearest=nearest)
    return look, look


def _neighbours(call: Call) -> tuple[int, int]:
    return (1, 1) if call.attrs["method"] == "nearest" else (2, 2)


@operation(
    Spec(
        kind="movement", ranges="shared", no_int16="no converter writes CONCATENATION with 16 bits"
    )
)
def concat(*xs: jax.Array) -> jax.Array:
    """Concatenation along the channels."""
    return jnp.concatenate(xs, axis=-1)


@operation(Spec(kind="movement", look=_box, ranges="shared"))
def slice(x: jax.Array, *, begin: tuple[int, ...], size: tuple[int, ...]) -> jax.Array:  # noqa: A001
    """The box of `size` that starts at `begin`, one entry per dimension; a size of -1 is the rest."""
    limits = [n if s == -1 else b + s for n, b, s in zip(x.shape, begin, size, strict=True)]
    return lax.slice(x, begin, limits)


@operation(Spec(kind="movement", look=_smaller_pixels, ranges="shared"))
def depth_to_space(
    x: jax.Array, *, block: int, form: Literal["operator", "transpose"] = "operator"
) -> jax.Array:
    """``[N, H, W, block² · C]`` to ``[N, block · H, block · W, C]``, in TensorFlow's (DCR) order.

    `form` is how files write it: as an operator of that name, or as a transposition of rank 4 between two
    reshapes, for targets without one.
    """
    n, h, w, c = x.shape
    y = x.reshape(n, h, w, block, block, c // block**2).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * block, w * block, c // block**2)


@operation(
    Spec(
        kind="movement",
        look=_larger_pixels,
        ranges="shared",
        no_int16="no converter writes SPACE_TO_DEPTH with 16 bits",
    )
)
def space_to_depth(x: jax.Array, *, block: int) -> jax.Array:
    """The inverse of `depth_to_space`.

    Raises:
      InputError: a side of the image is no multiple of `block`.
    """
    n, h, w, c = x.shape
    if h % block or w % block:
        raise InputError(
            f"{h}×{w} pixels (height × width) do not make blocks of {block}×{block}, which this network "
            f"starts from; take sides that are multiples of {block}."
        )
    y = x.reshape(n, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h // block, w // block, block**2 * c)


@operation(Spec(kind="movement", look=_between_pixels, taps=_neighbours, ranges="shared"))
def resize(
    x: jax.Array, *, scale: int, method: Literal["nearest", "bilinear"] = "nearest"
) -> jax.Array:
    """``[N, scale · H, scale · W, C]``, with half-pixel centres."""
    n, h, w, c = x.shape
    if method == "nearest":
        return jnp.repeat(jnp.repeat(x, scale, axis=1), scale, axis=2)
    return jax.image.resize(x, (n, h * scale, w * scale, c), "bilinear")
