"""Operations that move, select or interpolate values."""

from fractions import Fraction
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sesr_jax.errors import InputError
from sesr_jax.ops.registry import operation
from sesr_jax.ops.spec import (
    Call,
    Look,
    Looks,
    Spec,
    at_the_whole_image,
    interpolation,
    spread_window,
    window,
)


def _box(call: Call) -> Looks:
    """A box that ends at a distance from the image's end is local; another's end depends on its size."""
    shape, begin, size = call.shapes[0], call.attrs["begin"], call.attrs["size"]
    if any(0 <= s != n - b for n, b, s in list(zip(shape, begin, size, strict=True))[1:3]):
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
    look = interpolation(step, nearest=nearest)
    return look, look


def _neighbours(call: Call) -> tuple[int, int]:
    return (1, 1) if call.attrs["method"] == "nearest" else (2, 2)


@operation(
    Spec(
        kind="movement", ranges="shared", no_int16="no converter writes CONCATENATION with 16 bits"
    )
)
def concat(*xs: jax.Array) -> jax.Array:
    """Joins the inputs along the channels."""
    return jnp.concatenate(xs, axis=-1)


@operation(Spec(kind="movement", look=_box, ranges="shared"))
def slice(x: jax.Array, *, begin: tuple[int, ...], size: tuple[int, ...]) -> jax.Array:  # noqa: A001
    """Returns the box of `size` that starts at `begin`, one entry per dimension.

    A size of -1 is the rest of the dimension, and one of -1 - n is the rest without its last n entries.
    """
    limits = [b + s if s >= 0 else n + s + 1 for n, b, s in zip(x.shape, begin, size, strict=True)]
    return lax.slice(x, begin, limits)


def crop(x: jax.Array, *, margins: tuple[tuple[int, int], tuple[int, int]]) -> jax.Array:
    """Returns `x` without the rows (before, after) and the columns (before, after) of `margins`."""
    (top, bottom), (left, right) = margins
    return slice(x, begin=(0, top, left, 0), size=(-1, -1 - bottom, -1 - right, -1))


def _padded(call: Call) -> Looks:
    (top, bottom), (left, right) = call.attrs["padding"]
    if call.attrs["mode"] == "constant":
        return Look(before=top), Look(before=left)
    # A mirrored pixel lies as far inside the image as its place lies outside.
    return (
        Look(side=2 * (top + bottom) + 1, before=top + 2 * bottom),
        Look(side=2 * (left + right) + 1, before=left + 2 * right),
    )


@operation(Spec(kind="movement", look=_padded, ranges="shared"))
def pad(
    x: jax.Array,
    *,
    padding: tuple[tuple[int, int], tuple[int, int]],
    mode: Literal["constant", "reflect", "symmetric"] = "constant",
) -> jax.Array:
    """Returns `x` with rows (before, after) and columns (before, after) added around it.

    They are zeros ("constant"), or the image mirrored at its edge, whose own pixels are repeated
    ("symmetric") or not ("reflect", PyTorch's reflection padding).

    Raises:
      InputError: an amount is negative, or the image has too few pixels to mirror.
    """
    for size, amounts in zip(x.shape[1:3], padding, strict=True):
        most = {"constant": max(amounts), "reflect": size - 1, "symmetric": size}[mode]
        if not 0 <= min(amounts) <= max(amounts) <= most:
            raise InputError(
                f"a padding of {amounts} does not suit {size} pixels: in the mode {mode!r} it adds from 0 to "
                f"{most} of them on a side."
            )
    return jnp.pad(x, ((0, 0), *padding, (0, 0)), mode)


@operation(Spec(kind="movement", ranges="shared", layer="transpose"))
def channel_shuffle(x: jax.Array, *, groups: int) -> jax.Array:
    """Transposes the channels, seen as a matrix with one row per group (Zhang et al. 2018, §3.1).

    Raises:
      InputError: the channels do not divide into `groups`.
    """
    channels = x.shape[-1]
    if groups < 1 or channels % groups:
        raise InputError(f"{channels} channels do not divide into {groups} groups to shuffle.")
    matrix = x.reshape(*x.shape[:-1], groups, channels // groups)
    return matrix.swapaxes(-1, -2).reshape(x.shape)


@operation(Spec(kind="movement", look=_smaller_pixels, ranges="shared"))
def depth_to_space(
    x: jax.Array, *, block: int, form: Literal["operator", "transpose"] = "operator"
) -> jax.Array:
    """Moves channels to pixels, ``[N, H, W, block² · C] → [N, block · H, block · W, C]``.

    The channels are in TensorFlow's order (DCR). `form` is how files write it: as an operator of that
    name, or as a transposition of rank 4 between two reshapes, for targets without one.
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
    """Inverts `depth_to_space`.

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
    """Resizes to ``[N, scale · H, scale · W, C]``, with half-pixel centres."""
    n, h, w, c = x.shape
    if method == "nearest":
        return jnp.repeat(jnp.repeat(x, scale, axis=1), scale, axis=2)
    return jax.image.resize(x, (n, h * scale, w * scale, c), "bilinear")


@operation(
    Spec(
        kind="movement",
        look=at_the_whole_image,  # where a pixel is read depends on the ratio of two sizes
        taps=_neighbours,
        ranges="shared",
        values=1,
        layer="resize",
    )
)
def resize_like(
    x: jax.Array, like: jax.Array, *, method: Literal["nearest", "bilinear"] = "bilinear"
) -> jax.Array:
    """Resizes `x` to the height and width of `like`, whose values are not read.

    Pixel centres are at halves, which is ``align_corners=False`` (and for "nearest" "nearest-exact") in
    PyTorch. A smaller map is sampled without antialiasing.
    """
    if method == "bilinear":
        shape = (x.shape[0], *like.shape[1:3], x.shape[3])
        return jax.image.resize(x, shape, "bilinear", antialias=False)
    for axis in (1, 2):
        before, after = x.shape[axis], like.shape[axis]
        # In integers: a rounding would take the neighbour of a pixel that lies between two.
        x = jnp.take(x, (2 * np.arange(after) + 1) * before // (2 * after), axis)
    return x
